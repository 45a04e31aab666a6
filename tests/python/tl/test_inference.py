from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.data import from_anndata
from isthmus.nn import Moments
from isthmus.tl import _inference
from isthmus.tl._inference import choose_moments, decode, encode, mean_by_batch, moments_of_batches, moments_of_groups


@pytest.fixture
def prepared(model, reference):
    study = from_anndata(reference, "batch", batches=model.batches)
    return model.pipeline.apply(study, study.batch), study.batch


def hidden(model, prepared):
    """What the encoder's normalisation sees, in double precision."""
    first = model.network.encoder.first
    x = prepared.x.toarray().astype(np.float64) + prepared.fill
    return x @ first.weight.detach().double().numpy() + first.bias.detach().double().numpy()


def test_moments_of_batches_are_numpys(model, prepared, monkeypatch):
    monkeypatch.setattr(_inference, "CELLS_AT_ONCE", 64)  # several blocks, the last one short
    data, batch = prepared
    mine = moments_of_batches(model.network, data, batch, 3)
    h = hidden(model, data)
    for code in (0, 1):
        np.testing.assert_allclose(mine.mean[code], h[batch == code].mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mine.variance[code], h[batch == code].var(axis=0), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(mine.mean[2], model.network.encoder.running_moments().mean[0])  # no cells


def test_cells_belong_to_groups_in_part(model, prepared, rng):
    data, batch = prepared
    member = rng.dirichlet([1, 1, 1], len(batch))
    mine, count = moments_of_groups(model.network, data, batch, 2, member)
    h = hidden(model, data)
    for group in range(3):
        for code in (0, 1):
            rows, part = batch == code, member[batch == code, group]
            mean = np.average(h[rows], axis=0, weights=part)
            np.testing.assert_allclose(count[group, code], part.sum(), rtol=1e-5)
            np.testing.assert_allclose(mine.mean[group, code], mean, rtol=1e-4, atol=1e-5)
            variance = np.average((h[rows] - mean) ** 2, axis=0, weights=part)
            np.testing.assert_allclose(mine.variance[group, code], variance, rtol=1e-3, atol=1e-6)


def test_stored_moments_give_the_stored_embedding(model, prepared):
    data, batch = prepared
    np.testing.assert_allclose(encode(model.network, data, model.moments, batch), model.latent, atol=1e-4)


def test_running_moments_are_those_of_the_whole_reference(model, prepared):
    h = hidden(model, prepared[0])
    running = model.network.encoder.running_moments()
    np.testing.assert_allclose(running.mean[0], h.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(running.variance[0], h.var(axis=0), rtol=1e-2, atol=1e-4)


def test_exact_moments_move_no_cell_by_its_batch(model, prepared):
    """Normalised with its own moments, every batch has mean 0 and variance 1 before scale and shift."""
    data, batch = prepared
    moments = moments_of_batches(model.network, data, batch, 2)
    h = (hidden(model, data) - moments.mean.numpy()[batch]) / np.sqrt(moments.variance.numpy()[batch])
    for code in (0, 1):
        np.testing.assert_allclose(h[batch == code].mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(h[batch == code].var(axis=0), 1, atol=1e-2)


def test_statistics_are_own_all_or_between(model):
    width = model.network.encoder.norm.num_features
    exact = Moments(torch.full((3, width), 5.0), torch.full((3, width), 4.0))
    counts, running = np.array([96, 1, 0]), model.network.encoder.running_moments()

    own = choose_moments(model.network, exact, counts, "exact")
    assert (own.mean[0] == 5.0).all()
    for lonely in (1, 2):  # a cell alone has no variance, a batch without cells no mean
        torch.testing.assert_close(own.mean[lonely], running.mean[0])
        torch.testing.assert_close(own.variance[lonely], running.variance[0])

    everywhere = choose_moments(model.network, exact, counts, "running")
    torch.testing.assert_close(everywhere.mean, running.mean.expand(3, width))

    between = choose_moments(model.network, exact, counts, "shrunk")
    torch.testing.assert_close(between.mean[0], 0.75 * exact.mean[0] + 0.25 * running.mean[0])  # 96 / (96 + 32)
    torch.testing.assert_close(between.mean[1], running.mean[0])


def test_means_by_batch_are_drawn_to_the_overall_mean(rng):
    import scipy.sparse as sp

    x, batch = rng.random((30, 4)), np.array([0] * 20 + [1] * 10)
    mine = mean_by_batch(sp.csr_matrix(x), batch, 3).numpy()
    overall = x.mean(axis=0)
    for code, n in ((0, 20), (1, 10)):
        np.testing.assert_allclose(mine[code], (x[batch == code].sum(axis=0) + 8 * overall) / (n + 8), rtol=1e-5)
    np.testing.assert_allclose(mine[2], overall, rtol=1e-5)


def test_blocks_do_not_change_the_numbers(model, prepared, monkeypatch):
    data, batch = prepared
    moments = moments_of_batches(model.network, data, batch, 2)
    whole = encode(model.network, data, moments, batch)
    scale = model.pipeline.largest([0, 1])
    decoded = np.concatenate(list(decode(model.network, whole, [0, 1], scale)))
    monkeypatch.setattr(_inference, "CELLS_AT_ONCE", 37)
    np.testing.assert_allclose(encode(model.network, data, moments, batch), whole, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(list(decode(model.network, whole, [0, 1], scale))), decoded, atol=1e-5)

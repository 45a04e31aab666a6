"""Batch statistics within groups of similar cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from isthmus.data import Coverage, Prepared
from isthmus.models import SCALEX
from isthmus.nn import Moments
from isthmus.tl import _matching
from isthmus.tl._inference import moments_of_batches
from isthmus.tl._matching import Anchors, find_anchors, match
from isthmus.train.devices import randomness

N_FEATURES, OFFSET = 60, 0.1


def make_prepared(x):
    found = np.ones(x.shape[1], dtype=bool)
    coverage = Coverage(x.shape[1], x.shape[1], 1.0, 1.0, ())
    return Prepared(sp.csr_matrix(x.astype(np.float32)), found, np.zeros(x.shape[1], np.float32), coverage)


@pytest.fixture
def model():
    with randomness(0):
        return SCALEX(N_FEATURES, 2, n_latent=5, n_hidden=64).eval()


def cells_of(rng, types):
    """Three well separated types: each opens its own third of the features."""
    x = rng.uniform(0.0, 0.2, (len(types), N_FEATURES))
    for row, kind in enumerate(types):
        x[row, 20 * kind : 20 * kind + 20] += 0.6
    return x


def settled(model, prepared, batch, n_batches):
    """The exact moments, with the model's running ones set to the whole reference's."""
    exact = moments_of_batches(model, prepared, batch, n_batches)
    share = torch.from_numpy(np.bincount(batch, minlength=n_batches) / len(batch)).float()
    model.encoder.settle(exact.pooled(share))
    return exact


def test_a_batch_that_lacks_types_is_shifted_by_what_the_batch_does_only(model, rng):
    types = np.r_[np.repeat([0, 1, 2], 80), np.repeat(0, 200)]
    batch = np.repeat([0, 1], [240, 200])
    x = cells_of(rng, types)
    x[batch == 1] += OFFSET  # what the second batch does to every cell
    prepared = make_prepared(x)
    exact = settled(model, prepared, batch, 2)
    _, matched = find_anchors(model, prepared, batch, exact, seed=0)
    truth = OFFSET * model.encoder.first.weight.detach().sum(dim=0)
    error = (matched.mean[1] - matched.mean[0] - truth).abs().mean()
    assert error < 0.75 * (exact.mean[1] - exact.mean[0] - truth).abs().mean()


def test_one_batch_has_the_statistics_of_the_whole(model, rng):
    prepared = make_prepared(cells_of(rng, np.repeat([0, 1, 2], 50)))
    batch = np.zeros(150, dtype=np.int64)
    exact = settled(model, prepared, batch, 1)
    _, matched = find_anchors(model, prepared, batch, exact, seed=0)
    torch.testing.assert_close(matched.mean, exact.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(matched.variance, exact.variance, rtol=1e-3, atol=1e-6)


def test_the_names_of_the_batches_do_not_matter(model, rng):
    types = rng.integers(0, 3, 300)
    batch = rng.integers(0, 2, 300)
    prepared = make_prepared(cells_of(rng, types) + OFFSET * batch[:, None])
    exact = settled(model, prepared, batch, 2)
    swapped = Moments(exact.mean.flip(0), exact.variance.flip(0))
    one, other = (find_anchors(model, prepared, b, e, seed=0)[1] for b, e in ((batch, exact), (1 - batch, swapped)))
    torch.testing.assert_close(one.mean, other.mean.flip(0), rtol=1e-4, atol=1e-5)


def test_a_query_of_one_type_is_compared_with_that_type(model, rng):
    prepared = make_prepared(cells_of(rng, np.repeat([0, 1, 2], 100)))
    batch = np.zeros(300, dtype=np.int64)
    exact = settled(model, prepared, batch, 1)
    anchors, reference = find_anchors(model, prepared, batch, exact, seed=0)
    query = make_prepared(cells_of(rng, np.repeat(1, 150)))  # nothing was done to these cells
    nobody = np.zeros(150, dtype=np.int64)
    own = moments_of_batches(model, query, nobody, 1)
    found = match(model, anchors, query, nobody, own)
    assert (found.mean - reference.mean).abs().mean() < 0.3 * (own.mean - reference.mean).abs().mean()


def test_a_lone_cell_is_encoded_with_the_statistics_of_the_reference(model, rng):
    prepared = make_prepared(cells_of(rng, np.repeat([0, 1, 2], 100)))
    batch = np.zeros(300, dtype=np.int64)
    exact = settled(model, prepared, batch, 1)
    anchors, _ = find_anchors(model, prepared, batch, exact, seed=0)
    one = make_prepared(cells_of(rng, [2]))
    lone = np.zeros(1, dtype=np.int64)
    found = match(model, anchors, one, lone, moments_of_batches(model, one, lone, 1))
    running = model.encoder.running_moments()
    torch.testing.assert_close(found.mean, running.mean, rtol=0, atol=0.02)  # one cell has one word among many
    torch.testing.assert_close(found.variance, running.variance, rtol=0.02, atol=0)


def test_shift_and_spread_are_those_of_a_loop(model):
    groups, batches, hidden = 3, 2, 64
    cells = Moments(torch.rand(groups, batches, hidden), torch.rand(groups, batches, hidden))
    count = torch.tensor([[10.0, 7.0], [0.2, 30.0], [0.0, 50.0]])
    anchors = Anchors(np.zeros((groups, 5), np.float32), 1.0, torch.rand(groups, hidden), torch.rand(hidden) + 0.1)
    mine = _matching._shifted(model, anchors, cells, count)
    running = model.encoder.running_moments()
    for b in range(batches):
        weight = [float(n * n / (n + _matching.FEW_CELLS)) for n in count[:, b]]
        shift = sum(w * (cells.mean[g, b] - anchors.hidden[g]) for g, w in enumerate(weight)) / sum(weight)
        within = sum(count[g, b] * cells.variance[g, b] for g in range(groups)) / count[:, b].sum()
        trust = sum(weight) / (sum(weight) + _matching.PSEUDO_CELLS)
        torch.testing.assert_close(mine.mean[b], running.mean[0] + trust * shift)
        spread = trust * within / anchors.within + 1 - trust
        torch.testing.assert_close(mine.variance[b], running.variance[0] * spread)


def test_cells_in_another_order_get_the_same_statistics(model, rng):
    types, batch = rng.integers(0, 3, 300), rng.integers(0, 2, 300)
    x = cells_of(rng, types) + OFFSET * batch[:, None] + rng.normal(0, 0.1, (300, N_FEATURES)).clip(0)
    exact = settled(model, make_prepared(x), batch, 2)
    anchors, _ = find_anchors(model, make_prepared(x), batch, exact, seed=0)
    one = match(model, anchors, make_prepared(x), batch, exact)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(300)
        other = match(model, anchors, make_prepared(x[order]), batch[order], exact)
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.variance, other.variance, rtol=1e-4, atol=1e-6)


def test_the_part_of_a_group_in_a_cell_is_the_posterior_of_a_gaussian(rng):
    centres, z, spread = rng.normal(size=(4, 5)).astype(np.float32), rng.normal(size=(7, 5)), 7.0
    anchors = Anchors(centres, spread, torch.empty(0), torch.empty(0))
    density = np.array(
        [[np.exp(-((a - c) ** 2).sum() / (2 * spread / _matching.SHARPNESS)) for c in centres] for a in z]
    )
    np.testing.assert_allclose(anchors.member(z), density / density.sum(axis=1, keepdims=True), rtol=1e-5)

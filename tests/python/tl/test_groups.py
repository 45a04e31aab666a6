"""Groups of similar cells, and what batches do within them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from isthmus.nn.fusion import Whitening
from isthmus.tl._groups import batch_directions, group_cells
from isthmus.tl._sci2cl_fit import hold_back_batches

LATENT = 20


def cells_of(rng, share, shift, n_cells=3000):
    """Four types of unit variance, 8 apart; batches hold them in these shares and are shifted.

    Parameters
    ----------
    share
        (batches, 4) of the types in each batch.
    shift
        (batches, LATENT).
    """
    batch = rng.integers(0, len(shift), n_cells)
    group = np.array([rng.choice(4, p=share[b]) for b in batch])
    centres = 8.0 * np.eye(LATENT)[:4]
    return centres[group] + shift[batch] + rng.standard_normal((n_cells, LATENT)), group, batch


def dummies(codes):
    return np.eye(codes.max() + 1)[codes]


def cosines(one, two):
    """Of the angles between two subspaces with orthonormal columns."""
    return np.linalg.svd(one.T @ two, compute_uv=False)


@pytest.fixture
def shift():
    """Of three batches, along two directions."""
    out = np.zeros((3, LATENT))
    out[1, 4], out[2, 5], out[2, 0] = 1.5, 1.0, 0.5
    return out


SHARE = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7], [0.25, 0.25, 0.25, 0.25]])


def test_directions_are_those_of_least_squares_with_dummies(rng, shift):
    z, group, batch = cells_of(rng, SHARE, shift, 400)
    found, share = batch_directions(z, group, [batch])
    alone = dummies(group) @ np.linalg.lstsq(dummies(group), z, rcond=None)[0]
    design = np.hstack([dummies(group), dummies(batch)])
    explained = design @ np.linalg.lstsq(design, z, rcond=None)[0] - alone
    axes = np.linalg.svd(explained, full_matrices=False)[2][:2].T
    assert found.shape == (LATENT, 2)
    np.testing.assert_allclose(found.T @ found, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(cosines(found[:, :1], axes[:, :1]), 1.0, atol=1e-6)
    np.testing.assert_allclose(cosines(found, axes), 1.0, atol=1e-6)
    expected = np.square(explained @ found).sum(axis=0) / np.square((z - alone) @ found).sum(axis=0)
    np.testing.assert_allclose(share, expected, rtol=1e-9)


def test_two_batches_give_the_weighted_mean_of_their_differences(rng, shift):
    z, group, batch = cells_of(rng, SHARE[:2], shift[:2])
    difference, weight = [], []
    for g in range(4):
        one, two = (z[(group == g) & (batch == b)] for b in (0, 1))
        difference.append(two.mean(axis=0) - one.mean(axis=0))
        weight.append(1 / (1 / len(one) + 1 / len(two)))
    expected = np.average(difference, axis=0, weights=weight)
    found, _ = batch_directions(z, group, [batch])
    assert found.shape == (LATENT, 1)
    np.testing.assert_allclose(np.abs(found[:, 0]), np.abs(expected / np.linalg.norm(expected)), atol=1e-9)


def test_other_shares_of_types_are_no_effect_of_the_batch(rng, shift):
    z, _, batch = cells_of(rng, SHARE, np.zeros_like(shift))
    group = group_cells(z, 0).predict(z)
    assert batch_directions(z, np.zeros(len(z), dtype=int), [batch])[1].max() > 0.2  # as one group
    assert batch_directions(z, group, [batch])[1].max() < 0.02


def test_a_planted_shift_is_found_whatever_the_shares(rng, shift):
    z, _, batch = cells_of(rng, SHARE, shift)
    group = group_cells(z, 0).predict(z)
    found, share = batch_directions(z, group, [batch])
    planted = np.linalg.qr(shift[1:].T)[0]
    assert cosines(found, planted).min() > 0.9
    assert share.min() > 0.05


@pytest.mark.parametrize("size", [0.0, 1.0, 2.0])
def test_a_planted_shift_is_held_back_and_types_are_not(rng, shift, size):
    z, group, batch = cells_of(rng, SHARE, size * shift)
    block, cells = Whitening(LATENT), torch.from_numpy(z.astype("f4"))
    hold_back_batches(block, cells, [batch], seed=0)
    design = np.hstack([dummies(group), dummies(batch)[:, 1:]])
    before, after = (np.linalg.lstsq(design, x, rcond=None)[0] for x in (z, block(cells).numpy()))
    assert (pdist(after[:4]) > 0.93 * pdist(before[:4])).all()
    if size:
        assert (np.linalg.norm(after[4:], axis=1) < 0.7 * np.linalg.norm(before[4:], axis=1)).all()
    else:
        np.testing.assert_allclose(after, before, atol=0.1)


def test_a_second_factor_of_the_same_batches_changes_nothing(rng, shift):
    z, group, batch = cells_of(rng, SHARE, shift)
    found, share = batch_directions(z, group, [batch])
    for more in (batch, np.zeros_like(batch), 2 - batch):
        again, same = batch_directions(z, group, [batch, more])
        np.testing.assert_allclose(np.abs(again), np.abs(found), atol=1e-6)
        np.testing.assert_allclose(same, share, rtol=1e-6)


@pytest.mark.parametrize("lonely", ["one batch", "groups of one batch", "cells that are alike"])
def test_where_nothing_can_be_compared_there_are_no_directions(rng, lonely):
    z, group = rng.standard_normal((90, LATENT)), np.repeat([0, 1, 3], 30)  # no cell in group 2
    batch = np.zeros(90, dtype=int) if lonely == "one batch" else np.repeat([0, 1, 1], 30)
    if lonely == "cells that are alike":
        z, batch = np.ones((90, LATENT)), np.tile([0, 1], 45)
    found, share = batch_directions(z, group, [batch])
    assert found.shape == (LATENT, 0)
    assert share.shape == (0,)


def test_the_number_of_groups_follows_that_of_the_cells(rng, monkeypatch):
    z = rng.standard_normal((2000, 3))
    for n_cells, n_groups in ((5, 5), (300, 8), (2000, 20)):
        means = group_cells(z[:n_cells], 0)
        assert (means.n_clusters, len(means.labels_)) == (n_groups, n_cells)
    monkeypatch.setattr("isthmus.tl._groups.CELLS_TO_GROUP", 500)
    means = group_cells(z, 0)
    assert (means.n_clusters, len(means.labels_)) == (20, 500)

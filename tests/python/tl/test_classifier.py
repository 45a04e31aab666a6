from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from isthmus.tl._classifier import PSEUDO_CELLS, batch_odds, refit

SHARES = np.array([[0.05, 0.95], [0.95, 0.05]])  # of the two types, in each batch


@pytest.fixture
def cells(rng):
    """Probabilities of two types that overlap on a line, by one who takes them as equally common; types; batches."""
    batch = np.repeat([0, 1], 3000)
    label = (rng.random(len(batch)) < SHARES[batch, 1]).astype(np.int64)
    x = rng.normal(np.where(label, 1.0, -1.0))
    p = 1 / (1 + np.exp(-2 * x))  # N(1, 1) against N(-1, 1)
    return np.column_stack([1 - p, p]), label, batch


@pytest.mark.parametrize("hidden", [0.2, 0.8])
def test_shares_of_the_types_in_each_batch_are_found(cells, rng, hidden):
    p, label, batch = cells
    seen = np.where(rng.random(len(label)) < hidden, -1, label)
    odds = batch_odds(p, seen, batch, 2)
    np.testing.assert_allclose(odds[:2] / 2, SHARES, atol=0.04)
    assert (odds[2] == 1).all()
    wrong = [np.mean((q.argmax(axis=1) != label)[seen < 0]) for q in (p, p * odds[batch])]
    assert wrong[1] < 0.6 * wrong[0]


def test_shares_of_a_batch_without_labels_are_found(cells):
    p, label, batch = cells
    equal = np.concatenate([np.flatnonzero((batch == 0) & (label == k))[:100] for k in (0, 1)])
    seen = np.full(len(label), -1)
    seen[equal] = label[equal]
    np.testing.assert_allclose(batch_odds(p, seen, batch, 2)[1] / 2, SHARES[1], atol=0.04)


def test_the_shares_are_a_fixed_point(cells):
    p, label, batch = cells
    seen = np.where(np.arange(len(label)) % 3 == 0, label, -1)
    odds = batch_odds(p, seen, batch, 2)
    usual = np.bincount(seen[seen >= 0]) / (seen >= 0).sum()
    for code in (0, 1):
        corrected = p * odds[code]
        corrected /= corrected.sum(axis=1, keepdims=True)
        corrected = np.where((seen >= 0)[:, None], np.eye(2)[seen], corrected)[batch == code]
        share = (corrected.sum(axis=0) + PSEUDO_CELLS * usual) / (len(corrected) + PSEUDO_CELLS)
        np.testing.assert_allclose(odds[code] * usual, share, atol=1e-4)


def test_few_cells_say_little_and_none_say_nothing(cells):
    p, label, batch = cells
    equal = [np.flatnonzero((batch == 1) & (label == k))[:100] for k in (0, 1)]
    rows = np.concatenate([np.flatnonzero(batch == 0)[:3], *equal])
    odds = batch_odds(p[rows], label[rows], 2 * batch[rows], 3)
    assert 0.01 < np.abs(odds[0] - 1).max() < 0.2
    assert (odds[1] == 1).all()


@pytest.mark.parametrize("n_types", [2, 4])
def test_the_layer_becomes_the_logistic_regression(rng, n_types):
    z, label = 3 + rng.normal(size=(200, 3)) * [1, 10, 0.1], rng.integers(0, n_types, 200)
    z[:, 1] += 5 * label
    seen, layer = np.where(np.arange(200) % 4 == 0, -1, label), torch.nn.Linear(3, n_types)
    refit(layer, z.astype(np.float32), seen)
    scaled = (z - z.mean(axis=0)) / z.std(axis=0)
    expected = LogisticRegression(max_iter=1000).fit(scaled[seen >= 0], seen[seen >= 0]).predict_proba(scaled)
    got = layer(torch.from_numpy(z.astype(np.float32))).softmax(dim=1).detach()
    np.testing.assert_allclose(got, expected, atol=1e-3)

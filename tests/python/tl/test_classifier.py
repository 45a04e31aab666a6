from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from isthmus.tl._classifier import DECAY, PSEUDO_CELLS, batch_odds, refit

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


def refitted(z, label, n_types):
    layer = torch.nn.Linear(z.shape[1], n_types)
    refit(layer, z.astype(np.float32), label)
    with torch.inference_mode():
        return layer(torch.from_numpy(z.astype(np.float32))).softmax(dim=1).numpy()


@pytest.fixture(params=[2, 4])
def types_on_a_line(request, rng):
    z, label = 3 + rng.normal(size=(200, 3)) * [1, 10, 0.1], rng.integers(0, request.param, 200)
    z[:, 1] += 5 * label
    return z, np.where(np.arange(200) % 4 == 0, -1, label), request.param


def test_the_layer_becomes_the_logistic_regression(types_on_a_line):
    z, seen, n_types = types_on_a_line
    scaled = (z - z.mean(axis=0)) / z.std(axis=0)
    model = LogisticRegression(C=1 / (DECAY * 150), max_iter=1000).fit(scaled[seen >= 0], seen[seen >= 0])
    np.testing.assert_allclose(refitted(z, seen, n_types), model.predict_proba(scaled), atol=1e-3)


def test_measuring_every_cell_twice_changes_nothing(types_on_a_line):
    z, seen, n_types = types_on_a_line
    twice = refitted(np.vstack([z, z]), np.append(seen, seen), n_types)
    np.testing.assert_allclose(twice[:200], refitted(z, seen, n_types), atol=1e-3)

from __future__ import annotations

import numpy as np
import pytest

from isthmus import InputError
from isthmus.metrics import silhouette_batch, silhouette_label
from isthmus.metrics._silhouette import _sample


def silhouettes(z: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Silhouette of each cell, one at a time."""
    values = []
    for i in range(len(z)):
        d = np.sqrt(((z - z[i]) ** 2).sum(1))
        own = (group == group[i]) & (np.arange(len(z)) != i)
        if not own.any():
            values.append(0.0)
            continue
        a, b = d[own].mean(), min(d[group == g].mean() for g in set(group) - {group[i]})
        values.append((b - a) / max(a, b))
    return np.array(values)


def test_label_against_the_definition(clumps):
    z, label, _ = clumps(60)
    label[0] = 7  # a type of one cell has silhouette 0
    assert silhouette_label(z, label) == pytest.approx((silhouettes(z, label).mean() + 1) / 2)


def test_batch_against_the_definition(clumps):
    z, label, batch = clumps(90, shift=2.0)
    batch[label == 2] = 0  # in one batch only: says nothing
    by_hand = np.mean([1 - np.abs(silhouettes(z[label == t], batch[label == t])).mean() for t in (0, 1)])
    assert silhouette_batch(z, batch, label) == pytest.approx(by_hand)
    assert silhouette_batch(z, batch) == pytest.approx(1 - np.abs(silhouettes(z, batch)).mean())


def test_known_cases(clumps, rng):
    z, label, batch = clumps(300)
    assert silhouette_label(z * [1, 1, 1, 0], label) > 0.85
    assert silhouette_label(z, rng.permutation(label)) == pytest.approx(0.5, abs=0.02)
    assert silhouette_batch(z, batch, label) > 0.95
    apart, _, batch = clumps(300, shift=200.0)
    assert silhouette_batch(apart, batch) < 0.1


def test_turning_shifting_and_order_change_nothing(clumps, moved, rng):
    z, label, batch = clumps(120, shift=1.0)
    order = rng.permutation(120)
    far = moved(z)[order] + 1e5
    assert silhouette_label(far, label[order]) == pytest.approx(silhouette_label(z, label), abs=1e-6)
    assert silhouette_batch(far, batch[order], label[order]) == pytest.approx(
        silhouette_batch(z, batch, label), abs=1e-6
    )


def test_a_sample_is_close_seeded_and_optional(clumps):
    z, label, batch = clumps(600, shift=1.0)
    whole = silhouette_label(z, label, max_cells=None)
    assert silhouette_label(z, label, max_cells=300, seed=1) == pytest.approx(whole, abs=0.03)
    assert silhouette_label(z, label, max_cells=300, seed=1) == silhouette_label(z, label, max_cells=300, seed=1)
    assert silhouette_label(z, label, max_cells=300, seed=1) != silhouette_label(z, label, max_cells=300, seed=2)
    whole = silhouette_batch(z, batch, label, max_cells=None)
    assert silhouette_batch(z, batch, label, max_cells=150) == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_never_loses_a_small_group(rng, seed):
    z = rng.normal(size=(3000, 2))
    few = np.where(np.arange(3000) < 3, "few", "many")
    z[few == "few"] += 30
    # Two of three are enough to find the group, which a plain sample of 60 cells would miss almost always.
    assert silhouette_label(z, few, max_cells=60, seed=seed) > 0.85
    assert silhouette_batch(z, few, max_cells=60, seed=seed) < 0.3
    assert silhouette_batch(z, few, np.arange(3000) % 2, max_cells=60, seed=seed) < 0.3
    many = np.append(np.zeros(100), np.arange(2900))  # one type of 101 cells among types of one cell
    assert 0 < silhouette_label(z, many, max_cells=60, seed=seed) < 1


def test_a_sample_keeps_the_shares_of_the_groups(rng):
    codes = rng.permutation(np.repeat([4, 7, 9], [7000, 2997, 3]))
    rows = _sample(codes, 100, rng)
    assert [int((codes[rows] == code).sum()) for code in (4, 7, 9)] == [70, 29, 2]
    assert (np.diff(rows) > 0).all()
    picked = np.concatenate([_sample(codes, 100, rng) for _ in range(300)])
    assert picked.mean() == pytest.approx(5000, abs=100)  # from everywhere, not the first ones of each group
    np.testing.assert_array_equal(_sample(codes, None, rng), np.arange(10_000))


def test_cells_without_label_are_left_out(clumps):
    z, label, batch = clumps(100)
    some = np.where(np.arange(100) < 20, np.nan, label.astype(float))
    with pytest.warns(UserWarning, match="20 of 100"):
        assert silhouette_label(z, some) == silhouette_label(z[20:], label[20:])
    with pytest.warns(UserWarning, match="20 of 100"):
        assert silhouette_batch(z, batch, some) == silhouette_batch(z[20:], batch[20:], label[20:])


def test_bad_input(clumps):
    z, label, batch = clumps(40)
    with pytest.raises(InputError, match="at least two batches"):
        silhouette_batch(z, np.zeros(40), label)
    with pytest.raises(InputError, match="a batch for every cell"):
        silhouette_batch(z, [None, *batch[1:]], label)
    with pytest.raises(InputError, match="every type is in one batch only"):
        silhouette_batch(z, batch, batch)
    with pytest.raises(InputError, match="40 different labels for 40 cells"):
        silhouette_label(z, [f"cell {i}" for i in range(40)])
    with pytest.raises(InputError, match="one value per cell"):
        silhouette_label(z, np.stack([label, label], axis=1))

from __future__ import annotations

import numpy as np
import pytest

from isthmus import InputError
from isthmus.metrics import graph_connectivity, nearest, overcorrection


def neighbours(z: np.ndarray) -> np.ndarray:
    d = ((z[:, None] - z[None]) ** 2).sum(-1)
    np.fill_diagonal(d, np.inf)
    return np.argsort(d, axis=1)[:, :-1]


def connectivity_by_walking(z: np.ndarray, label: np.ndarray, k: int, both_ways: bool) -> float:
    """Largest component of each type, from who can reach whom."""
    step = np.zeros((len(z), len(z)), dtype=bool)
    np.put_along_axis(step, neighbours(z)[:, : k - 1], True, axis=1)
    if not both_ways:
        step |= step.T
    shares = []
    for t in set(label):
        reach = step[np.ix_(label == t, label == t)] | np.eye((label == t).sum(), dtype=bool)
        for _ in range(10):
            reach = reach @ reach
        shares.append((reach & reach.T).sum(axis=1).max() / len(reach))
    return float(np.mean(shares))


@pytest.mark.parametrize("connection", ["strong", "weak"])
@pytest.mark.parametrize("k", [3, 5])
def test_connectivity_against_walking(rng, connection, k):
    z, label = rng.normal(size=(70, 2)), rng.integers(3, size=70)
    by_hand = connectivity_by_walking(z, label, k, connection == "strong")
    assert graph_connectivity(z, label, n_neighbors=k, connection=connection) == pytest.approx(by_hand)
    assert 0 < by_hand < 1


def test_connectivity_of_whole_and_halved_types(clumps):
    z, label, _ = clumps(200)
    assert graph_connectivity(z, label, n_neighbors=40) == 1
    assert graph_connectivity(z, np.zeros(200), n_neighbors=199) == 1  # one type is enough
    halved = z.copy()
    first = np.flatnonzero(label == 0)
    halved[first[: len(first) // 2]] += 500
    expected = (2 + -(-len(first) // 2) / len(first)) / 3
    assert graph_connectivity(halved, label, n_neighbors=30) == pytest.approx(expected)


def overcorrection_by_hand(z: np.ndarray, label: np.ndarray, k: int, rows: bool) -> float:
    near, values = neighbours(z), []
    for i in range(len(z)):
        count = (label == label[i]).sum()
        if count == 1:
            continue
        seen = sorted(near[i, :k]) if rows else near[i, :k]
        seen = seen[: min(count if rows else count - 1, k)]
        values.append(np.mean(label[seen] != label[i]))
    return float(np.mean(values))


@pytest.mark.parametrize("order", ["distance", "rows"])
def test_overcorrection_against_counting(rng, order):
    z = rng.normal(size=(120, 3))
    label = np.array(["common"] * 70 + ["some"] * 40 + ["rare"] * 9 + ["single"])
    z[:70, 0] += 1.5
    by_hand = overcorrection_by_hand(z, label, 25, order == "rows")
    assert overcorrection(z, label, n_neighbors=25, order=order) == pytest.approx(by_hand)


def test_row_order_hurts_rare_types_only(clumps):
    z, label, _ = clumps(300, types=2)
    assert overcorrection(z, label) < 0.001
    rare = np.where(np.arange(300) < 290, "common", "rare")  # the rare cells have the highest row numbers
    z[290:] += 100
    assert overcorrection(z, rare) == 0
    assert overcorrection(z, rare, order="rows") > 0.02


def test_overcorrection_of_chance(clumps, rng):
    z, label, _ = clumps(600, types=3)
    chance = 1 - (np.bincount(label) / 600 @ np.bincount(label) / 600)
    assert overcorrection(z, rng.permutation(label)) == pytest.approx(chance, abs=0.02)


def test_turning_and_order_change_nothing(clumps, moved, rng):
    z, label, _ = clumps(150)
    z *= [0.2, 0.2, 1, 1]
    order = rng.permutation(150)
    for score in (graph_connectivity, overcorrection):
        assert score(moved(z)[order], label[order], n_neighbors=9) == pytest.approx(score(z, label, n_neighbors=9))


@pytest.mark.parametrize("score", [graph_connectivity, overcorrection])
def test_unlabelled_cells_are_no_neighbours_and_searches_are_shared(clumps, score):
    z, label, _ = clumps(150)
    z *= [0.1, 0.1, 1, 1]
    some = [None if i % 3 == 0 else f"type {t}" for i, t in enumerate(label)]
    known = np.arange(150) % 3 > 0
    with pytest.warns(UserWarning, match="50 of 150"):
        assert score(z, some, neighbors=nearest(z, 100)) == score(z[known], label[known])
    assert score(z, label, neighbors=nearest(z, 120)) == score(z, label)


def test_bad_input(clumps):
    z, label, _ = clumps(30)
    with pytest.raises(InputError, match="'strict'"):
        graph_connectivity(z, label, connection="strict")
    with pytest.raises(InputError, match="'random'"):
        overcorrection(z, label, order="random")
    with pytest.raises(InputError, match="at least 2 different labels"):
        overcorrection(z, ["T"] * 30)
    with pytest.raises(InputError, match="only types of a single cell"):
        overcorrection(z, range(30))

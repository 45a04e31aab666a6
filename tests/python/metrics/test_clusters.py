from __future__ import annotations

import itertools

import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData

from isthmus import InputError
from isthmus.metrics import leiden_sweep, nearest


def rand_by_pairs(a: np.ndarray, b: np.ndarray) -> float:
    """Adjusted Rand index, counted pair by pair."""
    both = one = other = total = 0
    for i, j in itertools.combinations(range(len(a)), 2):
        x, y = a[i] == a[j], b[i] == b[j]
        both, one, other, total = both + (x and y), one + x, other + y, total + 1
    expected = one * other / total
    return (both - expected) / ((one + other) / 2 - expected)


def information_by_counts(a: np.ndarray, b: np.ndarray) -> float:
    """Normalised mutual information from the joint table."""

    def entropy(x: list) -> float:
        p = np.array([x.count(v) for v in set(x)]) / len(x)
        return float(-(p * np.log(p)).sum())

    x, y = list(a), list(b)
    hx, hy = entropy(x), entropy(y)
    return 2 * (hx + hy - entropy(list(zip(x, y, strict=True)))) / (hx + hy)


def test_the_same_as_scanpy_and_counting_by_hand(clumps, rng):
    z, label, _ = clumps(150, types=4)
    z += 3 * rng.normal(size=z.shape)  # types overlap, so that the scores are neither 0 nor 1
    found = leiden_sweep(z, label, resolutions=[0.3, 1.0, 1.7], seed=3)
    adata = AnnData(z)
    sc.pp.neighbors(adata, n_neighbors=15, use_rep="X")
    by_hand = []
    for resolution in (0.3, 1.0, 1.7):
        sc.tl.leiden(adata, resolution=resolution, random_state=3, flavor="igraph", n_iterations=2, directed=False)
        clusters = adata.obs["leiden"].to_numpy()
        by_hand.append((information_by_counts(label, clusters), rand_by_pairs(label, clusters), resolution))
    assert found == pytest.approx(max(by_hand, key=lambda scores: scores[0]), abs=1e-9)
    assert 0 < found.ari < 1


def test_separated_types_are_found_whole(clumps):
    z, label, _ = clumps(200)
    scores = leiden_sweep(z * [1, 1, 1, 0.1], label, resolutions=[0.05, 0.1])
    assert scores.nmi == pytest.approx(1)
    assert scores.ari == pytest.approx(1)


def test_shuffled_labels_agree_by_chance_only(clumps, rng):
    z, label, _ = clumps(300)
    scores = leiden_sweep(z, rng.permutation(label), resolutions=[0.1, 1])
    assert abs(scores.ari) < 0.05
    assert scores.nmi < 0.1


def test_cells_without_label_are_left_out(clumps):
    z, label, _ = clumps(160)
    some = label.astype(object)
    some[::5] = None
    known = np.arange(160) % 5 > 0
    with pytest.warns(UserWarning, match="32 of 160 cells have no label"):
        scores = leiden_sweep(z, some, resolutions=[0.5])
    assert scores == leiden_sweep(z[known], label[known], resolutions=[0.5])


def test_a_shared_search_and_strings_change_nothing(clumps):
    z, label, _ = clumps(120)
    names = np.array(["T", "B", "NK"])[label]
    alone = leiden_sweep(z, label, resolutions=[0.4, 1.2])
    assert leiden_sweep(z, names, resolutions=[0.4, 1.2], neighbors=nearest(z, 40)) == alone


def test_more_cells_than_the_brute_search_of_scanpy_takes(clumps):
    z, label, _ = clumps(4_200)
    assert leiden_sweep(z, label, resolutions=[0.01]).nmi > 0.9


def test_few_cells(clumps):
    z, label, _ = clumps(9)
    assert 0 <= leiden_sweep(z, label, resolutions=[0.5]).nmi <= 1


@pytest.mark.parametrize(
    ("labels", "settings", "found"),
    [
        (["a"] * 30, {}, "1 ('a')"),
        ([None] * 30, {}, "no cell has a label"),
        (["a", "b"], {}, "2 values"),
        (["a", "b"] * 15, {"resolutions": []}, "none"),
        (["a", "b"] * 15, {"n_neighbors": 1}, "1"),
    ],
)
def test_bad_input(rng, labels, settings, found):
    with pytest.raises(InputError) as caught:
        leiden_sweep(rng.normal(size=(30, 3)), labels, **settings)
    assert found in caught.value.found


def test_neighbours_of_other_cells_are_refused(clumps):
    z, label, _ = clumps(60)
    with pytest.raises(InputError, match="20 neighbours of 30 cells"):
        leiden_sweep(z, label, neighbors=nearest(z[:30], 20))
    with pytest.raises(InputError, match="at least 14"):
        leiden_sweep(z, label, neighbors=nearest(z, 5))

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from isthmus import InputError
from isthmus.metrics import batch_entropy_mixing, ilisi, nearest

ILISI_OF_SCIB_METRICS = 0.314924


def ilisi_by_hand(z: np.ndarray, batch: np.ndarray, k: int, perplexity: float) -> float:
    """One cell at a time, with a root finder instead of a bisection."""
    names, lisi = sorted(set(batch)), []
    for i in range(len(z)):
        d = np.sqrt(((z - z[i]) ** 2).sum(1))
        d[i] = np.inf
        near = np.argsort(d)[: k - 1]

        def weights(beta: float, d: np.ndarray = d[near]) -> np.ndarray:
            w = np.exp(-beta * (d - d.min()))
            return w / w.sum()

        def gap(beta: float) -> float:
            w = weights(beta)
            return -(w * np.log(w + 1e-300)).sum() - np.log(perplexity)

        w = weights(brentq(gap, 1e-6, 1e3, xtol=1e-14))
        lisi.append(1 / sum(w[batch[near] == b].sum() ** 2 for b in names))
    return (np.median(lisi) - 1) / (len(names) - 1)


@pytest.mark.parametrize(("k", "perplexity"), [(90, 30.0), (31, 8.0)])
def test_ilisi_against_one_cell_at_a_time(clumps, k, perplexity):
    z, _, batch = clumps(140, batches=3, shift=2.0)
    by_hand = ilisi_by_hand(z, batch, k, perplexity)
    assert ilisi(z, batch, n_neighbors=k, perplexity=perplexity) == pytest.approx(by_hand, abs=1e-4)
    assert 0.1 < by_hand < 0.9


def grid_with_batches() -> tuple[np.ndarray, np.ndarray]:
    """Points that any program can rebuild: a spiral, and batches by a fixed rule."""
    i = np.arange(300)
    z = np.stack([np.sqrt(i) * np.cos(2.4 * i), np.sqrt(i) * np.sin(2.4 * i), np.sin(0.37 * i)], axis=1)
    return z.astype(np.float32), (z[:, 0] + 6 * np.sin(1.7 * i) > 0).astype(int) + (i % 7 == 0)


def test_ilisi_of_another_program():
    # scib-metrics 0.5.10, ilisi_knn on exact neighbours of these points (90, the cell itself counted).
    z, batch = grid_with_batches()
    assert ilisi(z, batch) == pytest.approx(ILISI_OF_SCIB_METRICS, abs=2e-5)


def test_ilisi_beside_scib_metrics_where_installed():
    scib = pytest.importorskip("scib_metrics", reason="scib-metrics is an extra: pip install isthmus[metrics]")
    from scib_metrics.nearest_neighbors import NeighborsResults

    z, batch = grid_with_batches()
    near = nearest(z, 89)
    itself = NeighborsResults(
        indices=np.hstack([np.arange(300)[:, None], near.indices]),
        distances=np.hstack([np.zeros((300, 1)), near.distances]).astype(np.float32),
    )
    assert ilisi(z, batch) == pytest.approx(float(scib.ilisi_knn(itself, batch)), abs=2e-5)


def test_ilisi_of_mixed_and_separated_batches(clumps):
    z, _, batch = clumps(500)
    assert ilisi(z, batch) > 0.9
    apart, _, batch = clumps(400, shift=1e4)
    assert ilisi(apart, batch) == pytest.approx(0, abs=1e-9)


def test_ilisi_does_not_feel_units_rotation_or_order(clumps, moved, rng):
    z, _, batch = clumps(200, shift=1.5)
    order = rng.permutation(200)
    plain = ilisi(z, batch)
    for scale in (1e-6, 1, 1e6):
        assert ilisi(scale * moved(z)[order], batch[order]) == pytest.approx(plain, abs=1e-4)


def test_ilisi_of_few_cells_copies_and_shared_searches(clumps):
    z, _, batch = clumps(20)
    assert ilisi(z, batch) == ilisi(z, batch, n_neighbors=20, perplexity=20 / 3)
    assert 0 <= ilisi(np.zeros((50, 3)), np.arange(50) % 2) <= 1  # collapsed: every distance is 0
    z, _, batch = clumps(150)
    assert ilisi(z, batch, neighbors=nearest(z, 100)) == ilisi(z, batch)


def entropy_by_hand(z: np.ndarray, batch: np.ndarray, k: int) -> np.ndarray:
    d = ((z[:, None] - z[None]) ** 2).sum(-1)
    np.fill_diagonal(d, np.inf)
    values = []
    for near in np.argsort(d, axis=1)[:, :k]:
        q = np.array([np.mean(batch[near] == b) / np.mean(batch == b) for b in sorted(set(batch))])
        q /= q.sum()
        values.append(-sum(x * np.log(x + 1e-8) for x in q))
    return np.array(values)


def test_entropy_against_one_cell_at_a_time(clumps):
    z, _, batch = clumps(120, batches=3, shift=1.5)
    by_hand = entropy_by_hand(z, batch, 20)
    settings = {"n_neighbors": 20, "n_pools": None}
    assert batch_entropy_mixing(z, batch, **settings) == pytest.approx(by_hand.mean() / np.log(3))
    literal = batch_entropy_mixing(z, batch, normalizer="authors", **settings)
    assert literal == pytest.approx(by_hand.mean() / np.log2(3))


def test_entropy_draws_estimate_the_mean_and_follow_the_seed(clumps):
    z, _, batch = clumps(200, shift=2.0)
    every = batch_entropy_mixing(z, batch, n_pools=None)
    assert batch_entropy_mixing(z, batch, seed=1) == pytest.approx(every, abs=0.01)
    assert batch_entropy_mixing(z, batch, seed=1) == batch_entropy_mixing(z, batch, seed=1)
    assert batch_entropy_mixing(z, batch, seed=1) != batch_entropy_mixing(z, batch, seed=2)


def test_entropy_of_mixed_and_separated_batches(rng):
    z = rng.normal(size=(900, 3))
    uneven = (rng.random(900) < 0.1).astype(int)  # the size of a batch is corrected for
    assert batch_entropy_mixing(z, uneven, n_neighbors=300) > 0.97
    assert batch_entropy_mixing(z, uneven, n_neighbors=300, normalizer="authors") == pytest.approx(np.log(2), abs=0.02)
    assert batch_entropy_mixing(z + 1e3 * uneven[:, None], uneven, n_neighbors=50) == pytest.approx(0, abs=1e-6)


def test_entropy_inside_types(clumps):
    z, label, batch = clumps(150, shift=1.0)
    batch[label == 2] = 0  # a type of one batch is no part of the score
    settings = {"n_neighbors": 30, "n_pools": None}
    parts = [batch_entropy_mixing(z[label == t], batch[label == t], **settings) for t in (0, 1)]
    sizes = [(label == t).sum() for t in (0, 1)]
    names = np.array(["T", "B", "NK"])[label]
    assert batch_entropy_mixing(z, batch, names, **settings) == pytest.approx(np.average(parts, weights=sizes))


def test_bad_input(clumps):
    z, _, batch = clumps(40)
    for score in (ilisi, batch_entropy_mixing):
        with pytest.raises(InputError, match="at least two batches"):
            score(z, ["one"] * 40)
        with pytest.raises(InputError, match="1 of 40 cells without one"):
            score(z, [np.nan, *batch[1:].astype(float)])
        with pytest.raises(InputError, match="as many values in batches as cells"):
            score(z, batch[:-1])
    with pytest.raises(InputError, match="perplexity 0"):
        ilisi(z, batch, perplexity=0)
    with pytest.raises(InputError, match="at least four cells"):
        ilisi(z[:3], [0, 1, 0])
    with pytest.raises(InputError, match="'log2'"):
        batch_entropy_mixing(z, batch, normalizer="log2")
    with pytest.raises(InputError, match="a type found in two batches"):
        batch_entropy_mixing(z, batch, batch)

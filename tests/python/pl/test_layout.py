from __future__ import annotations

import numpy as np
import pytest

from isthmus.pl import umap
from isthmus.pl._axes import point_size, spread


def test_neighbours_stay_neighbours_and_the_seed_decides(rng):
    clump = np.repeat([0, 1, 2], 30)
    z = rng.normal(size=(90, 6)) + 30 * np.eye(3, 6)[clump]
    xy = umap(z, seed=4)
    assert xy.shape == (90, 2)
    assert xy.dtype == np.float32
    d = ((xy[:, None] - xy[None]) ** 2).sum(-1) + 1e9 * np.eye(90)
    assert (clump[d.argmin(axis=1)] == clump).all()
    np.testing.assert_array_equal(xy, umap(z, seed=4))
    assert not np.array_equal(xy, umap(z, seed=5))


@pytest.mark.parametrize("n", [5, 12, 31])
def test_few_cells(rng, n):
    assert np.isfinite(umap(rng.normal(size=(n, 8)))).all()


def test_names_are_moved_apart_only_where_they_touch(rng):
    centers = rng.random((15, 2)) * [0.4, 0.3]
    widths = np.full(15, 0.1)
    places = spread(centers, widths, 0.04)
    dx, dy = np.abs(places[:, None] - places[None]).transpose(2, 0, 1)
    touching = (dx < 0.1) & (dy < 0.039) & ~np.eye(15, dtype=bool)
    assert not touching.any()
    np.testing.assert_array_equal(places[:, 0], centers[:, 0])
    apart = np.array([[0.0, 0.0], [0.0, 0.5], [0.5, 0.0]])
    np.testing.assert_array_equal(spread(apart, widths[:3], 0.04), apart)
    same = spread(np.zeros((3, 2)), widths[:3], 0.04)
    assert np.diff(np.sort(same[:, 1])).min() > 0.039


def test_points_shrink_with_their_number():
    sizes = [point_size(n) for n in (0, 10, 1_000, 10_000, 1_000_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 0

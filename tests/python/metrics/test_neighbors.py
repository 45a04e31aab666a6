from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus import InputError
from isthmus.metrics import nearest


def by_hand(z: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    d = np.sqrt(((z[:, None] - z[None]) ** 2).sum(-1))
    np.fill_diagonal(d, np.inf)
    indices = np.argsort(d, axis=1, kind="stable")[:, :k]
    return indices, np.take_along_axis(d, indices, axis=1)


@pytest.mark.parametrize("at_once", [100, 1 << 19], ids=["blocks", "at once"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_nearest_other_cells_in_order(rng, monkeypatch, at_once, offset):
    monkeypatch.setattr("isthmus.metrics._neighbors.DISTANCES_AT_ONCE", at_once)
    z = rng.normal(size=(80, 4)) + offset
    near = nearest(z, 12)
    indices, distances = by_hand(z, 12)
    np.testing.assert_array_equal(near.indices, indices)
    np.testing.assert_allclose(near.distances, distances, atol=1e-12)
    np.testing.assert_array_equal(near.first(3).indices, indices[:, :3])


def test_a_cell_is_not_its_own_neighbour_even_among_copies():
    z = np.repeat(np.eye(3), 5, axis=0)
    near = nearest(z, 4)
    assert (near.indices != np.arange(15)[:, None]).all()
    assert (near.distances == 0).all()


def test_fewer_cells_than_neighbours_gives_all_others(rng):
    near = nearest(rng.normal(size=(6, 2)), 100)
    assert near.k == 5
    assert all(sorted([i, *row]) == list(range(6)) for i, row in enumerate(near.indices))


def test_the_approximate_search_is_tidied(rng, monkeypatch):
    """The search is another package's and slow to compile; ours is to take the cell itself off its list."""
    z = rng.normal(size=(40, 3))
    indices, distances = by_hand(z, 6)
    indices = np.hstack([np.arange(40)[:, None], indices])
    distances = np.hstack([np.zeros((40, 1)), distances])
    indices[3, :2] = indices[3, 1::-1]  # a copy of the cell may come first
    indices[7], distances[7] = by_hand(z, 7)[0][7], by_hand(z, 7)[1][7]  # a cell may miss itself

    class Found:
        def __init__(self, points, n_neighbors, random_state, n_jobs):
            assert (len(points), n_neighbors, random_state) == (40, 7, 5)
            self.neighbor_graph = indices, distances

    monkeypatch.setitem(sys.modules, "pynndescent", SimpleNamespace(NNDescent=Found))
    quick, exact = nearest(z, 6, approximate_above=39, seed=5), nearest(z, 6, approximate_above=40)
    np.testing.assert_array_equal(quick.indices, exact.indices)
    np.testing.assert_allclose(np.delete(quick.distances, 3, axis=0), np.delete(exact.distances, 3, axis=0))


@pytest.mark.parametrize(
    ("embedding", "found"),
    [
        (np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 2.0]]), "1 of 3 cells, the first at row 1"),
        (np.array([[0.0, np.inf], [1.0, 1.0]]), "1 of 2 cells, the first at row 0"),
        (np.zeros(5), "shape (5,)"),
        (np.zeros((1, 3)), "1"),
        (np.array([["a", "b"], ["c", "d"]]), "could not convert"),
    ],
)
def test_bad_embeddings(embedding, found):
    with pytest.raises(InputError) as caught:
        nearest(embedding, 2)
    assert found in caught.value.found
    assert caught.value.remedy


def test_no_neighbours_asked_for():
    with pytest.raises(InputError, match="at least one neighbour"):
        nearest(np.eye(4), 0)

"""Graph of near cells and its clusters, against scanpy and UMAP's definition."""

from __future__ import annotations

import random

import igraph
import numpy as np
import pytest
import scanpy as sc
from anndata import AnnData

from isthmus.metrics import nearest
from isthmus.metrics._graph import fuzzy_graph, leiden


def overlapping(rng, n_cells=300):
    return rng.normal(size=(n_cells, 6)) + 2.5 * rng.integers(0, 4, (n_cells, 1)) * [1, 1, 0, 0, 0, 0]


@pytest.fixture
def theirs(rng):
    cells = AnnData(overlapping(rng))
    sc.pp.neighbors(cells, n_neighbors=12, use_rep="X")
    return cells


def test_weights_are_scanpys(theirs):
    mine = fuzzy_graph(nearest(theirs.X, 11))
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine.toarray(), theirs.obsp["connectivities"].toarray(), atol=1e-4)


@pytest.mark.parametrize("resolution", [0.3, 1.0, 2.5])
def test_clusters_are_scanpys_with_the_same_seed(theirs, resolution):
    for seed in (0, 4):
        sc.tl.leiden(theirs, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
        mine = leiden(fuzzy_graph(nearest(theirs.X, 11)), resolution, seed)
        np.testing.assert_array_equal(mine, theirs.obs["leiden"].astype(int))


def test_each_row_of_weights_sums_to_log2_of_the_neighbours(rng):
    z = overlapping(rng, 80)
    near = nearest(z, 9)
    there = np.zeros((80, 80))
    for i, (js, ds) in enumerate(zip(near.indices, near.distances, strict=True)):
        low, high = 1e-6, 1e3
        for _ in range(200):
            sigma = (low + high) / 2
            w = np.exp(-(ds - ds[0]) / sigma)
            low, high = (low, sigma) if w.sum() > np.log2(10) else (sigma, high)
        there[i, js] = w
    np.testing.assert_allclose(fuzzy_graph(near).toarray(), there + there.T - there * there.T, atol=1e-4)


def test_copies_of_a_cell_have_full_weights_and_no_warning(rng):
    z = np.repeat(rng.normal(size=(4, 3)), 20, axis=0)
    graph = fuzzy_graph(nearest(z, 10))
    assert (graph.data == 1).all()
    assert len(np.unique(leiden(graph, 1.0, 0))) >= 4
    near = fuzzy_graph(nearest(np.concatenate([z, z + 1e-3 * rng.normal(size=z.shape)]), 30))
    assert np.isfinite(near.data).all()
    assert (near.data <= 1).all()


def test_neither_seed_of_igraph_nor_order_of_types_is_touched(rng):
    graph = fuzzy_graph(nearest(overlapping(rng), 11))
    random.seed(3)
    before = random.getstate()
    first = leiden(graph, 1.0, 1)
    assert random.getstate() == before
    random.seed(9)
    igraph.Graph.Erdos_Renyi(n=9, p=0.5)
    np.testing.assert_array_equal(leiden(graph, 1.0, 1), first)

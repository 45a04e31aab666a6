"""The graph of nearest cells and its clusters, as scanpy has them.

Written out because scanpy compiles its own anew in every process: 120 MiB and some seconds.
"""

from __future__ import annotations

import random

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from isthmus.metrics._neighbors import Neighbors

HALVINGS = 64
LEAST_SCALE = 1e-3  # of a cell's distances, in their mean


def fuzzy_graph(neighbors: Neighbors) -> sp.csr_matrix:
    r"""UMAP's weights of the edges between near cells.

    With :math:`d_{ij}` the distance of cell i's neighbour j and :math:`\rho_i` the smallest one that is not 0,

    .. math:: w_{ij} = \exp(-\max(d_{ij} - \rho_i, 0) / \sigma_i), \qquad \sum_j w_{ij} = \log_2(k + 1),

    and an edge has the weight :math:`w_{ij} + w_{ji} - w_{ij} w_{ji}`.

    Parameters
    ----------
    neighbors
        The k nearest others of each cell.

    Returns
    -------
    scipy.sparse.csr_matrix
        (cells, cells) float32, symmetric, in (0, 1].

    References
    ----------
    McInnes et al. 2018, arXiv:1802.03426, section 3.1.
    """
    distance = neighbors.distances.astype(np.float32)
    n, k = distance.shape
    nearest = np.where(distance > 0, distance, np.inf).min(axis=1)
    beyond = np.maximum(distance - np.where(np.isfinite(nearest), nearest, 0)[:, None], 0)
    mean = np.where(np.isfinite(nearest), distance.sum(axis=1) / (k + 1), distance.sum() / (n * (k + 1)))
    scale = np.maximum(_scales(beyond, np.log2(k + 1)), LEAST_SCALE * mean)
    weight = np.exp(-np.divide(beyond, scale[:, None], out=np.zeros_like(beyond), where=scale[:, None] > 0))
    there = sp.csr_matrix(
        (weight.astype(np.float32).ravel(), neighbors.indices.ravel(), np.arange(0, n * k + 1, k)), (n, n)
    )
    back = there.T.tocsr()
    return (there + back - there.multiply(back)).tocsr()


def _scales(beyond: NDArray[np.float32], total: float) -> NDArray[np.float64]:
    """(cells,) the sigma by which each row's weights sum to ``total``, by halving."""
    low, high, scale = np.zeros(len(beyond)), np.full(len(beyond), np.inf), np.ones(len(beyond))
    for _ in range(HALVINGS):
        too_wide = np.exp(-beyond / scale[:, None]).sum(axis=1) > total
        high, low = np.where(too_wide, scale, high), np.where(too_wide, low, scale)
        scale = np.where(np.isinf(high), 2 * scale, (low + high) / 2)
    return scale


def leiden(graph: sp.csr_matrix, resolution: float, seed: int) -> NDArray[np.int64]:
    """Clusters of a weighted graph, by two rounds of igraph's Leiden on modularity (Traag et al. 2019).

    Parameters
    ----------
    graph
        (cells, cells) symmetric weights.
    resolution
        The higher, the more clusters.
    seed
        Where chance comes from.

    Returns
    -------
    numpy.ndarray
        (cells,) int64 codes from 0.
    """
    import igraph

    edges = graph.tocoo()
    both_ways = igraph.Graph(n=graph.shape[0], edges=np.column_stack([edges.row, edges.col]))
    igraph.set_random_number_generator(_Random(seed))
    try:
        found = both_ways.community_leiden("modularity", weights=edges.data, resolution=resolution, n_iterations=2)
    finally:
        igraph.set_random_number_generator(random)
    return np.array(found.membership, dtype=np.int64)


class _Random:
    """NumPy's generator, as scanpy lends it to igraph: the same seed gives the same clusters."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.RandomState(seed)
        self.random, self.gauss = self._rng.random_sample, self._rng.normal

    def getrandbits(self, k: int) -> int:
        return self._rng.tomaxint() & ((1 << k) - 1)

    def randint(self, low: int, high: int) -> int:
        return self._rng.randint(low, high + 1)

"""Nearest neighbours, searched once and shared by the scores that need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.metrics._inputs import as_embedding

DISTANCES_AT_ONCE = 1 << 19  # 4 MiB, which stay in the processor's cache
ROWS_AT_ONCE = 32  # at the least


@dataclass(frozen=True)
class Neighbors:
    """The nearest other cells of each cell, nearest first.

    Attributes
    ----------
    indices
        Row numbers, ``(cells, k)``; a cell is never its own neighbour.
    distances
        Euclidean distances, ``(cells, k)``, rising along each row.
    """

    indices: NDArray[np.intp]
    distances: NDArray[np.float64]

    @property
    def k(self) -> int:
        """Number of neighbours per cell."""
        return self.indices.shape[1]

    def first(self, k: int) -> Neighbors:
        """Return the ``k`` nearest of them."""
        return Neighbors(self.indices[:, :k], self.distances[:, :k])


def nearest(embedding: ArrayLike, n_neighbors: int, *, approximate_above: int = 100_000, seed: int = 0) -> Neighbors:
    """Find the nearest other cells of each cell, by Euclidean distance.

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    n_neighbors
        How many; where there are fewer other cells, all of them (``min(n_neighbors, cells - 1)``).
    approximate_above
        Number of cells above which the search is approximate (nearest neighbour descent) instead of exact.
    seed
        Seed of the approximate search; the exact one needs none.

    Returns
    -------
    Neighbors
        Indices and distances, ``(cells, k)`` each.

    Raises
    ------
    InputError
        If the embedding is not finite, has fewer than two cells, or no neighbour is asked for.
    """
    z = as_embedding(embedding)
    if n_neighbors < 1:
        raise InputError("at least one neighbour", str(n_neighbors), "raise n_neighbors")
    k = min(int(n_neighbors), len(z) - 1)
    if len(z) > approximate_above:
        return _descent(z, k, seed)
    return _exact(z, k)


def _exact(z: NDArray[np.float64], k: int) -> Neighbors:
    """All distances, some rows at a time.

    scikit-learn takes 66 MiB before it begins. Up to 20,000 cells it is no faster, at 80,000 nearly twice as fast.
    """
    import torch

    cells = torch.from_numpy(z - z.mean(axis=0))  # around 0, where |a|^2 - 2ab + |b|^2 loses least
    square, n = cells.square().sum(dim=1), len(cells)
    indices, distances = np.empty((n, k), dtype=np.intp), np.empty((n, k))
    for rows in torch.arange(n).split(max(ROWS_AT_ONCE, DISTANCES_AT_ONCE // n)):
        order = torch.addmm(square, cells[rows], cells.T, alpha=-2.0)  # of the others, as their distances have it
        order[torch.arange(len(rows)), rows] = torch.inf  # not the cell itself, also where copies of it are
        found = order.topk(k, dim=1, largest=False).indices
        distance, rank = (cells[rows, None] - cells[found]).norm(dim=2).sort(dim=1, stable=True)
        indices[rows], distances[rows] = found.gather(1, rank).numpy(), distance.numpy()
    return Neighbors(indices, distances)


def _descent(z: NDArray[np.float64], k: int, seed: int) -> Neighbors:
    from pynndescent import NNDescent

    index = NNDescent(z.astype(np.float32), n_neighbors=k + 1, random_state=seed, n_jobs=-1)
    indices, distances = index.neighbor_graph
    # The cell itself is usually, but not always, in its own list: push it, or else the farthest, out at the
    # end.
    itself = indices == np.arange(len(z))[:, None]
    itself[~itself.any(axis=1), -1] = True
    keep = ~itself
    return Neighbors(
        indices[keep].reshape(len(z), k).astype(np.intp),
        distances[keep].reshape(len(z), k).astype(np.float64),
    )


def shared(z: NDArray[np.float64], k: int, neighbors: Neighbors | None) -> Neighbors:
    """Return the ``min(k, cells - 1)`` nearest cells, from a search already made where one is given.

    Raises
    ------
    InputError
        If the given neighbours belong to other cells or are too few.
    """
    if neighbors is None:
        return nearest(z, k)
    k = min(k, len(z) - 1)
    if neighbors.indices.shape[0] != len(z) or neighbors.k < k:
        raise InputError(
            f"neighbours of these {len(z)} cells, at least {k} of each",
            f"{neighbors.k} neighbours of {neighbors.indices.shape[0]} cells",
            f"pass isthmus.metrics.nearest(embedding, {k}), or leave the argument out",
        )
    return neighbors.first(k)

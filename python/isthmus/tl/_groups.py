"""Groups of similar cells, within which batches are compared like with like.

A difference between whole batches mixes what a batch does to every cell with which cells it holds; within a group of
similar cells it is the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

CELLS_A_GROUP = 100  # so that a group holds cells of most batches
GROUPS = (8, 50)  # groups of similar cells: least and most
ROUNDS = 3  # of grouping and correcting in turn
CELLS_TO_GROUP = 50_000  # centres are found from so many cells at the most
LEAST_SHARE = 1e-9  # a difference below this share of the largest is rounding


def group_cells(z: np.ndarray, seed: int, n_groups: int | None = None, weight: np.ndarray | None = None) -> KMeans:
    """K-means of (cells, latent), fitted to all or, of very many, to some of them.

    Parameters
    ----------
    n_groups
        None = by the number of cells.
    weight
        (cells,) how much each counts; None = all alike.
    """
    from sklearn.cluster import KMeans  # 66 MiB: not before it is needed

    n_groups = min(n_groups or int(np.clip(len(z) // CELLS_A_GROUP, *GROUPS)), len(z))
    some = np.sort(np.random.default_rng(seed).permutation(len(z))[:CELLS_TO_GROUP])
    means = KMeans(n_groups, n_init=4, random_state=seed)
    return means.fit(z[some], sample_weight=None if weight is None else weight[some])


def batch_directions(z: np.ndarray, group: np.ndarray, batches: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Directions in which batches differ within groups, and how much of the variance there is theirs.

    Least squares of ``z ~ group + batch``: with two batches the one direction is the mean over groups of the difference
    between their means, weighed by ``1 / (1 / n_1 + 1 / n_2)``. A group of one batch says nothing.

    Parameters
    ----------
    z
        (cells, latent).
    group
        (cells,) codes.
    batches
        Codes, (cells,) each, of one factor or more.

    Returns
    -------
    directions, share
        (latent, directions) orthonormal, and (directions,) within 0..1: variance that batches explain over variance,
        both within groups and along the direction. No directions if all cells are of one batch, or all groups are.
    """
    of_group, of_batch = _indicators([group]), _indicators(batches)
    size, table = np.maximum(of_group.sum(axis=0).A1, 1), (of_group.T @ of_batch).toarray()
    within = z.astype(np.float64) - of_group @ ((of_group.T @ z) / size[:, None])
    gram = (of_batch.T @ of_batch).toarray() - table.T @ (table / size[:, None])  # of indicators, less group means
    explained = of_batch.T @ within
    explained = explained.T @ np.linalg.pinv(gram, rcond=LEAST_SHARE, hermitian=True) @ explained
    values, vectors = np.linalg.eigh(explained)
    total = np.einsum("ij,ij->j", vectors, (within.T @ within) @ vectors)
    kept = np.flatnonzero(values > LEAST_SHARE * np.square(within).sum())[::-1]
    return vectors[:, kept], values[kept] / total[kept]


def _indicators(codes: Sequence[np.ndarray]) -> sp.csr_matrix:
    """(cells, levels of all factors) 0/1."""
    return sp.hstack(
        [sp.csr_matrix((np.ones(len(c)), (np.arange(len(c)), c)), shape=(len(c), c.max() + 1)) for c in codes],
        format="csr",
    )

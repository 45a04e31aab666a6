"""Do the two profiles of one cell meet? FOSCTTM."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.metrics._inputs import as_embedding

_PIECE = 100_000  # pairs compared exactly at a time


def foscttm(first: ArrayLike, second: ArrayLike, *, block_size: int | None = None) -> float:
    r"""Fraction of samples closer than the true match, 0..1; lower is better, 0.5 is chance.

    .. math:: F = \frac{1}{2N} \left(\sum_i \frac{|\{j: \|u_i - v_j\| < \|u_i - v_i\|\}|}{N}
              + \sum_i \frac{|\{j: \|v_i - u_j\| < \|v_i - u_i\|\}|}{N}\right)

    Parameters
    ----------
    first, second
        Embeddings ``(cells, latent)`` of the same cells in two modalities, in the same order.
    block_size
        Cells per block; default such that a block takes about 16 MB. There is never a matrix of all pairs.

    Returns
    -------
    float
        0..1, the mean over cells and both directions.

    Raises
    ------
    InputError
        If the shapes differ or a value is not finite.

    References
    ----------
    Liu et al. 2019, WABI (FOSCTTM); counted as in Cao & Gao 2022, Nature Biotechnology 40:1458: strictly
    closer cells, divided by the number of all cells.
    """
    one, other = foscttm_per_cell(first, second, block_size=block_size)
    return float((one.mean() + other.mean()) / 2)


def foscttm_per_cell(
    first: ArrayLike, second: ArrayLike, *, block_size: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fraction of samples closer than the true match, for each cell and direction.

    Parameters
    ----------
    first, second, block_size
        As for :func:`foscttm`.

    Returns
    -------
    tuple of numpy.ndarray
        ``(cells,)`` from the first modality to the second, and ``(cells,)`` back.

    Raises
    ------
    InputError
        As for :func:`foscttm`.
    """
    u, v = as_embedding(first, "first embedding"), as_embedding(second, "second embedding")
    if u.shape != v.shape:
        raise InputError(
            "two embeddings of the same cells in the same space",
            f"shapes {u.shape} and {v.shape}",
            "keep the paired cells only, in the same order, and the latent space they share",
        )
    center = (u.mean(axis=0) + v.mean(axis=0)) / 2
    u, v = u - center, v - center
    block = max(1, int(2e6 // len(u))) if block_size is None else int(block_size)
    if block < 1:
        raise InputError("a block_size of at least 1", str(block_size), "leave block_size out")
    return _closer(u, v, block), _closer(v, u, block)


def _closer(u: NDArray[np.float64], v: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """Share of rows of ``v`` strictly closer to ``u[i]`` than ``v[i]``, ``(cells,)``."""
    norms = (v**2).sum(axis=1)
    # |u_i - v_j|^2 - |u_i|^2 in one product, which is far faster than differences but rounds: near ties are
    # looked at again exactly. Every cell nearly ties with its own match, so a single near tie needs no second
    # look.
    left, right = np.hstack([u, np.ones((len(u), 1))]), np.hstack([-2 * v, norms[:, None]]).T
    share = np.empty(len(u))
    for start in range(0, len(u), block):
        rows = slice(start, start + block)
        true = ((u[rows] - v[rows]) ** 2).sum(axis=1)
        own = (u[rows] ** 2).sum(axis=1)
        doubt = 1e-12 * (norms.max() + own.max())
        relative = left[rows] @ right
        count = np.count_nonzero(relative < (true - own - doubt)[:, None], axis=1)
        upper = np.count_nonzero(relative <= (true - own + doubt)[:, None], axis=1)
        again = np.flatnonzero(upper - count > 1)
        near = np.abs(relative[again] - (true - own)[again, None]) <= doubt
        i, j = np.nonzero(near)
        i = again[i]
        # In pieces: in a collapsed embedding all pairs are near ties.
        for piece in range(0, len(i), _PIECE):
            a, b = i[piece : piece + _PIECE], j[piece : piece + _PIECE]
            exact = ((u[start + a] - v[b]) ** 2).sum(axis=1) < true[a]
            count += np.bincount(a[exact], minlength=len(count))
        share[rows] = count / len(v)
    return share

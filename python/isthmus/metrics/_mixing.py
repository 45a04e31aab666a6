"""Do batches mix in every neighbourhood? iLISI and entropy of batch mixing."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.metrics._inputs import Labels, as_batches, as_embedding, labelled
from isthmus.metrics._neighbors import Neighbors, shared

_CHUNK = 20_000  # cells at a time: 20,000 x 90 float64 is 14 MB per temporary


def ilisi(
    embedding: ArrayLike,
    batches: Labels,
    *,
    n_neighbors: int = 90,
    perplexity: float = 30.0,
    neighbors: Neighbors | None = None,
) -> float:
    r"""Effective number of batches around a cell, scaled to 0..1; higher is better.

    Neighbours at distance :math:`d_j` weigh :math:`p_j \propto e^{-\beta d_j}`, with :math:`\beta` such that
    the entropy of the weights is the logarithm of the perplexity. With :math:`q_b` the weight of batch
    :math:`b`,

    .. math:: LISI_i = \frac{1}{\sum_b q_b^2}, \qquad iLISI = \frac{\operatorname{median}_i LISI_i - 1}{B - 1}

    Batches of unequal size cannot reach 1, even when perfectly mixed.

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    batches
        Batch of each cell, ``(cells,)``.
    n_neighbors
        Neighbours, the cell itself counted but given no weight, as in the authors' code and scib-metrics.
        With fewer cells, all of them, and the perplexity is at most a third of what is left.
    perplexity
        Effective size of the neighbourhood.
    neighbors
        A search over the same cells to use again (:func:`nearest`).

    Returns
    -------
    float
        0..1.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, a cell has no batch, there is one batch, there are
        fewer than four cells, or the perplexity is not above 1.

    References
    ----------
    Korsunsky et al. 2019, Nature Methods 16:1289 (LISI); Luecken et al. 2022, Nature Methods 19:41 (the
    scale).
    """
    z = as_embedding(embedding)
    codes, n_batches = as_batches(batches, len(z))
    if len(z) < 4:
        raise InputError("at least four cells for iLISI", f"{len(z)}", "score more cells together")
    if not perplexity >= 1 or n_neighbors < 4:
        raise InputError(
            "a perplexity of 1 or more and 4 or more neighbours",
            f"perplexity {perplexity} with {n_neighbors} neighbours",
            "use a perplexity of about a third of n_neighbors, such as 30 of 90",
        )
    near = shared(z, n_neighbors - 1, neighbors)
    perplexity = min(float(perplexity), (near.k + 1) / 3)
    lisi = np.empty(len(z))
    for start in range(0, len(z), _CHUNK):
        rows = slice(start, start + _CHUNK)
        weights = _gaussian_weights(near.distances[rows], perplexity)
        lisi[rows] = 1 / (_shares(codes[near.indices[rows]], n_batches, weights) ** 2).sum(axis=1)
    return float((np.median(lisi) - 1) / (n_batches - 1))


def batch_entropy_mixing(
    embedding: ArrayLike,
    batches: Labels,
    labels: Labels | None = None,
    *,
    n_neighbors: int = 100,
    n_pools: int | None = 100,
    n_samples: int = 100,
    normalizer: Literal["maximum", "authors"] = "maximum",
    seed: int = 0,
    neighbors: Neighbors | None = None,
) -> float:
    r"""Entropy of the batches around a cell, corrected for the size of the batches; higher is better.

    With the share :math:`p_b` of batch :math:`b` among the neighbours and :math:`P_b` among all cells,

    .. math:: q_b = \frac{p_b / P_b}{\sum_c p_c / P_c}, \qquad E = -\frac{1}{\ln B} \sum_b q_b \ln q_b

    averaged over pools of cells drawn with replacement.

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``. The authors use the UMAP; the latent space is the stricter choice.
    batches
        Batch of each cell, ``(cells,)``.
    labels
        Types, ``(cells,)``. Where given, the score is taken inside each type found in two batches or more,
        and averaged by the number of its cells, as in the authors' benchmark (which takes 30 neighbours, 10
        pools, 30 cells).
    n_neighbors
        Neighbours, the cell itself not counted; at most the number of other cells.
    n_pools, n_samples
        Pools and cells per pool; ``n_pools=None`` takes every cell once, which is what the draws estimate.
    normalizer
        ``"maximum"``: divided by :math:`\ln B`, so that perfect mixing is 1. ``"authors"``: divided by
        :math:`\log_2 B` as in the authors' code, so that perfect mixing is :math:`\ln 2 = 0.693`.
    seed
        Seed of the draws.
    neighbors
        A search over the same cells to use again (:func:`nearest`); not used with labels.

    Returns
    -------
    float
        0..1 (0..0.693 with the authors' normaliser).

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, a cell has no batch, there is one batch, or no type is
        in two.

    References
    ----------
    Xiong et al. 2022, Nature Communications 13:6118 (batch entropy mixing score).
    """
    if normalizer not in ("maximum", "authors"):
        raise InputError('normalizer "maximum" or "authors"', repr(normalizer), "choose one of the two")
    z = as_embedding(embedding)
    codes, _ = as_batches(batches, len(z))
    rng = np.random.default_rng(seed)
    groups = [np.arange(len(z))]
    if labels is not None:
        neighbors, groups = None, _types_in_two_batches(labels, codes)
    scores = []
    for rows in groups:
        near = shared(z[rows], n_neighbors, neighbors)
        _, within = np.unique(codes[rows], return_inverse=True)
        drawn = np.arange(len(rows)) if n_pools is None else rng.integers(len(rows), size=n_pools * n_samples)
        scores.append(_entropies(near.indices, within, drawn, normalizer).mean())
    return float(np.average(scores, weights=[len(rows) for rows in groups]))


def _types_in_two_batches(labels: Labels, batch: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    codes, keep, counts = labelled(labels, len(batch), at_least=1)
    rows = np.flatnonzero(keep)
    groups = [rows[codes == t] for t in range(len(counts))]
    groups = [group for group in groups if len(np.unique(batch[group])) > 1]
    if not groups:
        raise InputError(
            "a type found in two batches",
            "that every type is in one batch only",
            "leave labels out, or check that labels and batches are not the same column",
        )
    return groups


def _entropies(
    near: NDArray[np.intp], codes: NDArray[np.intp], drawn: NDArray[np.intp], normalizer: str
) -> NDArray[np.float64]:
    """Scaled entropy around each drawn cell, ``(drawn,)``."""
    overall = np.bincount(codes) / len(codes)
    cells, position = np.unique(drawn, return_inverse=True)  # a cell drawn twice is computed once
    entropy = np.empty(len(cells))
    for start in range(0, len(cells), _CHUNK):
        rows = cells[start : start + _CHUNK]
        q = _shares(codes[near[rows]], len(overall)) / overall
        q /= q.sum(axis=1, keepdims=True)
        # 1e-8 as in the authors' code; it bounds the logarithm of an absent batch.
        entropy[start : start + _CHUNK] = -(q * np.log(q + 1e-8)).sum(axis=1)
    scale = np.log(len(overall)) if normalizer == "maximum" else np.log2(len(overall))
    # The 1e-8 would put a cell without any mixing at -1e-8.
    return np.maximum(entropy[position] / scale, 0.0)


def _shares(codes: NDArray[np.intp], n: int, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Sum the weights of each of ``n`` codes along the rows: ``(cells, k)`` to ``(cells, n)``."""
    rows, k = codes.shape
    flat = (codes + n * np.arange(rows)[:, None]).ravel()
    weight = np.full(codes.size, 1 / k) if weights is None else weights.ravel()
    return np.bincount(flat, weights=weight, minlength=rows * n).reshape(rows, n)


def _gaussian_weights(
    distances: NDArray[np.float64], perplexity: float, tolerance: float = 1e-5, tries: int = 60
) -> NDArray[np.float64]:
    """Weights ``(cells, k)`` with the entropy ``log(perplexity)`` in every row, all rows bisected at once."""
    # The weights do not feel a shift of a row; without it, far-off cells would underflow to 0/0.
    d = distances - distances[:, :1]
    target = np.log(perplexity)
    # Start at the scale of each row, so that the units of the embedding do not matter.
    spread = d.mean(axis=1)
    beta = np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 1.0)
    low, high = np.zeros(len(d)), np.full(len(d), np.inf)
    for _ in range(tries):
        weights = np.exp(-d * beta[:, None])
        total = weights.sum(axis=1)
        gap = np.log(total) + beta * (d * weights).sum(axis=1) / total - target
        if (np.abs(gap) < tolerance).all():
            break
        flat = gap > 0  # too even: sharpen
        low, high = np.where(flat, beta, low), np.where(flat, high, beta)
        # Rows of many equal distances can never reach the target: stop doubling before infinity.
        beta = np.where(np.isinf(high), np.minimum(beta * 2, 1e300), (low + np.minimum(high, 1e300)) / 2)
    return weights / total[:, None]

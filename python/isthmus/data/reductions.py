"""Linear reductions of wide matrices: what the encoders of GLUE see in place of thousands of features.

Each is a small frozen record with ``fit`` and ``apply``, as in :mod:`isthmus.data.transforms`. They work on CSR
matrices (cells, features), which stay sparse: centring and clipping are carried along, not written into the matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

CELLS_PER_BLOCK = 16_384  # cells reduced together: bounds the memory beside the result
LSI_DEPTH = 1e4  # sum of a cell's weighted values before the logarithm
TOLERANCE = 1e-5  # relative error of a squared singular value that the iteration may leave
LEAST = 1e-6  # a singular value below this share of the largest one is rounding


@dataclass(frozen=True)
class Pca:
    """Principal components of genes that were brought to mean 0 and standard deviation 1.

    Attributes
    ----------
    mean, scale
        (features,) float64 mean of each gene in the reference, and one over its standard deviation (n - 1); 0 for a
        gene that does not vary.
    center
        (features,) float64 mean of the scaled genes after clipping; 0 where nothing was clipped.
    loadings
        (features, components) float32, orthonormal; the largest score of each component is positive.
    clip
        Largest absolute value of a scaled gene; infinite where there is no limit.
    """

    mean: np.ndarray
    scale: np.ndarray
    center: np.ndarray
    loadings: np.ndarray
    clip: float = np.inf

    @classmethod
    def fit(cls, x: sp.csr_matrix, n_components: int = 100, clip: float | None = None, seed: int = 0) -> Pca:
        """Learn the components from the reference.

        Parameters
        ----------
        x
            (cells, features) log-normalised values.
        n_components
            How many to keep; fewer where the data have fewer.
        clip
            Largest absolute value of a scaled gene, such as 10; None for no limit.
        seed
            Of the start of the iteration; it shows in the result by rounding only.
        """
        n = x.shape[0]
        mean, squares = _moments(x)
        spread = np.sqrt(np.maximum(squares - n * mean**2, 0) / max(n - 1, 1))
        varies = spread > 1e-6 * np.sqrt(squares / n)  # what is left of a constant is rounding
        scale = np.divide(1.0, spread, out=np.zeros(len(spread)), where=varies)
        limit = np.inf if clip is None else float(clip)
        y = _above_zero_counts(x, mean, scale, limit)
        raised = _moments(y)[0]
        _, loadings = leading(y, raised, n_components, seed)
        center = raised + _at_zero(mean, scale, limit)
        return cls(mean, scale, np.where(np.abs(center) < 1e-6, 0.0, center), loadings, limit)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.loadings.shape[1]

    def apply(self, x: sp.csr_matrix, found: np.ndarray | None = None) -> np.ndarray:
        """Scores of cells, on the scale of the reference.

        Parameters
        ----------
        x
            (cells, features) log-normalised values, features in the order of the reference.
        found
            (features,) bool, features that were measured; the others count as their mean. None: all.

        Returns
        -------
        numpy.ndarray
            (cells, components) float32.
        """
        loadings = self.loadings if found is None else self.loadings * found[:, None]
        shift = (_at_zero(self.mean, self.scale, self.clip) - self.center) @ loadings

        def reduce(block: sp.csr_matrix) -> np.ndarray:
            return _above_zero_counts(block, self.mean, self.scale, self.clip) @ loadings + shift

        return _in_blocks(x, reduce, self.n_components)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a model folder stores: plain values, and arrays."""
        plain = {"kind": "pca", "clip": None if np.isinf(self.clip) else self.clip}
        return plain, {"mean": self.mean, "scale": self.scale, "center": self.center, "loadings": self.loadings}

    @classmethod
    def from_state(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Pca:
        """The reduction that :meth:`state` described."""
        clip = np.inf if plain["clip"] is None else plain["clip"]
        return cls(arrays["mean"], arrays["scale"], arrays["center"], arrays["loadings"], clip)


@dataclass(frozen=True)
class Lsi:
    r"""Latent semantic indexing of accessibility, as GLUE's authors compute it.

    With :math:`t_{ij} = x_{ij} / \sum_j x_{ij}` and :math:`w_j = N / \sum_i x_{ij}`,

    .. math:: y_{ij} = \ln\left(1 + 10^4 \frac{t_{ij} w_j}{\sum_k t_{ik} w_k}\right), \qquad Y \approx U S V^T

    Each cell's row of U, not scaled by S, is brought to mean 0 and standard deviation 1 (n - 1) *across components*.
    The first component stays. The singular vectors are found to convergence: the authors' fifteen rounds of
    randomised iteration stop short of it where singular values lie close, and then depend on the order of the cells.

    Attributes
    ----------
    idf
        (features,) float64, w; 0 for a peak without counts in the reference.
    singular
        (components,) float64 singular values, falling.
    vectors
        (features, components) float32 right singular vectors; the largest entry of the left one is positive.

    References
    ----------
    Cao and Gao 2022, Nature Biotechnology 40:1458, doi:10.1038/s41587-022-01284-4 (Methods, data preprocessing).
    """

    idf: np.ndarray
    singular: np.ndarray
    vectors: np.ndarray

    @classmethod
    def fit(cls, counts: sp.csr_matrix, n_components: int = 100, seed: int = 0) -> Lsi:
        """Learn the weights and vectors from the reference.

        Parameters
        ----------
        counts
            (cells, features) raw counts.
        n_components
            How many to keep; fewer where the data have fewer.
        seed
            Of the start of the iteration; it shows in the result by rounding only.
        """
        total = np.bincount(counts.indices, weights=counts.data, minlength=counts.shape[1])
        idf = np.divide(counts.shape[0], total, out=np.zeros(len(total)), where=total > 0)
        singular, vectors = leading(tf_idf(counts, idf), np.zeros(len(idf)), n_components, seed)
        return cls(idf, singular, vectors)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.singular)

    def apply(self, counts: sp.csr_matrix, found: np.ndarray | None = None) -> np.ndarray:
        """Embedding of cells, each alone: U = Y V / S, then the scaling across components.

        Parameters
        ----------
        counts
            (cells, features) raw counts, features in the order of the reference.
        found
            Not needed: a peak that was not measured has no counts and takes no part in its cell's shares.

        Returns
        -------
        numpy.ndarray
            (cells, components) float32; 0 for a cell without a count in the peaks of the reference.
        """
        loadings = (self.vectors / self.singular).astype(np.float32)
        return _in_blocks(counts, lambda block: _z_rows(tf_idf(block, self.idf) @ loadings), self.n_components)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a model folder stores: plain values, and arrays."""
        return {"kind": "lsi"}, {"idf": self.idf, "singular": self.singular, "vectors": self.vectors}

    @classmethod
    def from_state(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Lsi:
        """The reduction that :meth:`state` described."""
        return cls(arrays["idf"], arrays["singular"], arrays["vectors"])


def reduction_from_state(plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Pca | Lsi:
    """The reduction, of either kind, that its ``state`` described."""
    return {"pca": Pca, "lsi": Lsi}[plain["kind"]].from_state(plain, arrays)


def _moments(x: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """(features,) float64 mean and sum of squares."""
    total = np.bincount(x.indices, weights=x.data, minlength=x.shape[1])
    squares = np.bincount(x.indices, weights=np.square(x.data, dtype=np.float64), minlength=x.shape[1])
    return total / x.shape[0], squares


def _at_zero(mean: np.ndarray, scale: np.ndarray, clip: float) -> np.ndarray:
    """(features,) scaled value of a gene without counts."""
    return np.maximum(-mean * scale, -clip)


def _above_zero_counts(x: sp.csr_matrix, mean: np.ndarray, scale: np.ndarray, clip: float) -> sp.csr_matrix:
    """Scaled and clipped values less those of a gene without counts: sparse as ``x`` is, float32."""
    zero = _at_zero(mean, scale, clip)
    data = (x.data - mean[x.indices]) * scale[x.indices]
    data = (np.clip(data, -clip, clip) - zero[x.indices]).astype(np.float32)
    return sp.csr_matrix((data, x.indices, x.indptr), shape=x.shape, copy=False)


def tf_idf(counts: sp.csr_matrix, idf: np.ndarray) -> sp.csr_matrix:
    """Y of :class:`Lsi`, float32; the sum of a cell's counts cancels where its row is brought to sum 1."""
    weighted = sp.csr_matrix((counts.data * idf[counts.indices], counts.indices, counts.indptr), shape=counts.shape)
    total = weighted @ np.ones(counts.shape[1])
    factor = np.divide(LSI_DEPTH, total, out=np.zeros(len(total)), where=total > 0)
    weighted.data = np.log1p(weighted.data * np.repeat(factor, np.diff(counts.indptr))).astype(np.float32)
    return weighted


def _z_rows(u: np.ndarray) -> np.ndarray:
    """Rows with mean 0 and standard deviation 1 (n - 1); a row without spread is 0."""
    centered = u - u.mean(axis=1, keepdims=True)
    spread = np.sqrt((centered**2).sum(axis=1, keepdims=True) / max(u.shape[1] - 1, 1))
    return np.divide(centered, spread, out=np.zeros_like(centered), where=spread > 0)


def _in_blocks(x: sp.csr_matrix, reduce: Callable[[sp.csr_matrix], np.ndarray], width: int) -> np.ndarray:
    """(cells, width) float32, ``reduce`` of one block of cells after the other."""
    out = np.empty((x.shape[0], width), dtype=np.float32)
    for start in range(0, x.shape[0], CELLS_PER_BLOCK):
        out[start : start + CELLS_PER_BLOCK] = reduce(x[start : start + CELLS_PER_BLOCK])
    return out


def leading(y: sp.csr_matrix, mean: np.ndarray, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading singular values and right vectors of ``y`` less ``mean`` in every row, by restarted Lanczos.

    Returns
    -------
    tuple of numpy.ndarray
        (components,) float64 values, falling, and (features, components) float32 vectors, such that the largest
        entry of each left vector is positive.
    """
    exact = y.astype(np.float64)  # once: a product of unlike types would convert the matrix each time
    operator = sp.linalg.LinearOperator(
        y.shape,
        matvec=lambda v: exact @ v - mean @ v,
        rmatvec=lambda u: exact.T @ u - mean * u.sum(),
        matmat=lambda v: exact @ v - mean @ v,
        rmatmat=lambda u: exact.T @ u - mean[:, None] * u.sum(axis=0),
        dtype=np.float64,
    )
    smaller = min(y.shape)
    k = min(n_components, smaller)
    if 3 * k > smaller:  # the iteration needs room
        left, singular, right = _all_of(operator, smaller)
    else:
        start = np.random.default_rng(seed).standard_normal(smaller)
        left, singular, right = sp.linalg.svds(operator, k, v0=start, tol=TOLERANCE)
    order = np.argsort(-singular, kind="stable")[:k]
    order = order[singular[order] > LEAST * singular.max()]
    left, right = left[:, order], right[order].T
    sign = np.sign(left[np.abs(left).argmax(axis=0), np.arange(len(order))])
    return singular[order], np.ascontiguousarray(right * sign, dtype=np.float32)


def _all_of(operator: sp.linalg.LinearOperator, smaller: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All singular vectors and values, where one side of the matrix is as short as a few hundred."""
    if operator.shape[0] < operator.shape[1]:
        right, singular, left = _all_of(operator.H, smaller)
        return left.T, singular, right.T
    tall = operator @ np.eye(smaller)
    left, singular, right = scipy.linalg.svd(tall, full_matrices=False)
    return left, singular, right

"""Transforms of a study: fitted on a reference, recorded, applied again to every query.

Each is a small frozen record with ``fit`` and ``apply``. They work on CSR matrices (cells, features) and never
make them dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data import door
from isthmus.data.categories import shorten

CELLS_FOR_SCALE = 16  # cells' worth of trust in the scale of all cells over that of a batch
CELLS_PER_BLOCK = 2_048  # cells worked on together: bounds the memory beside the result


def row_blocks(x: sp.csr_matrix) -> Iterator[sp.csr_matrix]:
    """``x`` in blocks of rows that share its memory."""
    for start in range(0, x.shape[0], CELLS_PER_BLOCK):
        stop = min(start + CELLS_PER_BLOCK, x.shape[0])
        first, last = x.indptr[start], x.indptr[stop]
        yield sp.csr_matrix(
            (x.data[first:last], x.indices[first:last], x.indptr[start : stop + 1] - first),
            shape=(stop - start, x.shape[1]),
            copy=False,
        )


def cells_per_feature(x: sp.csr_matrix) -> np.ndarray:
    """(features,) int64, in how many cells each has an entry."""
    return sum((block.getnnz(axis=0) for block in row_blocks(x)), np.zeros(x.shape[1], dtype=np.int64))


@dataclass(frozen=True)
class DepthNormalise:
    """Scale each cell to the same depth, measured over the features that query and reference share.

    A feature that the query lacks also lacks its part of the depth. With ``share`` the part of the reference's
    signal that each feature carries, and F the features found in the query, the depth of cell i is
    ``sum_{f in F} x_if / sum_{f in F} share_f``: all features found gives plain depth normalisation, and neither
    missing nor additional features of the query move its values.

    Attributes
    ----------
    target
        Depth after normalisation (counts per cell).
    share
        (features,) float64, sums to 1.
    """

    target: float
    share: np.ndarray

    @classmethod
    def fit(cls, x: sp.csr_matrix, values: str, target: float = 1e4) -> DepthNormalise:
        """Learn the shares; for log-normalised values also the depth they were brought to."""
        if values == "lognorm":
            depths = np.expm1(x)
            target = float(np.median(np.asarray(depths.sum(axis=1)).ravel()))
            total = np.asarray(depths.sum(axis=0)).ravel()
        else:
            total = np.zeros(x.shape[1])
            for block in row_blocks(x):
                total += np.bincount(block.indices, weights=block.data, minlength=x.shape[1])
        return cls(target, total / total.sum())

    def apply(self, x: sp.csr_matrix, found: np.ndarray, depth: np.ndarray) -> sp.csr_matrix:
        """Normalised float32 copy of ``x``, whose rows have the sums ``depth`` over the found features."""
        expected = self.share[found].sum() * self.target
        factor = np.divide(expected, depth, out=np.zeros(len(depth)), where=depth > 0)
        data = (x.data * np.repeat(factor, np.diff(x.indptr))).astype(np.float32)
        return sp.csr_matrix((data, x.indices, x.indptr), shape=x.shape, copy=False)


def log1p(x: sp.csr_matrix) -> sp.csr_matrix:
    """Natural logarithm of one plus the value."""
    return sp.csr_matrix((np.log1p(x.data), x.indices, x.indptr), shape=x.shape, copy=False)


def accessible_features(x: sp.csr_matrix, candidates: np.ndarray, n_features: int) -> np.ndarray:
    """The features open in most cells, ascending positions; ubiquitous ones stay, as they carry depth and quality."""
    cells = cells_per_feature(x) * candidates
    order = np.argsort(-cells, kind="stable")[:n_features]
    return np.sort(order[cells[order] > 0])


def named_features(features: pd.Index, wanted: list[str], x: sp.csr_matrix) -> np.ndarray:
    """Positions of the features that the user named; they must exist and not be empty."""
    names = pd.Index(wanted)
    door.check_unique(names, "feature")
    if names.empty:
        raise InputError("names of features to use", "none", "name some, or let them be chosen (features=None)")
    position = features.get_indexer(names)
    if (position < 0).any():
        absent = [name for name, where in zip(wanted, position, strict=True) if where < 0]
        raise InputError(
            "features that the data set has",
            f"{len(absent)} it lacks: {shorten(absent)}",
            "leave these names out",
        )
    counts = cells_per_feature(x)[position]
    if (counts == 0).any():
        empty = [name for name, count in zip(wanted, counts, strict=True) if count == 0]
        raise InputError(
            "features with at least one count",
            f"{len(empty)} without: {shorten(empty)}",
            "leave these names out",
        )
    return np.sort(position)


def _column_max(x: sp.csr_matrix) -> np.ndarray:
    """(features,) float32 largest value of each feature."""
    return x.max(axis=0).toarray().ravel().astype(np.float32)


@dataclass(frozen=True)
class MaxAbs:
    """Bring every feature to [0, 1] by its largest value in the reference.

    Attributes
    ----------
    largest
        (groups, features) float32; one row for all cells, or one a batch.
    per_batch
        Whether each batch has its own scale, and a new one brings its own.
    """

    largest: np.ndarray
    per_batch: bool = False

    @classmethod
    def fit(
        cls, x: sp.csr_matrix, batch: np.ndarray, n_batches: int, scaling: str = "global",
        overall: np.ndarray | None = None,
    ) -> MaxAbs:  # fmt: skip
        """Learn the largest values, over all cells, in each batch, or (double-log) one over all features.

        A batch of n cells has the scale ``w own + (1 - w) overall`` with w = n / (n + 16): the largest of a few
        values says little. ``overall`` (features,) is that of all cells unless given.
        """
        if scaling == "double-log":
            return cls(np.full((1, x.shape[1]), x.data.max(initial=0.0), dtype=np.float32))
        if scaling == "global":
            return cls(_column_max(x)[None])
        overall = _column_max(x) if overall is None else overall
        own = np.stack([_column_max(x[batch == b]) for b in range(n_batches)])
        n = np.bincount(batch, minlength=n_batches)[:, None]
        w = n / (n + CELLS_FOR_SCALE)
        return cls((w * own + (1 - w) * overall).astype(np.float32), per_batch=True)

    @property
    def overall(self) -> np.ndarray:
        """(features,) the largest scale of any group."""
        return self.largest.max(axis=0)

    def apply(self, x: sp.csr_matrix, batch: np.ndarray) -> sp.csr_matrix:
        """Scaled float32 copy of ``x``, clipped at 1 (a query may exceed the reference)."""
        group = np.repeat(batch, np.diff(x.indptr)) if self.per_batch else 0
        scale = self.largest[group, x.indices]
        data = np.divide(x.data, scale, out=np.zeros(x.data.shape, np.float32), where=scale > 0, casting="unsafe")
        return sp.csr_matrix((np.minimum(data, 1.0), x.indices, x.indptr), shape=x.shape, copy=False)

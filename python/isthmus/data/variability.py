"""Which features vary: scanpy's ``seurat`` flavour, written out.

scanpy compiles its sums anew in every process, which takes longer and more memory than all the rest of the choice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus.data.study import Study
from isthmus.data.transforms import row_blocks

CELLS_FOR_VARIABILITY = 50  # a smaller batch says little about which genes vary
BINS = 20  # of features with about the same mean


def variable_features(x: sp.csr_matrix, study: Study, candidates: np.ndarray, n_features: int) -> np.ndarray:
    """Highly variable features: those that are so in most batches, of these the most variable on average.

    Parameters
    ----------
    x
        (cells, features) log-normalised values.
    study
        Gives the batches; those under 50 cells are not asked unless all are that small.
    candidates
        (features,) bool, features that may be chosen.
    n_features
        How many to choose at the most.

    Returns
    -------
    numpy.ndarray
        Positions of the chosen features, ascending.

    References
    ----------
    Satija et al. 2015, Nature Biotechnology 33:495; merged over batches as ``scanpy.pp.highly_variable_genes`` does.
    """
    columns = np.flatnonzero(candidates)
    if n_features >= len(columns):
        return columns
    rows = _telling(study)
    batches, batch = np.unique(study.batch[rows], return_inverse=True)
    several = 1 < len(batches) < len(batch)  # batches of one cell each rank nothing
    group = np.full(len(rows), -1)
    group[rows] = batch if several else 0
    n_cells = np.bincount(group[rows])
    sums, squares, seen = (part[:, columns] for part in moments(x, group, len(n_cells)))
    scores = np.stack([variability(*of_group) for of_group in zip(sums, squares, n_cells, strict=True)])
    votes = sum(_highest(score, n_features) for score in scores)
    known = np.isfinite(scores)
    mean = np.where(known, scores, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    vary = known.any(axis=0) & seen.any(axis=0)
    best = np.lexsort((-mean, -votes, ~vary))[: min(n_features, int(vary.sum()))]
    return columns[np.sort(best)]


def moments(x: sp.csr_matrix, group: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the cells of each group, of the values before the logarithm.

    Parameters
    ----------
    x
        (cells, features) log-normalised values.
    group
        (cells,) codes; -1 for cells that are left out.
    n_groups
        How many groups there are.

    Returns
    -------
    tuple
        Sums and sums of squares, (groups, features) float64; whether a feature has an entry, (groups, features) bool.
    """
    shape = (n_groups + 1, x.shape[1])  # the last row, which -1 stands for, is of the cells that are left out
    sums, squares, seen = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool)
    start = 0
    for block in row_blocks(x):
        code = group[start : start + block.shape[0]] % (n_groups + 1)
        where = np.repeat(code * x.shape[1], np.diff(block.indptr)) + block.indices
        linear = np.expm1(block.data).astype(np.float64)
        np.add.at(sums.reshape(-1), where, linear)  # in the order of the cells: blocks do not move the last digit
        np.add.at(squares.reshape(-1), where, np.square(linear, out=linear))
        seen.reshape(-1)[where] = True
        start += block.shape[0]
    return sums[:-1], squares[:-1], seen[:-1]


def variability(sums: np.ndarray, squares: np.ndarray, n_cells: int) -> np.ndarray:
    """Log of variance over mean, in standard deviations above the features of about the same mean.

    Parameters
    ----------
    sums, squares
        (features,) sums over cells of the values before the logarithm, and of their squares.
    n_cells
        How many cells these are.

    Returns
    -------
    numpy.ndarray
        (features,) float64; 0 for a feature that does not occur, 1 for one that no other has the mean of, NaN for one
        that occurs and does not vary.
    """
    mean = sums / n_cells
    out, occurs = np.zeros(len(mean)), mean > 0
    mean, squares = mean[occurs], squares[occurs]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log((squares - n_cells * mean**2) / max(n_cells - 1, 1) / mean)
        ratio = pd.Series(np.where(np.isfinite(ratio), ratio, np.nan))
        alike = ratio.groupby(pd.cut(np.log1p(mean), BINS, labels=False))
        centre, spread = alike.transform("mean"), alike.transform("std")
        out[occurs] = np.where(spread.isna() & ratio.notna(), 1.0, (ratio - centre) / spread)
    return out


def _highest(score: np.ndarray, n: int) -> np.ndarray:
    """(features,) whether a score is among the n highest, equal ones included."""
    known = np.sort(score[~np.isnan(score)])
    return score >= known[-min(n, len(known))] if len(known) else np.zeros(len(score), dtype=bool)


def _telling(study: Study) -> np.ndarray:
    """(cells,) bool, cells of batches that are large enough to say which features vary."""
    size = np.bincount(study.batch, minlength=len(study.batches))
    least = CELLS_FOR_VARIABILITY if size.max() >= CELLS_FOR_VARIABILITY else 2  # one cell alone varies in nothing
    return (size >= min(least, size.max()))[study.batch]

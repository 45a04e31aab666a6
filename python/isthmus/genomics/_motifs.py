"""Which peaks hold which motifs, in whatever form users have it, and which peaks are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_unique
from isthmus.genomics._names import as_spelled
from isthmus.genomics._positions import Features
from isthmus.genomics._strata import cuts

LEAST, MOST = 50, 500  # peaks in a bin, bins


class Motifs(NamedTuple):
    """Motifs of peaks.

    Attributes
    ----------
    peaks, tfs
        Unique names.
    matrix
        (peaks, tfs) sparse int32, 1 where the peak holds the motif.
    """

    peaks: pd.Index
    tfs: pd.Index
    matrix: sp.csr_matrix

    @classmethod
    def of(cls, motifs: Any, peaks: pd.Index | None) -> Motifs:
        """From AnnData, a data frame (wide or long), or a matrix with the names of its rows and columns.

        Parameters
        ----------
        motifs
            As in :func:`~isthmus.genomics.tf_targets`.
        peaks
            Names of all peaks, which become the rows; by default those of ``motifs``.
        """
        if isinstance(motifs, pd.DataFrame) and {"peak", "tf"} <= set(motifs.columns):
            held = _of_long(motifs, peaks)
        elif isinstance(motifs, pd.DataFrame):
            held = _of_matrix(motifs.to_numpy(), motifs.index, motifs.columns)
        elif hasattr(motifs, "obs_names"):
            held = _of_matrix(motifs.X, motifs.obs_names, motifs.var_names)
        elif isinstance(motifs, tuple) and len(motifs) == 3:
            held = _of_matrix(*motifs)
        else:
            raise InputError(
                "motifs as AnnData (peaks x TFs), a data frame, or (matrix, names of peaks, names of TFs)",
                f"{type(motifs).__name__}",
                "give one of these",
            )
        return held if peaks is None else held._replace(peaks=peaks, matrix=_at(held, peaks))


def _of_long(table: pd.DataFrame, peaks: pd.Index | None) -> Motifs:
    if peaks is None:
        raise InputError(
            "peaks, as a table of peaks and TFs does not tell which peaks hold no motif",
            "none",
            "give peaks= (all peaks: names, AnnData, a data frame or Intervals), or motifs as a matrix",
        )
    row, rows = pd.factorize(table["peak"].astype(str))
    column, columns = pd.factorize(table["tf"].astype(str), sort=True)
    shape = (len(rows), len(columns))
    return _of_matrix(sp.coo_matrix((np.ones(len(row)), (row, column)), shape=shape), rows, columns)


def _of_matrix(matrix: Any, peaks: Sequence[str], tfs: Sequence[str]) -> Motifs:
    peaks, tfs = (pd.Index([str(name) for name in names], dtype=object) for names in (peaks, tfs))
    matrix = sp.csr_matrix(matrix)
    if matrix.shape != (len(peaks), len(tfs)) or 0 in matrix.shape:
        raise InputError(
            "motifs with a row for each peak and a column for each TF",
            f"shape {matrix.shape} with {len(peaks)} names of peaks and {len(tfs)} of TFs",
            "give peaks x TFs (transpose it if need be), and the names of both",
        )
    check_unique(peaks, "peak")
    check_unique(tfs, "TF")
    matrix.data = np.nan_to_num(matrix.data)  # a table of scores that was made wide has NaN where there is no motif
    return Motifs(peaks, tfs, (matrix != 0).astype(np.int32).tocsr())


def _at(motifs: Motifs, peaks: pd.Index) -> sp.csr_matrix:
    """(peaks, tfs), nothing in the rows of peaks without motifs."""
    rows = motifs.peaks.get_indexer(as_spelled(peaks, motifs.peaks))
    here = np.flatnonzero(rows >= 0)
    if not here.size:
        raise InputError(
            f"motifs of the peaks, such as {shorten(peaks, 3) or 'none: there are no peaks'}",
            f"others alone, such as {shorten(motifs.peaks, 3)}",
            "check that the names are of the same kind",
        )
    pick = sp.csr_matrix((np.ones(len(here), dtype=np.int32), (here, rows[here])), (len(peaks), len(motifs.peaks)))
    return pick @ motifs.matrix


def alike(peaks: Any, names: pd.Index, match: Sequence[str]) -> np.ndarray:
    """(peaks,) int64, number of the bin of peaks of about the same length, and the same values of columns ``match``.

    Parameters
    ----------
    peaks
        Names, AnnData, a data frame or Intervals, which tell the positions.
    names
        Names of the peaks.
    match
        Columns of numbers.
    """
    where = Features.of("peaks", peaks).positions()
    values = [where.width.astype(np.float64), *(_column(peaks, name, names) for name in match)]
    most = max(int(min(MOST, len(names) // LEAST) ** (1 / len(values))), 1)
    code = np.zeros(len(names), dtype=np.int64)
    for value in values:
        finer = np.zeros_like(code)
        for one in range(code.max(initial=-1) + 1):
            rows = np.flatnonzero(code == one)
            finer[rows] = np.searchsorted(cuts(value[rows], LEAST, most), value[rows], side="right")
        code = np.unique(code * (most + 1) + finer, return_inverse=True)[1]
    return code


def _column(peaks: Any, column: str, names: pd.Index) -> np.ndarray:
    table = peaks.var if hasattr(peaks, "var_names") else peaks
    if not isinstance(table, pd.DataFrame) or column not in table:
        found = shorten([str(name) for name in table.columns]) if isinstance(table, pd.DataFrame) else ""
        raise InputError(
            f"a column '{column}' of peaks to match by",
            f"{found or 'no columns'}",
            "give peaks= as a data frame with this column, or leave it out of match",
        )
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(
            f"numbers in the column '{column}' of peaks",
            f"{table[column].iloc[row]} for '{names[row]}'",
            "fill them in, or leave the column out of match",
        )
    return values

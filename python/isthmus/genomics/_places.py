"""Where the features of a graph lie, and how far apart the ends of its edges are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.genomics._columns import as_text, position_columns, strands
from isthmus.genomics.intervals import Intervals

_COLUMNS = ("chrom", "start", "end", "strand")
_DIRECTION = {"+": 1, "-": -1}


class Places(NamedTuple):
    """Positions as plain arrays.

    Attributes
    ----------
    names
        Names of the chromosomes.
    chrom
        (features,) int64, position in ``names``; -1 where the feature's position is not known.
    start, end
        (features,) int64, 0-based and half-open; -1 where not known.
    strand
        (features,) int8, 1 and -1; 0 where not known.
    """

    names: pd.Index
    chrom: np.ndarray
    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame | None, n_features: int) -> Places:
        """Those of a table that :func:`checked` made; without one nothing is known."""
        if table is None:
            unknown = np.full(n_features, -1, dtype=np.int64)
            return cls(pd.Index([], dtype=object), unknown, unknown, unknown, np.zeros(n_features, dtype=np.int8))
        chrom = table["chrom"].cat
        start, end = (table[part].to_numpy(dtype=np.int64, na_value=-1) for part in ("start", "end"))
        direction = table["strand"].map(_DIRECTION).fillna(0).to_numpy(dtype=np.int8)
        return cls(chrom.categories, chrom.codes.to_numpy(dtype=np.int64), start, end, direction)

    def to_frame(self, features: pd.Index) -> pd.DataFrame:
        """The table again, as :func:`checked` makes it."""
        return pd.DataFrame(
            {
                "chrom": pd.Categorical.from_codes(self.chrom, categories=self.names),
                "start": optional(self.start),
                "end": optional(self.end),
                "strand": np.array([".", "+", "-"], dtype=object)[self.strand],
            },
            index=features,
        )

    @property
    def middle(self) -> np.ndarray:
        """(features,) int64, the base in the middle (rounded down)."""
        return (self.start + self.end) // 2

    @property
    def tss(self) -> np.ndarray:
        """(features,) int64, the first transcribed base; -1 where position or strand are not known."""
        first = np.where(self.strand < 0, self.end - 1, self.start)
        return np.where((self.chrom >= 0) & (self.strand != 0), first, -1)

    def on_one_chromosome(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(pairs,) bool; false where a position is not known."""
        return (self.chrom[source] >= 0) & (self.chrom[source] == self.chrom[target])

    def distance(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(pairs,) float64 base pairs from the start of transcription to the middle of the target, along the strand."""
        known = self.on_one_chromosome(source, target) & (self.strand[source] != 0)
        signed = (self.middle[target] - self.tss[source]) * self.strand[source].astype(np.int64)
        return np.where(known, signed, np.nan)

    def near(self, source: np.ndarray, target: np.ndarray, within: int) -> np.ndarray:
        """(pairs,) bool, at most ``within`` base pairs between them; false where a position is not known."""
        gap = np.maximum(self.start[target] - self.end[source], self.start[source] - self.end[target])
        return self.on_one_chromosome(source, target) & (gap <= within)


def optional(position: np.ndarray) -> pd.arrays.IntegerArray:
    """Positions as numbers that may be missing; -1 is missing."""
    return pd.arrays.IntegerArray(position.astype(np.int64), position < 0)


def of_intervals(intervals: Intervals) -> pd.DataFrame:
    """Intervals as the table of positions of a graph."""
    return intervals.to_frame().rename(columns={"chromStart": "start", "chromEnd": "end"})


def checked(table: pd.DataFrame, features: pd.Index) -> pd.DataFrame:
    """The table in its one form; a feature that lacks a part of its position has none.

    Returns
    -------
    pandas.DataFrame
        Indexed as ``features``: chrom (categorical), start, end (Int64), strand (``+ - .``).

    Raises
    ------
    InputError
        If rows are not those of ``features``, a column is absent, or a position is none.
    """
    if not table.index.equals(features):
        raise InputError(
            f"positions with one row for each of the {len(features)} features, in their order",
            f"{len(table)} rows, {int(table.index.isin(features).sum())} of them with names of features",
            "give positions.reindex(features)",
        )
    column = position_columns(table)
    chrom = table[column["chrom"]]
    start, end = (pd.to_numeric(table[column[part]], errors="coerce") for part in ("start", "end"))
    known = chrom.notna().to_numpy() & start.notna().to_numpy() & end.notna().to_numpy()
    start, end = (part.to_numpy(dtype=float, na_value=-1.0) for part in (start, end))
    wrong = known & ((start < 0) | (end <= start) | (start % 1 != 0) | (end % 1 != 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            "positions in whole base pairs that start at 0 or later and end after their start",
            f"{int(wrong.sum())} others, such as {start[row]:g} to {end[row]:g} ('{features[row]}')",
            "correct these positions, or leave them missing",
        )
    strand = strands(table[column["strand"]]) if "strand" in column else np.full(len(table), ".")
    code, names = pd.factorize(np.where(known, as_text(chrom), None), sort=True)
    places = Places(
        pd.Index(names.astype(str), dtype=object),
        code.astype(np.int64),
        np.where(known, start, -1).astype(np.int64),
        np.where(known, end, -1).astype(np.int64),
        np.where(known, (strand == "+").astype(np.int8) - (strand == "-"), 0).astype(np.int8),
    )
    return places.to_frame(features)


def united(tables: list[pd.DataFrame | None], codes: list[np.ndarray], features: pd.Index) -> pd.DataFrame | None:
    """Positions of the features of several graphs, from the first that knows each; None where none does.

    Parameters
    ----------
    tables
        Positions of each graph.
    codes
        For each graph (its features,) int64, positions in ``features``.
    features
        Names of all of them.
    """
    parts = [
        table.assign(chrom=table["chrom"].astype(object)).set_axis(features[code], axis=0)
        for table, code in zip(tables, codes, strict=True)
        if table is not None
    ]
    if not parts:
        return None
    known = pd.concat([part[part["chrom"].notna()] for part in parts])
    return known[~known.index.duplicated()].reindex(features)

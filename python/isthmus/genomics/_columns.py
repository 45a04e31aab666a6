"""Columns of tables of positions, under the spellings that are in use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten, text_of

_SPELLINGS = {
    "chrom": ("chrom", "chr", "chromosome", "seqnames", "seqname", "seqid", "#chrom", "contig"),
    "start": ("chromstart", "start", "chrom_start", "txstart"),
    "end": ("chromend", "end", "chrom_end", "stop", "txend"),
    "strand": ("strand",),
}
_STRANDS = {"+": "+", "1": "+", "+1": "+", "1.0": "+", "-": "-", "-1": "-", "-1.0": "-"}
_NO_STRAND = {".", "*", "0", "0.0", "", "nan", "NaN", "None", "<NA>"}


def find_position_columns(table: pd.DataFrame) -> dict[str, str]:
    """The columns of ``table`` that hold ``chrom``, ``start``, ``end``, ``strand``, as far as there are any."""
    by_lower = {str(name).lower(): name for name in reversed(list(table.columns))}
    found = {}
    for part, spellings in _SPELLINGS.items():
        here = [by_lower[spelling] for spelling in spellings if spelling in by_lower]
        if here:
            found[part] = here[0]
    return found


def has_positions(table: pd.DataFrame) -> bool:
    """Whether a table has columns for chromosome, start and end."""
    return {"chrom", "start", "end"} <= find_position_columns(table).keys()


def position_columns(table: pd.DataFrame) -> dict[str, str]:
    """As :func:`find_position_columns`, but chromosome, start and end have to be there."""
    found = find_position_columns(table)
    missing = [part for part in ("chrom", "start", "end") if part not in found]
    if missing:
        raise InputError(
            "columns for chromosome, start and end (such as chrom, chromStart, chromEnd, or seqnames, start, end)",
            f"none for {shorten(missing)} among {shorten(list(table.columns)) or 'no columns'}",
            "rename the columns that hold the positions",
        )
    return found


def as_text(values: pd.Series | Sequence) -> pd.Categorical:
    """Names as text; missing ones stay so. Of chromosomes "1" and "2" reading a table makes 1 and 2, or 1.0 and 2.0."""
    named = pd.Categorical(values)
    if named.categories.dtype == object and all(isinstance(name, str) for name in named.categories):
        return named
    return pd.Categorical(np.array([*map(text_of, named.categories), None], dtype=object)[named.codes])


def present_text(column: pd.Series, what: str) -> pd.Index:
    """The values as text; none may be missing."""
    _refuse_missing(column, what)
    return pd.Index(as_text(column), dtype=object)


def whole_numbers(column: pd.Series, what: str) -> np.ndarray:
    """The values as int64; none may be missing or have a fraction."""
    _refuse_missing(column, what)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy()
    wrong = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
    if wrong.any():
        raise InputError(
            f"whole numbers of base pairs as {what}",
            f"{column.iloc[int(wrong.argmax())]!r}",
            f"correct the column {what}",
        )
    return numbers.astype(np.int64)


def strands(column: pd.Series) -> np.ndarray:
    """The values as ``+``, ``-`` and ``.``."""
    code, distinct = pd.factorize(column.astype(object), use_na_sentinel=False)
    words = [str(value) for value in distinct]
    unknown = [word for word in words if word not in _STRANDS and word not in _NO_STRAND]
    if unknown:
        raise InputError("strands '+', '-' or '.'", shorten(unknown, 3), "correct the column of the strand")
    return np.array([_STRANDS.get(word, ".") for word in words], dtype="<U1")[code]


def _refuse_missing(column: pd.Series, what: str) -> None:
    missing = column.isna().to_numpy()
    if missing.any():
        raise InputError(
            f"a {what} in every row",
            f"{int(missing.sum())} of {len(column)} rows without one, such as '{column.index[int(missing.argmax())]}'",
            "leave rows without a position out",
        )

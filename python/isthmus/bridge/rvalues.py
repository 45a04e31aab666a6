"""The carrier in memory: R objects to trees, and results built as R objects, through rpy2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from rpy2 import rinterface as ri

from isthmus._errors import InputError
from isthmus.bridge import views
from isthmus.bridge.columns import NA_INTEGER, Column

_COLUMN_REMEDY = "drop the column, or turn it into numbers, strings or a factor"


# ---- R to Python ----------------------------------------------------------------------------------------


def strings(vector: Any) -> list[str | None] | None:
    """Character vector as a list with ``None`` for NA; ``None`` for NULL."""
    if vector is ri.NULL:
        return None
    return [None if value is ri.NA_Character else value for value in vector]


def items(sexp: Any) -> dict[str, Any]:
    """Named R list as a dict of R objects."""
    if sexp is ri.NULL or len(sexp) == 0:
        return {}
    return dict(zip(strings(sexp.names), sexp, strict=True))


def tree_in(sexp: Any, name: str = "") -> Any:
    """Tree of a plain R value, see :mod:`isthmus.bridge.values`.

    Parameters
    ----------
    sexp
        NULL, a list of plain values, a ``dgCMatrix``, a numeric matrix, or a vector.
    name
        What to call it in an error.
    """
    if sexp is ri.NULL:
        return None
    if isinstance(sexp, ri.SexpS4):
        return views.csr_view(sexp)
    if isinstance(sexp, ri.ListSexpVector):
        if len(sexp) and sexp.names is ri.NULL:
            return [tree_in(item, name) for item in sexp]
        return {key: tree_in(item, key) for key, item in items(sexp).items()}
    if "matrix" in sexp.rclass:
        return views.dense_view(sexp)
    return column_in(sexp, name)


def column_in(vector: Any, name: str) -> Column:
    """Neutral column from an R vector.

    Raises
    ------
    InputError
        For vectors that pandas has no column for: lists, complex numbers, nested tables, unknown classes.
    """
    classes = () if vector is ri.NULL else tuple(vector.rclass)
    if isinstance(vector, ri.IntSexpVector) and "factor" in classes:
        levels = strings(vector.do_slot("levels")) or []
        if None not in levels:
            return Column("ordered" if "ordered" in classes else "factor", np.array(vector), tuple(levels))
    elif "Date" in classes:
        return Column("date", _doubles(vector))
    elif "POSIXct" in classes:
        return Column("datetime", _doubles(vector), zone=_zone(vector))
    elif classes == ("logical",):
        return Column("logical", np.array(vector, dtype=np.int32))
    elif classes == ("integer",):
        return Column("integer", np.array(vector))
    elif classes == ("numeric",):
        return Column("double", np.array(vector))
    elif isinstance(vector, ri.StrSexpVector) and classes in (("character",), ("AsIs",)):
        return Column("character", np.array(strings(vector), dtype=object))
    raise InputError(
        "columns of logicals, numbers, strings, factors (no NA among the levels), dates or times",
        f"column '{name}' of class {' / '.join(classes) or 'NULL'}",
        _COLUMN_REMEDY,
    )


def _doubles(vector: Any) -> np.ndarray:
    """Dates and times as float64, also where R keeps them as integers."""
    plain = np.array(vector)
    return np.where(plain == NA_INTEGER, np.nan, plain) if plain.dtype == np.int32 else plain


def _zone(vector: Any) -> str | None:
    try:
        return strings(vector.do_slot("tzone"))[0] or None
    except LookupError:
        return None


# ---- Python to R ----------------------------------------------------------------------------------------


def text(values: Iterable[Any]) -> ri.StrSexpVector:
    """Character vector; ``None`` becomes NA."""
    return ri.StrSexpVector([ri.NA_Character if value is None else str(value) for value in values])


def named(values: Mapping[str, Any]) -> ri.ListSexpVector:
    """Named list of R objects."""
    out = ri.ListSexpVector(list(values.values()))
    if values:
        out.do_slot_assign("names", text(values))
    return out


def column_out(column: Column) -> Any:
    """R vector from a neutral column."""
    structure = ri.baseenv["structure"]
    if column.kind == "logical":
        return ri.baseenv["as.logical"](views.ints(column.values))
    if column.kind == "integer":
        return views.ints(column.values)
    if column.kind == "double":
        return views.floats(column.values)
    if column.kind == "character":
        return text(column.values)
    if column.kind == "date":
        return structure(views.floats(column.values), **{"class": text(["Date"])})
    if column.kind == "datetime":
        zone = text([column.zone or "UTC"])
        return structure(views.floats(column.values), **{"class": text(["POSIXct", "POSIXt"]), "tzone": zone})
    classes = ["ordered", "factor"] if column.kind == "ordered" else ["factor"]
    return structure(views.ints(column.values), levels=text(column.levels or ()), **{"class": text(classes)})


class RSink:
    """Builds R objects in memory; see :class:`isthmus.bridge.values.Sink`."""

    def null(self) -> Any:
        """R's NULL."""
        return ri.NULL

    def vector(self, column: Column) -> Any:
        """A vector, factor, date or time."""
        return column_out(column)

    def dense(self, values: np.ndarray, *, assay: bool) -> Any:
        """A matrix."""
        return views.dense_out(values, assay=assay)

    def sparse(self, values: Any, *, assay: bool) -> Any:
        """A ``dgCMatrix``."""
        return views.sparse_out(values, assay=assay)

    def frame(self, rows: Column | None, columns: dict[str, Column]) -> Any:
        """A ``data.frame``; without columns and names it is empty."""
        vectors = {name: column_out(column) for name, column in columns.items()}
        n = len(next(iter(columns.values())).values) if columns else 0
        names = views.ints(np.arange(1, n + 1)) if rows is None else text(rows.values)
        if not vectors:  # structure() would give NULL names to an empty list
            return ri.baseenv["data.frame"](**{"row.names": names})
        return ri.baseenv["structure"](named(vectors), **{"row.names": names, "class": text(["data.frame"])})

    def named(self, items: dict[str, Any]) -> Any:
        """A named list."""
        return named(items)

    def unnamed(self, items: list[Any]) -> Any:
        """A list."""
        return ri.ListSexpVector(items)


def frame_in(columns: Mapping[str, Any], index: pd.Index) -> pd.DataFrame:
    """Table from R vectors and an index."""
    from isthmus.bridge.columns import decode

    table = {name: decode(column_in(vector, name)) for name, vector in columns.items()}
    return pd.DataFrame(table, index=index, columns=list(columns))

"""R's tables, lists and studies to Python's, and results back: everything between single vectors and SCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from rpy2 import rinterface as ri

from isthmus._errors import InputError
from isthmus.bridge import study as studies
from isthmus.bridge import views
from isthmus.bridge.columns import NA_INTEGER, Column, decode, encode

ASSAY_RESULTS = ("values",)  # results of verbs that are (cells, features): R wants them features first
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


def column_in(vector: Any, name: str) -> Column:
    """Neutral column from an R vector.

    Raises
    ------
    InputError
        For vectors that pandas has no column for: lists, complex numbers, nested tables, unknown classes.
    """
    classes = () if vector is ri.NULL else tuple(vector.rclass)
    if isinstance(vector, ri.BoolSexpVector):
        return Column("logical", np.array(vector, dtype=np.int32))
    if isinstance(vector, ri.IntSexpVector) and "factor" in classes:
        levels = strings(vector.do_slot("levels")) or []
        if None not in levels:
            return Column("ordered" if "ordered" in classes else "factor", np.array(vector), tuple(levels))
    elif "Date" in classes:
        return Column("date", _doubles(vector))
    elif "POSIXct" in classes:
        return Column("datetime", _doubles(vector), zone=_zone(vector))
    elif isinstance(vector, ri.IntSexpVector) and classes in (("integer",), ("matrix", "array", "integer")):
        return Column("integer", np.array(vector).reshape(-1))
    elif isinstance(vector, ri.FloatSexpVector) and classes == ("numeric",):
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


def frame_in(sexp: Any) -> pd.DataFrame:
    """Table from ``list(names = character, columns = named list)``; the names become the index."""
    parts = items(sexp)
    index = pd.Index(np.array(strings(parts["names"]), dtype=object))
    columns = items(parts["columns"])
    table = {name: decode(column_in(vector, name)) for name, vector in columns.items()}
    return pd.DataFrame(table, index=index, columns=list(columns))


def matrix_in(sexp: Any) -> np.ndarray | sp.csr_matrix:
    """Matrix (cells, features) over R's (features, cells): ``dgCMatrix`` or a plain numeric matrix."""
    if isinstance(sexp, ri.SexpS4):
        return views.csr_view(sexp)
    return views.dense_view(sexp)


def parts_in(sexp: Any) -> studies.Parts:
    """Parts of a study from the plain list that the R package hands over."""
    study = items(sexp)
    reduced = {}
    for name, entry in items(study["reducedDims"]).items():
        values = items(entry)
        reduced[name] = (views.dense_view(values["values"]).T, strings(values["columns"]))
    return studies.Parts(
        {name: matrix_in(matrix) for name, matrix in items(study["assays"]).items()},
        None if study["main"] is ri.NULL else strings(study["main"])[0],
        frame_in(study["obs"]),
        frame_in(study["var"]),
        reduced,
        {name: parts_in(other) for name, other in items(study["altExps"]).items()},
    )


# ---- Python to R ----------------------------------------------------------------------------------------


def text(values: Any) -> ri.StrSexpVector:
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


def frame_out(table: pd.DataFrame) -> Any:
    """``data.frame`` with the index as row names (numbered where it is a plain range or has duplicates)."""
    columns = {str(name): column_out(encode(table[name], str(name))) for name in table.columns}
    plain = isinstance(table.index, pd.RangeIndex) or not table.index.is_unique
    rows = views.ints(np.arange(1, len(table) + 1)) if plain else text(table.index)
    if not columns:  # structure() would take an empty list for NULL's names
        return ri.baseenv["data.frame"](**{"row.names": rows})
    return ri.baseenv["structure"](named(columns), **{"row.names": rows, "class": text(["data.frame"])})


def matrix_out(values: Any, *, assay: bool) -> Any:
    """R matrix from a dense or sparse one; an assay is turned to features x cells."""
    if sp.issparse(values):
        return views.sparse_out(values, assay=assay)
    return views.dense_out(np.asarray(values), assay=assay)


def parts_out(parts: studies.Parts) -> Any:
    """The R package's plain list from the parts of a study."""
    reduced = {}
    for name, (values, columns) in parts.reduced.items():
        labels = ri.NULL if columns is None else text(columns)
        reduced[name] = named({"values": matrix_out(values, assay=False), "columns": labels})
    return named(
        {
            "assays": named({name: matrix_out(m, assay=True) for name, m in parts.assays.items()}),
            "main": ri.NULL if parts.main is None else text([parts.main]),
            "obs": named_frame(parts.obs),
            "var": named_frame(parts.var),
            "reducedDims": named(reduced),
            "altExps": named({name: parts_out(other) for name, other in parts.alternatives.items()}),
        }
    )


def named_frame(table: pd.DataFrame) -> Any:
    """``list(names, columns)`` of a table: data.frames cannot carry duplicate row names."""
    columns = {str(name): column_out(encode(table[name], str(name))) for name in table.columns}
    return named({"names": text(table.index), "columns": named(columns)})


def value_out(value: Any, *, assay: bool = False) -> Any:
    """R value from a verb's result: scalars, arrays, tables, lists, dicts, studies, and nests of them.

    Raises
    ------
    InputError
        If R has no value for it.
    """
    if value is None:
        return ri.NULL
    if isinstance(value, ad.AnnData):
        return parts_out(studies.take_apart(value))
    if isinstance(value, pd.DataFrame):
        return frame_out(value)
    if isinstance(value, Mapping):
        return named({str(name): value_out(v, assay=name in ASSAY_RESULTS) for name, v in value.items()})
    if sp.issparse(value):
        return views.sparse_out(value, assay=assay)
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiub":
        return views.dense_out(value, assay=assay)
    if isinstance(value, (list, tuple)) and not is_vector(value):
        return ri.ListSexpVector([value_out(v) for v in value])
    if isinstance(value, (bool, int, float, str, np.generic)):
        value = [value]
    return column_out(encode(value))


def is_vector(values: list | tuple) -> bool:
    """Whether a list holds scalars of one kind, so that it is one R vector."""
    known = [v for v in values if v is not None]
    for kinds in (str, (bool, np.bool_), (int, float, np.integer, np.floating)):
        if all(isinstance(v, kinds) for v in known):
            return True
    return False

"""What crosses the bridge, whichever way it is carried.

Inwards every carrier makes a *tree* of R's plain lists: named lists become dicts, vectors :class:`Column`,
``dgCMatrix`` a CSR and a matrix an array, both R's matrix transposed (the same bytes in Python's order).
Outwards :func:`emit` tells a carrier, its *sink*, what to build. So both transports give the same values.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus.bridge import study as studies
from isthmus.bridge.columns import Column, decode, encode

ASSAY_RESULTS = ("values",)  # results of verbs that are (cells, features): R wants them features first


class Sink(Protocol):
    """Builds R values, in memory or in a file."""

    def null(self) -> Any:
        """R's NULL."""

    def vector(self, column: Column) -> Any:
        """A vector, factor, date or time."""

    def dense(self, values: np.ndarray, *, assay: bool) -> Any:
        """A matrix; an assay (cells, features) becomes features x cells."""

    def sparse(self, values: Any, *, assay: bool) -> Any:
        """A ``dgCMatrix``; an assay (cells, features) becomes features x cells."""

    def frame(self, rows: Column | None, columns: dict[str, Column]) -> Any:
        """A ``data.frame``; ``rows`` are its row names."""

    def named(self, items: dict[str, Any]) -> Any:
        """A named list of values built before."""

    def unnamed(self, items: list[Any]) -> Any:
        """A list of values built before."""


# ---- inwards --------------------------------------------------------------------------------------------


def texts(node: Column | None) -> list[str | None] | None:
    """Strings of a character column; ``None`` for NULL."""
    return None if node is None else list(node.values)


def frame_from(tree: Mapping[str, Any]) -> pd.DataFrame:
    """Table from ``list(names = character, columns = named list)``; the names become the index."""
    index = pd.Index(np.array(texts(tree["names"]), dtype=object))
    columns = tree["columns"] or {}
    return pd.DataFrame({name: decode(column) for name, column in columns.items()}, index=index, columns=list(columns))


def parts_from(tree: Mapping[str, Any]) -> studies.Parts:
    """Parts of a study from the tree of the R package's plain list."""
    reduced = {
        name: (entry["values"].T, texts(entry["columns"])) for name, entry in (tree["reducedDims"] or {}).items()
    }
    main = texts(tree["main"])
    return studies.Parts(
        dict(tree["assays"] or {}),
        main[0] if main else None,
        frame_from(tree["obs"]),
        frame_from(tree["var"]),
        reduced,
        {name: parts_from(other) for name, other in (tree["altExps"] or {}).items()},
    )


def request_from(tree: Mapping[str, Any] | None) -> tuple[ad.AnnData | dict[str, ad.AnnData] | None, dict[str, Any]]:
    """What a call brings: one study, several by name, or none; and tables, which are settings of the verb.

    A tree of several has ``studies``, a named list of them, and ``tables``, a named list of tables.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # AnnData's advice on names is not for users of R
        if tree is None:
            return None, {}
        if "studies" not in tree:
            return studies.assemble(parts_from(tree)), {}
        several = {name: studies.assemble(parts_from(one)) for name, one in tree["studies"].items()}
    return several, {name: frame_from(table) for name, table in (tree["tables"] or {}).items()}


# ---- outwards -------------------------------------------------------------------------------------------


def emit(value: Any, to: Sink, *, assay: bool = False) -> Any:
    """Build R's form of a verb's result: scalars, arrays, tables, lists, dicts, studies, and nests of them.

    Parameters
    ----------
    value
        The result.
    to
        Who builds it.
    assay
        Whether a matrix is (cells, features), so that R wants it turned. Sparse matrices always are.

    Raises
    ------
    InputError
        If R has no value for it.
    """
    if value is None:
        return to.null()
    if isinstance(value, ad.AnnData):
        return emit_parts(studies.take_apart(value), to)
    if isinstance(value, pd.DataFrame):
        plain = isinstance(value.index, pd.RangeIndex) or not value.index.is_unique
        return to.frame(None if plain else _names(value.index), _columns(value))
    if isinstance(value, Mapping):
        return to.named({str(k): emit(v, to, assay=k in ASSAY_RESULTS) for k, v in value.items()})
    if sp.issparse(value):
        return to.sparse(value, assay=True)
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiub":
        return to.dense(value, assay=assay)
    if isinstance(value, (list, tuple)) and not is_vector(value):
        return to.unnamed([emit(v, to) for v in value])
    if isinstance(value, (bool, int, float, str, np.generic)):
        value = [value]
    return to.vector(encode(value))


def emit_parts(parts: studies.Parts, to: Sink) -> Any:
    """The R package's plain list of a study; its tables are lists, because names may have duplicates."""
    reduced = {}
    for name, (values, columns) in parts.reduced.items():
        labels = to.null() if columns is None else to.vector(encode(columns))
        reduced[name] = to.named({"values": to.dense(values, assay=False), "columns": labels})
    assays = {name: emit_matrix(matrix, to, assay=True) for name, matrix in parts.assays.items()}
    return to.named(
        {
            "assays": to.named(assays),
            "main": to.null() if parts.main is None else to.vector(encode([parts.main])),
            "obs": _table(parts.obs, to, named="obs" not in parts.unnamed),
            "var": _table(parts.var, to, named="var" not in parts.unnamed),
            "reducedDims": to.named(reduced),
            "altExps": to.named({name: emit_parts(other, to) for name, other in parts.alternatives.items()}),
        }
    )


def emit_matrix(values: Any, to: Sink, *, assay: bool) -> Any:
    """Dense or sparse matrix; file-backed ones are read."""
    if hasattr(values, "to_memory"):
        values = values.to_memory()
    return to.sparse(values, assay=assay) if sp.issparse(values) else to.dense(np.asarray(values), assay=assay)


def _table(table: pd.DataFrame, to: Sink, *, named: bool) -> Any:
    columns = {name: to.vector(column) for name, column in _columns(table).items()}
    names = to.vector(_names(table.index)) if named else to.null()
    size = to.vector(encode([len(table)]))
    return to.named({"names": names, "columns": to.named(columns), "size": size})


def _columns(table: pd.DataFrame) -> dict[str, Column]:
    return {str(name): encode(table[name], str(name)) for name in table.columns}


def _names(index: pd.Index) -> Column:
    return Column("character", np.array([str(name) for name in index], dtype=object))


def is_vector(values: list | tuple) -> bool:
    """Whether a list holds scalars of one kind, so that it is one R vector."""
    known = [v for v in values if v is not None]
    for kinds in (str, (bool, np.bool_), (int, float, np.integer, np.floating)):
        if all(isinstance(v, kinds) for v in known):
            return True
    return False


def integer_like(values: np.ndarray) -> bool:
    """Whether R keeps a matrix as integers: truth values and integers of up to 32 bits."""
    return values.dtype.kind in "iub" and values.dtype.itemsize <= 4 and values.dtype != np.uint32

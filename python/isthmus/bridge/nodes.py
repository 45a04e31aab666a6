"""Nodes: one R value each, as JSON beside an HDF5 file; :mod:`isthmus.bridge.exchange` tells the layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.bridge.columns import NA_INTEGER, Column
from isthmus.bridge.values import integer_like

_SHORT = 64  # vectors up to this length stand in the JSON file


# ---- reading --------------------------------------------------------------------------------------------


def tree_from(node: Mapping[str, Any], file: h5py.File | None) -> Any:
    """Tree of a node, see :mod:`isthmus.bridge.values`."""
    kind = node["kind"]
    if kind == "null":
        return None
    if kind == "list":
        items = [tree_from(item, file) for item in node["items"]]
        return items if node["names"] is None else dict(zip(node["names"], items, strict=True))
    if kind == "vector":
        return _read_vector(node, file)
    if kind == "frame":
        return {"names": tree_from(node["rows"], file), "columns": tree_from(node["columns"], file)}
    if kind == "dense":
        rows, columns = node["dim"]
        if rows * columns == 0:
            return np.zeros((columns, rows))
        return _without_na(file[node["path"]][:])
    if kind == "sparse":
        return _read_sparse(node, file[node["path"]])
    raise InputError(
        "an exchange folder of this version", f"a value of kind '{kind}'", "update isthmus in R and Python"
    )


def _read_vector(node: Mapping[str, Any], file: h5py.File | None) -> Column:
    kind = node["type"]
    integral = kind in ("logical", "integer", "factor", "ordered")
    if "value" in node:
        plain = node["value"]
        if kind == "character":
            array = np.array([None, *plain], dtype=object)[1:]  # so that NumPy makes no text array of it
        elif integral:
            array = np.array([NA_INTEGER if v is None else int(v) for v in plain], dtype=np.int32)
        else:
            array = np.array(plain, dtype=np.float64)
    else:
        array = _read_array(node["path"], file, text=kind == "character")
    levels = None if node.get("levels") is None else tuple(node["levels"])
    return Column(kind, array, levels, node.get("zone"))


def _read_array(path: str, file: h5py.File, *, text: bool) -> np.ndarray:
    if not text:
        return file[path][:]
    array = file[path].asstr("utf-8")[:].astype(object)
    if f"{path}_na" in file:
        array[file[f"{path}_na"][:] == 1] = None
    return array


def _read_sparse(node: Mapping[str, Any], group: h5py.Group) -> sp.csr_matrix:
    rows, columns = node["dim"]
    parts = [group[name][:] if group[name].shape[0] else None for name in ("data", "indices", "indptr")]
    data = np.zeros(0) if parts[0] is None else parts[0]
    indices = np.zeros(0, np.int32) if parts[1] is None else parts[1]
    out = sp.csr_matrix((data, indices, parts[2]), shape=(columns, rows))
    out.has_sorted_indices = out.has_canonical_format = True  # R's columns are, by its validity check
    return out


def _without_na(array: np.ndarray) -> np.ndarray:
    """R's NA in an integer matrix as NaN."""
    if array.dtype.kind == "i" and (array == NA_INTEGER).any():
        return np.where(array == NA_INTEGER, np.nan, array)
    return array


# ---- writing --------------------------------------------------------------------------------------------


class FileSink:
    """Builds nodes and fills an HDF5 file; see :class:`isthmus.bridge.values.Sink`.

    Parameters
    ----------
    file
        Open for writing.
    """

    def __init__(self, file: h5py.File) -> None:
        self.file, self.count = file, 0

    def _path(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def null(self) -> dict[str, Any]:
        """R's NULL."""
        return {"kind": "null"}

    def vector(self, column: Column) -> dict[str, Any]:
        """A vector, factor, date or time."""
        node = {"kind": "vector", "type": column.kind, "length": len(column.values)}
        if column.levels is not None:
            node["levels"] = list(column.levels)
        if column.zone is not None:
            node["zone"] = column.zone
        place = self._in_place(column)
        if place is not None:
            return node | {"value": place}
        node["path"] = self._path()
        if column.kind == "character":
            missing = np.array([v is None for v in column.values], dtype=np.int32)
            clean = ["" if v is None else v for v in column.values]
            self.file.create_dataset(node["path"], data=clean, dtype=h5py.string_dtype("utf-8"))
            if missing.any():
                self.file[f"{node['path']}_na"] = missing
        else:
            self.file[node["path"]] = column.values
        return node

    @staticmethod
    def _in_place(column: Column) -> list[Any] | None:
        """Short vectors for the JSON file; those with NaN, NA or infinite doubles are not for JSON."""
        array = column.values
        if len(array) > _SHORT:
            return None
        if column.kind == "character":
            return list(array)
        if array.dtype.kind == "f":
            return array.tolist() if np.isfinite(array).all() else None
        return [None if v == NA_INTEGER else v for v in array.tolist()]

    def dense(self, values: np.ndarray, *, assay: bool) -> dict[str, Any]:
        """A matrix; the file holds R's matrix transposed, which is how R's HDF5 reads it back."""
        turned = values if assay else values.T
        node = {"kind": "dense", "dim": [int(n) for n in turned.shape[::-1]], "path": None}
        if turned.size:
            node["path"] = self._path()
            kind = np.int32 if integer_like(turned) else np.float64
            self.file.create_dataset(node["path"], data=np.ascontiguousarray(turned, kind))
        return node

    def sparse(self, values: Any, *, assay: bool) -> dict[str, Any]:
        """A ``dgCMatrix``."""
        matrix = sp.csr_matrix(values) if assay else sp.csc_matrix(values)
        if not matrix.has_canonical_format:
            matrix = matrix.copy()
            matrix.sum_duplicates()
        shape = matrix.shape[::-1] if assay else matrix.shape
        group = self.file.create_group(self._path())
        group["data"] = matrix.data.astype(np.float64, copy=False)
        group["indices"] = matrix.indices.astype(np.int32, copy=False)
        group["indptr"] = matrix.indptr
        return {"kind": "sparse", "dim": [int(n) for n in shape], "path": group.name.lstrip("/")}

    def frame(self, rows: Column | None, columns: dict[str, Column]) -> dict[str, Any]:
        """A ``data.frame``."""
        vectors = self.named({name: self.vector(column) for name, column in columns.items()})
        return {
            "kind": "frame",
            "rows": self.null() if rows is None else self.vector(rows),
            "columns": vectors,
        }

    def named(self, items: dict[str, Any]) -> dict[str, Any]:
        """A named list."""
        return {"kind": "list", "names": list(items), "items": list(items.values())}

    def unnamed(self, items: list[Any]) -> dict[str, Any]:
        """A list."""
        return {"kind": "list", "names": None, "items": items}

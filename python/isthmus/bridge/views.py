"""NumPy arrays that look into R's memory, and R vectors made from NumPy arrays.

A view shares R's bytes. Three things make that safe: the array owns the R object (R may drop every
reference of its own and collect garbage), it is read-only (nothing in Python can change the user's object
behind R's back), and it is meant to live for one call (see :func:`live`).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from rpy2 import rinterface as ri

from isthmus._errors import InputError
from isthmus.bridge.values import integer_like

R_INT_MAX = 2**31 - 1
_live = 0


class _Own:
    """Base of a view: holds the R object, and with it R's promise not to free the memory.

    ``np.asarray`` of an rpy2 vector keeps only a bare buffer as its base; once the vector is gone R may
    free the memory under the array.
    """

    __slots__ = ("__array_interface__", "sexp")

    def __init__(self, sexp: ri.sexp.SexpVector) -> None:
        global _live
        self.sexp, plain = sexp, np.asarray(sexp)
        description = dict(plain.__array_interface__)
        description["shape"], description["strides"] = plain.shape, plain.strides
        description["data"] = (description["data"][0], True)  # True: read-only
        self.__array_interface__ = description
        _live += 1

    def __del__(self) -> None:
        global _live
        _live -= 1


def live() -> int:
    """Number of views that hold R objects now; 0 between two calls from R."""
    return _live


def view(vector: ri.sexp.SexpVector) -> np.ndarray:
    """Read-only array over the memory of an R vector or matrix; it keeps the R object alive.

    Parameters
    ----------
    vector
        A numeric, integer, logical or raw R vector; a matrix gives an array of its shape in Fortran order.
    """
    plain = np.asarray(vector)
    if plain.size == 0:  # R gives empty vectors a fake address
        return np.empty(plain.shape, plain.dtype)
    return np.asarray(_Own(vector))


def csr_view(matrix: ri.SexpS4) -> sp.csr_matrix:
    """CSR (cells, features) over a ``dgCMatrix`` (features, cells): the same three vectors, no copy.

    A compressed column of features x cells is a compressed row of cells x features.
    """
    n_features, n_cells = matrix.do_slot("Dim")
    data, indices, indptr = (view(matrix.do_slot(slot)) for slot in "xip")
    out = sp.csr_matrix((n_cells, n_features), dtype=data.dtype)
    out.data, out.indices, out.indptr = data, indices, indptr
    # R's validity check guarantees both; SciPy would scan, and then sort in place, which a view forbids.
    out.has_sorted_indices = True
    out.has_canonical_format = True
    return out


def dense_view(matrix: ri.sexp.SexpVector) -> np.ndarray:
    """Array (cells, features), C order, over an R matrix (features, cells).

    Numeric matrices are views; an integer or logical matrix with NA becomes a float64 copy with NaN,
    because NumPy's integers have no missing value.
    """
    out = view(matrix).T
    if out.dtype == np.int32 and out.size and out.min() == np.iinfo(np.int32).min:
        copy = out.astype(np.float64)
        copy[out == np.iinfo(np.int32).min] = np.nan
        return copy
    return out


def floats(values: np.ndarray) -> ri.FloatSexpVector:
    """R double vector with a copy of ``values`` (any numeric type, read in C order)."""
    flat = np.ascontiguousarray(values, np.float64).reshape(-1)
    return ri.FloatSexpVector.from_memoryview(memoryview(flat))


def ints(values: np.ndarray) -> ri.IntSexpVector:
    """R integer vector with a copy of ``values``; the smallest int32 is R's NA."""
    flat = np.ascontiguousarray(values, np.int32).reshape(-1)
    return ri.IntSexpVector.from_memoryview(memoryview(flat))


def dense_out(values: np.ndarray, *, assay: bool) -> ri.sexp.SexpVector:
    """R matrix from a dense array.

    Parameters
    ----------
    values
        (rows, columns); integers that fit stay integer, all else becomes double.
    assay
        True turns (cells, features) into R's (features, cells); the bytes keep their order. False keeps
        the shape, as for an embedding.
    """
    make = ints if integer_like(values) else floats
    out = make(values if assay else values.T)
    shape = values.shape[::-1] if assay else values.shape
    out.do_slot_assign("dim", ri.IntSexpVector([int(n) for n in shape]))
    return out


def sparse_out(values: sp.spmatrix | sp.sparray, *, assay: bool = True) -> ri.SexpS4:
    """``dgCMatrix`` from a SciPy sparse matrix, through ``new()``, so that R's validity check guards it.

    Parameters
    ----------
    values
        (cells, features) when ``assay`` is True, which gives (features, cells); else the shape is kept.

    Raises
    ------
    InputError
        If it has more non-zeros than R's integer indices can count.
    """
    matrix = sp.csr_matrix(values) if assay else sp.csc_matrix(values)
    if matrix.nnz > R_INT_MAX:
        raise InputError(
            f"a sparse matrix of fewer than {R_INT_MAX + 1:,} non-zeros, which is where R's dgCMatrix ends",
            f"{matrix.nnz:,} non-zeros",
            "ask for fewer features or cells at once",
        )
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    shape = matrix.shape[::-1] if assay else matrix.shape
    return namespace("methods")["new"](
        _matrix_class(),
        i=ints(matrix.indices),
        p=ints(matrix.indptr),
        x=floats(matrix.data),
        Dim=ri.IntSexpVector([int(n) for n in shape]),
    )


def _matrix_class() -> ri.StrSexpVector:
    """Name of the class, with the package that defines it loaded."""
    namespace("Matrix")
    return ri.StrSexpVector(["dgCMatrix"])


def namespace(package: str) -> ri.SexpEnvironment:
    """Namespace of an R package; loads it where needed.

    Raises
    ------
    EnvironmentProblem
        If R has no such package.
    """
    if package == "base":
        return ri.baseenv
    found = ri.baseenv["requireNamespace"](ri.StrSexpVector([package]), quietly=ri.BoolSexpVector([True]))
    if not found[0]:
        from isthmus._errors import EnvironmentProblem

        raise EnvironmentProblem(
            f"the R package '{package}' for this conversion",
            "that R has no such package",
            f"in R: BiocManager::install('{package}')",
        )
    return ri.baseenv["getNamespace"](ri.StrSexpVector([package]))

"""SingleCellExperiment and AnnData, for Python users who hold R objects.

The rules stand on top of anndata2ri's: what they do not know falls through to it. They share R's memory where
anndata2ri copies, and keep what it loses: altExps, assay names, logical NA, ordered factors, dates, the names
of reduced dimensions.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from rpy2 import rinterface as ri
from rpy2.rinterface_lib.embedded import RRuntimeError

from isthmus._errors import InputError
from isthmus._optional import require
from isthmus.bridge import rvalues, session, values, views
from isthmus.bridge import study as studies

# Matrices of R that are not yet a dgCMatrix or a plain matrix, made one; NULL for what has no such form.
_PLAIN = """function(x) {
    if (inherits(x, "dgCMatrix")) return(x)
    if (inherits(x, "DelayedMatrix") && length(x) && DelayedArray::is_sparse(x)) return(as(x, "dgCMatrix"))
    if (methods::is(x, "sparseMatrix"))
        return(methods::as(methods::as(methods::as(x, "dMatrix"), "generalMatrix"), "CsparseMatrix"))
    if (!(methods::is(x, "Matrix") || inherits(x, "DelayedMatrix") || is.data.frame(x) || is.matrix(x) ||
        methods::is(x, "LinearEmbeddingMatrix"))) return(NULL)
    x <- as.matrix(x)
    if (is.logical(x)) storage.mode(x) <- "integer"
    if (is.numeric(x)) x else NULL
}"""


def to_anndata(sexp: Any, main: str | None = None) -> ad.AnnData:
    """AnnData from a SingleCellExperiment (or SummarizedExperiment) that lives in R.

    Parameters
    ----------
    sexp
        The object, as rpy2 gives it (``rpy2.robjects`` or ``rpy2.rinterface``).
    main
        The assay that becomes ``X``; by default the first.

    Returns
    -------
    anndata.AnnData
        (cells, features). ``dgCMatrix`` and numeric assays are read-only views of R's memory and keep the R
        object alive; copy one before changing it. Other matrices are converted by R first. ``obsm`` holds the
        reduced dimensions, ``uns["altExps"]`` the alternative experiments, ``uns["bridge"]`` R's names.

    Raises
    ------
    InputError
        If it is not such an object, or holds columns or assays that AnnData has no place for.
    """
    classes = list(getattr(sexp, "rclass", ()))
    if not _is(sexp, "SummarizedExperiment"):
        raise InputError(
            "a SingleCellExperiment that lives in R",
            f"an object of class {' / '.join(classes) or type(sexp).__name__}",
            "in R: Seurat::as.SingleCellExperiment(x), or build one with SingleCellExperiment(assays = ...)",
        )
    out = studies.assemble(_parts(_bare(sexp), main))
    plain, left_out = _metadata(sexp)
    out.uns.update(plain)
    if left_out:
        warnings.warn(
            f"left out, because AnnData has no place for it: {', '.join(left_out)}",
            stacklevel=2,
        )
    return out


def to_r(adata: ad.AnnData) -> Any:
    """SingleCellExperiment in R from an AnnData.

    Parameters
    ----------
    adata
        Its ``X`` and layers become assays (R's names come back where it once was an R object and they still
        fit, else ``X`` is assay "X"), ``obsm`` reduced dimensions, ``uns["altExps"]`` alternative experiments,
        other plain entries of ``uns`` metadata.

    Returns
    -------
    rpy2.robjects.methods.RS4
        A copy; it shares nothing with ``adata``.

    Raises
    ------
    InputError
        If a column has no R vector, or a matrix more than 2^31 - 1 non-zeros.
    """
    from rpy2.robjects.methods import RS4

    out = _experiment(values.emit_parts(studies.take_apart(adata), rvalues.RSink()))
    plain, left_out = {}, []
    for name, value in adata.uns.items():
        if name in (studies.RECORD, studies.ALTERNATIVES):
            continue
        try:
            plain[str(name)] = values.emit(value, rvalues.RSink())
        except (InputError, TypeError, ValueError):
            left_out.append(str(name))
    if left_out:
        warnings.warn(f"left out of metadata, because R has no form for it: {', '.join(left_out)}", stacklevel=2)
    return RS4(_r("function(x, m) { S4Vectors::metadata(x) <- m; x }")(out, rvalues.named(plain)))


@contextmanager
def converter() -> Iterator[Any]:
    """Context in which rpy2.robjects converts by our rules, and by anndata2ri's where we have none.

    Yields
    ------
    rpy2.robjects.conversion.Converter
        The rules: SingleCellExperiment and AnnData, ``DataFrame`` and ``data.frame`` and pandas, views of
        ``dgCMatrix`` (as CSC, in R's orientation).

    Raises
    ------
    EnvironmentProblem
        If rpy2 or anndata2ri is missing, or rpy2 does not fit this R.
    """
    rules = _rules()
    with rules.context():
        yield rules


@functools.cache
def _rules() -> Any:
    """The converter, built once."""
    session.attach()
    robjects = require("rpy2.robjects", extra="r")
    base = robjects.default_converter + require("anndata2ri", extra="r").converter
    rules = robjects.conversion.Converter("isthmus", template=base)
    s4, listed = (base.rpy2py.dispatch(kind) for kind in (ri.SexpS4, ri.ListSexpVector))

    def from_s4(obj: Any) -> Any:
        if _is(obj, "SingleCellExperiment"):
            return to_anndata(obj)
        if "dgCMatrix" in obj.rclass:
            return _csc_view(obj)
        return _frame(obj) if _is(obj, "DataFrame") else s4(obj)

    def from_list(obj: Any) -> Any:
        return _frame(obj) if "data.frame" in obj.rclass else listed(obj)

    rules.rpy2py.register(ri.SexpS4, from_s4)
    rules.rpy2py.register(ri.ListSexpVector, from_list)
    rules.py2rpy.register(ad.AnnData, to_r)
    rules.py2rpy.register(pd.DataFrame, lambda table: values.emit(table, rvalues.RSink()))
    return rules


def _csc_view(matrix: Any) -> sp.csc_matrix:
    """A ``dgCMatrix`` as it is, features x cells, without a copy."""
    return views.csr_view(matrix).T


# ---- SingleCellExperiment apart and together ------------------------------------------------------------


@functools.cache
def _r(code: str) -> Any:
    """R function from its source."""
    session.attach()
    parsed = ri.baseenv["parse"](text=rvalues.text([code]))
    return ri.baseenv["eval"](parsed, envir=ri.baseenv["globalenv"]())


def _bare(sexp: Any) -> Any:
    """The object without the clothes of rpy2.robjects, whose accessors convert."""
    return ri.SexpS4(sexp)


def _is(sexp: Any, name: str) -> bool:
    if not isinstance(sexp, ri.SexpS4):
        return False
    return bool(_r("function(x, name) methods::is(x, name)")(_bare(sexp), rvalues.text([name]))[0])


def _parts(sexp: Any, main: str | None = None) -> studies.Parts:
    """Parts of an experiment."""
    get = functools.partial(_from, sexp)
    names = rvalues.strings(get("SummarizedExperiment", "assayNames")) or []
    assays = {}
    for i, name in enumerate(names):
        assays[name or f"assay{i + 1}"] = _assay(sexp, i + 1, name)
    if main is not None and main not in assays:
        raise InputError(f"one of the assays {', '.join(assays)}", f"'{main}'", "give the name of an assay")
    reduced, others = {}, {}
    if _is(sexp, "SingleCellExperiment"):
        for name, matrix in rvalues.items(_r(_REDUCED)(sexp)).items():
            reduced[name] = _reduced(matrix, name)
        for name, other in rvalues.items(_r("function(x) as.list(SingleCellExperiment::altExps(x))")(sexp)).items():
            others[name] = _parts(other)
    cells, features = get("base", "colnames"), get("base", "rownames")
    obs = _frame(get("SummarizedExperiment", "colData"), cells)
    var = _frame(get("SummarizedExperiment", "rowData"), features)
    unnamed = tuple(axis for axis, names in (("obs", cells), ("var", features)) if names is ri.NULL)
    return studies.Parts(assays, main or next(iter(assays), None), obs, var, reduced, others, unnamed)


_REDUCED = "function(x) as.list(SingleCellExperiment::reducedDims(x, withDimnames = FALSE))"


def _from(sexp: Any, package: str, function: str) -> Any:
    return views.namespace(package)[function](sexp)


def _assay(sexp: Any, i: int, name: str) -> Any:
    """Assay number ``i`` as (cells, features)."""
    raw = _r("function(x, i) SummarizedExperiment::assay(x, i, withDimnames = FALSE)")(sexp, ri.IntSexpVector([i]))
    plain = _plain(raw)
    if plain is None:
        raise InputError(
            "assays of numbers, dense, sparse or HDF5-backed",
            f"assay '{name}' of class {' / '.join(raw.rclass)}",
            "drop it, or convert it with as(x, 'dgCMatrix')",
        )
    return rvalues.tree_in(plain)


def _plain(matrix: Any) -> Any:
    try:
        plain = _r(_PLAIN)(matrix)
    except RRuntimeError:
        return None
    return None if plain is ri.NULL else plain


def _reduced(matrix: Any, name: str) -> tuple[np.ndarray, list[str] | None]:
    """Reduced dimension (cells, dimensions) and the names of its columns."""
    plain = _plain(matrix)
    if plain is None or isinstance(plain, ri.SexpS4):
        plain = None if plain is None else ri.baseenv["as.matrix"](plain)
    if plain is None:
        raise InputError("reduced dimensions of numbers", f"'{name}' of class {' / '.join(matrix.rclass)}", "drop it")
    columns = rvalues.strings(ri.baseenv["colnames"](matrix))
    return rvalues.tree_in(plain).T, columns


def _frame(sexp: Any, names: Any = None) -> pd.DataFrame:
    """Table from a ``DataFrame`` or a ``data.frame``; Rle columns are unfolded."""
    columns = rvalues.items(_r("function(x) lapply(as.list(x), function(v) if (isS4(v)) as.vector(v) else v)")(sexp))
    given = rvalues.strings(ri.baseenv["rownames"](sexp) if names is None else names)
    n = int(ri.baseenv["nrow"](sexp)[0])
    index = [str(i) for i in range(n)] if given is None else given
    return rvalues.frame_in(columns, pd.Index(np.array(index, dtype=object)))


# Parts of an experiment that AnnData has no place for, where they hold something.
_NO_PLACE = """function(x) {
    pairs <- methods::is(x, "SingleCellExperiment")
    c(
        if (methods::is(x, "RangedSummarizedExperiment") &&
            methods::is(SummarizedExperiment::rowRanges(x), "GRanges")) "rowRanges",
        if (pairs && length(SingleCellExperiment::colPairNames(x))) "colPairs",
        if (pairs && length(SingleCellExperiment::rowPairNames(x))) "rowPairs",
        character()
    )
}"""


def _metadata(sexp: Any) -> tuple[dict[str, Any], list[str]]:
    """Entries of ``metadata()`` that are plain, and the names of the others."""
    plain, left_out = {}, rvalues.strings(_r(_NO_PLACE)(sexp))
    for name, value in rvalues.items(_r("function(x) as.list(S4Vectors::metadata(x))")(sexp)).items():
        try:
            plain[name] = _plain_value(value, name)
        except (InputError, TypeError):
            left_out.append(f"metadata '{name}'")
    return plain, left_out


def _plain_value(value: Any, name: str) -> Any:
    """Python form of a metadata entry: vectors, factors, tables, matrices, lists of them."""
    if isinstance(value, ri.ListSexpVector) and "data.frame" in value.rclass:
        return _frame(value)
    if isinstance(value, ri.ListSexpVector):
        if len(value) and value.names is ri.NULL:
            return [_plain_value(item, name) for item in value]
        return {key: _plain_value(item, key) for key, item in rvalues.items(value).items()}
    if isinstance(value, ri.SexpS4) and "dgCMatrix" not in value.rclass:
        raise InputError("a plain value", f"class {' / '.join(value.rclass)}", "drop it")
    tree = rvalues.tree_in(value, name)
    if isinstance(tree, values.Column):
        out = values.decode(tree)
        return out[0] if len(out) == 1 and tree.levels is None else out
    return None if tree is None else tree.T.copy()


_BUILD = """function(study, build) {
    frame <- function(t) {
        out <- S4Vectors::make_zero_col_DFrame(t$size)
        for (name in names(t$columns)) out[[name]] <- t$columns[[name]]
        rownames(out) <- t$names
        out
    }
    named <- function(m) { dimnames(m) <- list(study$var$names, study$obs$names); m }
    out <- SingleCellExperiment::SingleCellExperiment(
        assays = lapply(study$assays, named), colData = frame(study$obs), rowData = frame(study$var)
    )
    for (name in names(study$reducedDims)) {
        entry <- study$reducedDims[[name]]
        dimnames(entry$values) <- list(study$obs$names, entry$columns)
        SingleCellExperiment::reducedDim(out, name) <- entry$values
    }
    for (name in names(study$altExps)) {
        SingleCellExperiment::altExp(out, name) <- build(study$altExps[[name]], build)
    }
    out
}"""


def _experiment(study: Mapping[str, Any] | Any) -> Any:
    """SingleCellExperiment from the R list of a study."""
    views.namespace("SingleCellExperiment")
    build = _r(_BUILD)
    return build(study, build)

"""A study: cells by features with a batch for each cell, checked at the door."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import door
from isthmus.data.categories import Categories, shorten

VALUES = ("counts", "lognorm")
ANY_VALUES = (*VALUES, "values")  # the last one only where a model explains any numbers
ONE_DEPTH = 1e-3  # relative difference of depths up to which cells were brought to the same one


@dataclass(frozen=True)
class Study:
    """Cells of one modality, ready for a pipeline; inside, nothing needs to be checked again.

    Attributes
    ----------
    x
        (cells, features) CSR; may be a read-only view of memory that R owns.
    cells, features
        Unique names.
    batch
        (cells,) int64 codes into ``batches``.
    batches
        Names of the batches.
    values
        ``"counts"`` (raw, non-negative integers), ``"lognorm"`` (depth-normalised and log1p-transformed) or
        ``"values"`` (any finite numbers).
    """

    x: sp.csr_matrix
    cells: pd.Index
    features: pd.Index
    batch: np.ndarray
    batches: Categories
    values: str = "counts"

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.x.shape[0]

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.x.shape[1]

    def subset(self, rows: np.ndarray) -> Study:
        """The study of some of its cells."""
        return replace(self, x=self.x[rows], cells=self.cells[rows], batch=self.batch[rows])


def from_anndata(
    adata: AnnData,
    batch_key: str | None = None,
    *,
    layer: str | None = None,
    values: str = "counts",
    batches: Categories | None = None,
) -> Study:
    """Take a study out of an AnnData; nothing of it is copied that need not be, nothing is changed.

    Parameters
    ----------
    adata
        Cells by features.
    batch_key
        Column of ``adata.obs`` that names the batch of each cell; None puts all cells into one batch.
    layer
        Layer that holds the values; None takes ``adata.X``.
    values
        What the values are: ``"counts"``, ``"lognorm"``, or ``"values"`` for any finite numbers, such as scores of
        methylation, which only models of several modalities take. Never guessed.
    batches
        Known categories to encode with; None learns them.

    Raises
    ------
    InputError
        If a column or layer is absent, names repeat, or the values are not what they are said to be.
    """
    door.check_choice(values, ANY_VALUES, "values")
    if not isinstance(adata, AnnData):
        raise InputError(
            "an AnnData",
            f"a {type(adata).__name__}",
            "read the file or wrap the matrix first, as in anndata.AnnData(x)",
        )
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise InputError(
            "cells and features",
            f"{adata.n_obs} cells x {adata.n_vars} features",
            "give a data set that is not empty",
        )
    if adata.is_view and adata.isbacked:
        raise InputError(
            "an AnnData that results can be written to",
            "a part of one that is on disk",
            "load the part first, with .to_memory()",
        )
    door.check_unique(adata.obs_names, "cell")
    door.check_unique(adata.var_names, "feature")
    column = batch_column(adata, batch_key)
    x = as_csr(pick_layer(adata, layer))
    checks = {"counts": door.check_counts, "lognorm": door.check_lognorm, "values": door.check_values}
    checks[values](x, adata.obs_names, layer)
    known = Categories.of(column) if batches is None else batches
    return Study(x, adata.obs_names, adata.var_names.astype(str), known.encode(column), known, values)


def relative_counts(study: Study) -> Study:
    """Log-normalised cells that had one depth as what they are the logarithm of: their counts, but for a factor.

    Models measure the depth of counts anew, so that it does not matter which depth it was. Cells whose features were
    chosen after the normalisation have several, and are returned as they are; so are values that are no logarithms.
    """
    if study.values != "lognorm":
        return study
    x = study.x.expm1()
    depth = np.asarray(x.sum(axis=1)).ravel()
    one = depth.max() - depth.min() <= ONE_DEPTH * depth.max()
    return replace(study, x=x, values="counts") if one else study


def batch_column(adata: AnnData, batch_key: str | None) -> pd.Series:
    """The batch of each cell; one constant where no column is named."""
    if batch_key is None:
        return pd.Series("all", index=adata.obs_names)
    column = obs_column(
        adata,
        batch_key,
        "a column of obs that names the batch of each cell",
        "name one of these columns, or add the batch to obs first",
    )
    if column.isna().any():
        raise InputError(
            f"a batch for every cell in column '{batch_key}'",
            f"{int(column.isna().sum())} of {len(column)} cells without one",
            "fill in the missing batches or leave these cells out",
        )
    return column


def obs_column(adata: AnnData, key: str, expected: str, remedy: str) -> pd.Series:
    """A column of ``obs``, or an error that names those that are there."""
    if key not in adata.obs:
        raise InputError(expected, f"no column '{key}'; there are {shorten(list(adata.obs.columns)) or 'none'}", remedy)
    return adata.obs[key]


def warn_single_batch(batches: Categories, batch_key: str | None) -> None:
    """Say that nothing will be integrated; a reference for projection can still be built."""
    if len(batches) == 1:
        where = (
            "no batch column was named"
            if batch_key is None
            else f"column '{batch_key}' holds one batch, '{batches.names[0]}'"
        )
        warnings.warn(
            f"Nothing is integrated: {where}. The model can still serve as a reference for projection.",
            stacklevel=3,
        )


def pick_layer(adata: AnnData, layer: str | None) -> sp.spmatrix | np.ndarray:
    """``adata.X`` or one of its layers."""
    if layer is None:
        if adata.X is None:
            raise InputError(
                "values in X",
                "an AnnData without X",
                f"name a layer; there are {shorten(layer_names(adata)) or 'none'}",
            )
        return adata.X
    if layer not in layer_names(adata):
        raise InputError(
            f"a layer '{layer}'",
            f"{shorten(layer_names(adata)) or 'no layers'}",
            "name one of the layers, or None for X",
        )
    return adata.layers[layer]


def layer_or_usual(adata: AnnData, layer: str | None, usual: str | None) -> str | None:
    """The layer asked for; where none is, the usual one if the data have it."""
    return usual if layer is None and isinstance(adata, AnnData) and usual in layer_names(adata) else layer


def layer_names(adata: AnnData) -> list[str]:
    """Names of the layers; newer versions of anndata list X among them under the name None."""
    return [name for name in adata.layers if name is not None]


def as_csr(x: sp.spmatrix | np.ndarray | Sequence) -> sp.csr_matrix:
    """``x`` as CSR with sorted, summed, non-zero entries; no copy where it is that already."""
    if hasattr(x, "to_memory"):  # a matrix that is still in its file
        x = x.to_memory()
    if not sp.issparse(x):
        dense = np.asarray(x)
        if not np.issubdtype(dense.dtype, np.number) and dense.dtype != bool:
            raise InputError("numbers in the matrix", f"entries of type {dense.dtype}", "give a numeric matrix")
        return sp.csr_matrix(dense)
    out = sp.csr_matrix(x)
    if not out.has_canonical_format or not out.data.all():
        out = out.copy()  # the clean-up works in place, and the user's matrix stays as it is
        out.sum_duplicates()
        out.eliminate_zeros()  # a stored zero would count as a cell that shows the feature
    return out

"""What the report compares with: the same input without integration, and genes that mark the labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from isthmus._errors import InputError
from isthmus.data.categories import shorten, text_of
from isthmus.data.study import as_csr, layer_or_usual, pick_layer

if TYPE_CHECKING:
    from isthmus.tl import FittedModel

COMPONENTS = 30
SHOWN = 12  # columns of the marker table that a page can hold


def baseline(model: FittedModel, reference: AnnData, *, seed: int = 0) -> NDArray[np.float32]:
    """Principal components of the values that the model was fitted on: how the cells lie before integration.

    Parameters
    ----------
    model
        The fitted model.
    reference
        The cells it was fitted on.
    seed
        Of the decomposition.

    Returns
    -------
    numpy.ndarray
        (cells, at most 30) float32: PCA of the depth-normalised, log-transformed features of the model.

    Raises
    ------
    InputError
        If features of the model are missing.
    """
    import scanpy as sc

    columns = reference.var_names.get_indexer(model.pipeline.features)
    if (columns < 0).any():
        absent = model.pipeline.features[columns < 0]
        raise InputError(
            f"the {len(columns)} features of the model in the reference",
            f"{len(absent)} missing: {shorten(list(absent))}",
            "give the cells and features that the model was fitted on",
        )
    layer = layer_or_usual(reference, None, model.settings["layer"])
    logged = log_normalised(reference, model.settings["values"], layer)
    holder = AnnData(logged[:, columns])
    sc.pp.pca(holder, n_comps=min(COMPONENTS, min(holder.shape) - 1), random_state=seed)
    return holder.obsm["X_pca"].astype(np.float32)


def log_normalised(adata: AnnData, values: str, layer: str | None = None) -> sp.csr_matrix:
    """Expression (cells, features) as ``log1p`` of counts per 10,000; log-normalised values as they are."""
    x = as_csr(pick_layer(adata, layer)).astype(np.float32, copy=False)
    if values == "lognorm":
        return x
    depth = np.asarray(x.sum(axis=1)).ravel()
    factor = np.divide(1e4, depth, out=np.zeros_like(depth), where=depth > 0)
    data = np.log1p(x.data * np.repeat(factor, np.diff(x.indptr)))
    return sp.csr_matrix((data, x.indices, x.indptr), shape=x.shape)


def choose_markers(
    x: sp.csr_matrix,
    features: pd.Index,
    labels: Sequence | pd.Series,
    among: Iterable[str] | None = None,
    *,
    most: int = SHOWN,
) -> dict[str, list[str]]:
    """Features that mark each label: those with the largest difference of means to all other cells.

    Parameters
    ----------
    x
        (cells, features) log-normalised expression.
    features
        Their names.
    labels
        (cells,) labels; cells without one are left out.
    among
        Features to choose from, such as those of a query; None = all.
    most
        How many to choose in all: two for each label where there is room, else one, for the largest labels first.

    Returns
    -------
    dict
        Label to its features; no feature is named twice.
    """
    label = pd.Categorical(labels).remove_unused_categories()
    known = label.codes >= 0
    sizes = np.bincount(label.codes[known], minlength=len(label.categories))
    columns = np.flatnonzero(features.isin(list(among))) if among is not None else np.arange(len(features))
    if len(sizes) < 2 or not len(columns):
        return {}
    part, code = sp.csr_matrix(x)[known][:, columns], label.codes[known]
    groups = sp.csr_matrix((np.ones(len(code)), (code, np.arange(len(code)))), shape=(len(sizes), len(code)))
    sums = (groups @ part).toarray()
    difference = sums / sizes[:, None] - (sums.sum(axis=0) - sums) / (len(code) - sizes)[:, None]
    each = 2 if 2 * len(sizes) <= most else 1
    chosen: dict[str, list[str]] = {}
    taken: set[int] = set()
    for group in np.argsort(-sizes, kind="stable")[:most]:
        best = [int(c) for c in np.argsort(-difference[group]) if c not in taken and difference[group, c] > 0][:each]
        taken.update(best)
        if best:
            chosen[text_of(label.categories[group])] = [str(features[columns[c]]) for c in best]
    return {name: chosen[name] for name in map(text_of, label.categories) if name in chosen}

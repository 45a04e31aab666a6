"""Groups of alike cells, summed up: atlases in the size of a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Study, from_anndata
from isthmus.data.door import check_number
from isthmus.metrics._inputs import as_text
from isthmus.tl._cell_types import known_labels
from isthmus.tl._sides import Side, usual_reduction, variable_inputs

N_FEATURES, N_COMPONENTS = 2000, 20


def metacells(
    adata: AnnData,
    n_metacells: int,
    *,
    batch_key: str | None = None,
    labels_key: str | None = None,
    use_rep: str | None = None,
    layer: str | None = None,
    seed: int = 0,
    key_added: str = "metacell",
) -> AnnData:
    """Sum up the counts of alike cells, so that a large study can be fitted in a small one's time.

    Cells are grouped within batches by k-means; each batch gets its share of the groups. Fit a model to the metacells
    and bring all cells into its embedding with ``project``, which trains nothing.

    Parameters
    ----------
    adata
        Cells by features with raw counts. Gets ``obs["<key_added>"]``, the name of each cell's group.
    n_metacells
        How many groups at the most, at least one for each batch.
    batch_key
        Column of ``obs`` with the batch of each cell, which the groups do not cross; None = one batch.
    labels_key
        Column of ``obs`` with cell types, some of which may be missing; each group gets that of most of its cells, as
        text.
    use_rep
        Key of ``obsm`` to group by; None = 20 components, of LSI where features are named by positions, else of PCA of
        the 2,000 variable features.
    layer
        Layer with the counts; None = ``X``.
    seed
        Of the clustering.
    key_added
        Column to write, and the stem of the names of the groups.

    Returns
    -------
    anndata.AnnData
        (groups, features) summed counts; in ``obs`` ``n_cells``, the batch and, with labels, the type and the share of
        the labelled cells that have it (``<labels_key>_share``); ``var`` of ``adata``.

    Raises
    ------
    InputError
        If there are no more cells than groups, fewer groups than batches, the values are no counts, cells lack the
        representation, or a column would replace another.

    Examples
    --------
    >>> import isthmus as im
    >>> rna = im.data.simulate(n_cells=300, n_genes=200, modalities="rna")["rna"]
    >>> small = im.tl.metacells(rna, 30, batch_key="batch", labels_key="cell_type")
    >>> small.shape, int(small.obs["n_cells"].sum())
    ((30, 200), 300)
    """
    if key_added in (batch_key, labels_key):
        raise InputError(
            "a key_added that is not the column of the batches or labels",
            f"key_added='{key_added}', which would replace that column of obs",
            "choose another key_added",
        )
    small, group = summed_up(
        adata, n_metacells, batch_key=batch_key, labels_key=labels_key, use_rep=use_rep, layer=layer, seed=seed,
        stem=key_added,
    )  # fmt: skip
    adata.obs[key_added] = group
    return small


def summed_up(
    adata: AnnData,
    n_metacells: int,
    *,
    batch_key: str | None = None,
    labels_key: str | None = None,
    use_rep: str | None = None,
    layer: str | None = None,
    seed: int = 0,
    stem: str = "metacell",
) -> tuple[AnnData, pd.Categorical]:
    """What :func:`metacells` returns, and the group of each cell; ``adata`` stays as it is."""
    check_number(n_metacells, "n_metacells", 1, whole=True)
    _check_keys(batch_key, labels_key)
    study = from_anndata(adata, batch_key, layer=layer)
    labels = None if labels_key is None else known_labels(adata, labels_key)
    if not len(study.batches) <= n_metacells < study.n_cells:
        raise InputError(
            f"n_metacells from {len(study.batches)}, one for each batch, to fewer than the {study.n_cells} cells",
            f"{n_metacells}",
            "choose another number, about one for 20 to 50 cells",
        )
    code = _groups(_representation(adata, study, use_rep, seed), study.batch, int(n_metacells), seed)
    n = code.max() + 1
    member = sp.csr_matrix((np.ones(len(code), np.float32), (code, np.arange(len(code)))), shape=(n, len(code)))
    names = pd.Index([f"{stem}_{i + 1}" for i in range(n)])
    obs = pd.DataFrame({"n_cells": np.bincount(code)}, index=names)
    if batch_key is not None:
        _, first = np.unique(code, return_index=True)
        obs[batch_key] = adata.obs[batch_key].iloc[first].array
    if labels is not None:
        obs[labels_key], obs[f"{labels_key}_share"] = _majority(labels, code, n)
    small = AnnData((member @ study.x).tocsr(), obs=obs, var=adata.var.copy())
    return small, pd.Categorical(names[code], categories=names)


def _check_keys(batch_key: str | None, labels_key: str | None) -> None:
    """Refuse names of columns of the metacells of which one would replace another."""
    written = {"n_cells": "the number of cells"}
    share = None if labels_key is None else f"{labels_key}_share"
    for name, what in ((batch_key, "batch_key"), (labels_key, "labels_key"), (share, "the share of the label")):
        if name in written:
            raise InputError(
                "another name for each column of the metacells",
                f"'{name}' for {written[name]} and for {what}",
                "rename the column of obs",
            )
        if name is not None:
            written[name] = what


def _representation(adata: AnnData, study: Study, use_rep: str | None, seed: int) -> np.ndarray:
    """(cells, components) to group by."""
    if use_rep is not None:
        if use_rep not in adata.obsm:
            raise InputError(f"'{use_rep}' in obsm", f"{list(adata.obsm) or 'nothing'}", "name one, or use_rep=None")
        z = np.asarray(adata.obsm[use_rep], dtype=np.float32)
        lacking = study.cells[~np.isfinite(z).all(axis=1)]
        if len(lacking):
            raise InputError(
                "an embedding of every cell to group by",
                f"{len(lacking)} of {study.n_cells} cells without finite numbers, such as '{lacking[0]}'",
                "leave these cells out, or group by another",
            )
        return z
    reduction, everything = usual_reduction(study), np.ones(study.n_features, dtype=bool)
    inputs = everything if reduction == "lsi" else variable_inputs(study, N_FEATURES, everything)
    return Side.fit(
        "cells", study, likelihood="nb", reduction=reduction, inputs=inputs,
        n_components=min(N_COMPONENTS, study.n_cells - 1, int(inputs.sum()) - 1), seed=seed,
    )[1]  # fmt: skip


def _groups(z: np.ndarray, batch: np.ndarray, n_groups: int, seed: int) -> np.ndarray:
    """(cells,) group of each cell, numbered from 0; each batch has groups in proportion to its cells."""
    from sklearn.cluster import MiniBatchKMeans

    size = np.bincount(batch)
    share = 1 + np.floor((n_groups - len(size)) * size / size.sum()).astype(int)
    left = n_groups - share.sum()
    share[np.argsort(-size, kind="stable")[:left]] += 1
    share = np.minimum(share, size)
    out, start = np.empty(len(batch), dtype=np.int64), 0
    for one, k in enumerate(share):
        rows = np.flatnonzero(batch == one)
        found = MiniBatchKMeans(k, random_state=seed, n_init=1, batch_size=4096).fit_predict(z[rows])
        _, dense = np.unique(found, return_inverse=True)
        out[rows] = start + dense
        start += dense.max() + 1
    return out


def _majority(labels: pd.Series, code: np.ndarray, n_groups: int) -> tuple[pd.Categorical, np.ndarray]:
    """The most frequent label of each group as text, missing where it has none, and its share of the labelled cells."""
    known = labels.notna().to_numpy()
    if not known.any():
        return pd.Categorical(np.full(n_groups, None)), np.full(n_groups, np.nan)
    kinds, names = as_text(labels[known])
    votes = sp.csr_matrix((np.ones(known.sum()), (code[known], kinds)), shape=(n_groups, len(names))).toarray()
    total = votes.sum(axis=1)
    label = np.where(total > 0, np.asarray(names, dtype=object)[votes.argmax(axis=1)], None)
    return pd.Categorical(label), np.divide(votes.max(axis=1), total, out=np.full(n_groups, np.nan), where=total > 0)

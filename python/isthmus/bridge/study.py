"""The parts of a study and AnnData: what becomes of what, whoever carries them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data.door import BLOCK

RECORD = "bridge"  # uns key: names that AnnData has no place for
ALTERNATIVES = "altExps"  # uns key: other feature sets of the same cells
WIDEST_SPARSE = 10_000  # columns of a sparse obsm entry: more are positions of a genome, not dimensions of an embedding
_KNOWN = {"DM": "X_diffmap"} | {
    name: f"X_{name.lower()}"
    for name in ("PCA", "UMAP", "TSNE", "PHATE", "MAGIC", "SCALEX", "SCDREAMER", "SAILERX", "GLUE", "SCI2CL")
}
_KNOWN_BACK = {key: name for name, key in _KNOWN.items()}


@dataclass
class Parts:
    """A study between the languages: R's parts, in AnnData's orientation.

    Attributes
    ----------
    assays
        Name to matrix (cells, features), CSR or dense.
    main
        The assay that becomes ``X``; ``None`` where there is no assay.
    obs, var
        Tables of the cells and of the features; their indices are the names.
    reduced
        Name to (array (cells, dimensions), names of the dimensions or ``None``).
    alternatives
        Other feature sets of the same cells.
    unnamed
        ``"obs"`` and ``"var"`` where R had no names; the index then only counts.
    """

    assays: dict[str, Any]
    main: str | None
    obs: pd.DataFrame
    var: pd.DataFrame
    reduced: dict[str, tuple[np.ndarray, list[str] | None]] = field(default_factory=dict)
    alternatives: dict[str, Parts] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()


def assemble(parts: Parts) -> ad.AnnData:
    """AnnData over the parts; matrices are not copied.

    ``X`` is the main assay, the others are layers; reduced dimensions go to ``obsm`` under scanpy's names,
    other feature sets to ``uns["altExps"]`` as AnnData. ``uns["bridge"]`` keeps the names of R, so that
    :func:`take_apart` gives them back.
    """
    layers = {name: matrix for name, matrix in parts.assays.items() if name != parts.main}
    x = None if parts.main is None else parts.assays[parts.main]
    out = ad.AnnData(X=x, obs=parts.obs, var=parts.var, layers=layers)
    record: dict[str, Any] = {"order": list(parts.assays), "reducedDims": {}, "columns": {}}
    if parts.main is not None:
        record["main"] = parts.main
    if parts.unnamed:
        record["unnamed"] = list(parts.unnamed)
    for name, (values, columns) in parts.reduced.items():
        key = _KNOWN.get(name, name)
        key = name if key in parts.reduced and key != name else key
        out.obsm[key] = values
        record["reducedDims"][key] = name
        if columns is not None:
            record["columns"][key] = list(columns)
    out.uns[RECORD] = record
    if parts.alternatives:
        out.uns[ALTERNATIVES] = {name: assemble(other) for name, other in parts.alternatives.items()}
    return out


def take_apart(adata: ad.AnnData) -> Parts:
    """Parts of an AnnData, with R's names where it once came from R.

    ``X`` has its name of R, or "X" where a layer has that name or where "counts" would be said of other values.

    Raises
    ------
    InputError
        If an alternative feature set lacks cells that the study has.
    """
    record = adata.uns.get(RECORD, {})
    main = None if adata.X is None else _main_name(adata, record)
    matrices = {} if main is None else {main: adata.X}
    # From anndata 0.13 on, X itself appears among the layers under the key None.
    matrices |= {name: adata.layers[name] for name in adata.layers if name is not None}
    order = [name for name in record.get("order", ()) if name in matrices]
    order += [name for name in matrices if name not in order]
    others = adata.uns.get(ALTERNATIVES, {})
    return Parts(
        {name: matrices[name] for name in order},
        main,
        adata.obs,
        adata.var,
        _reduced(adata, record),
        {name: take_apart(_aligned(other, adata, name)) for name, other in others.items()},
        tuple(record.get("unnamed", ())),
    )


def _main_name(adata: ad.AnnData, record: Mapping[str, Any]) -> str:
    """R's name of ``X``; somebody may have changed the values since, or put a layer of that name beside them."""
    name = str(record.get("main", "X"))
    if name == "counts" and name not in adata.layers and not _whole(adata.X):
        name = "X"
        warnings.warn("The matrix that R called 'counts' does not hold whole numbers: it is assay 'X'.", stacklevel=2)
    if name in adata.layers:
        name = "X"
    if name in adata.layers:
        name = next(free for free in (f"X-{i}" for i in itertools.count(1)) if free not in adata.layers)
        warnings.warn(f"The matrix X is assay '{name}', because a layer has the name 'X'.", stacklevel=2)
    return name


@np.errstate(invalid="ignore")  # R's NA is a signalling NaN, which NumPy would report
def _whole(values: Any) -> bool:
    """Whether the numbers of a matrix are whole; missing ones may be."""
    held = values.to_memory() if hasattr(values, "to_memory") else values
    data = held.data if sp.issparse(held) else np.asarray(held).ravel(order="K")
    blocks = (data[start : start + BLOCK] for start in range(0, data.size, BLOCK))
    return data.dtype.kind != "f" or all(np.array_equal(x, np.floor(x), equal_nan=True) for x in blocks)


def _reduced(adata: ad.AnnData, record: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, list[str] | None]]:
    """What R has a place for of ``obsm``, by R's names."""
    reduced = {}
    for key in adata.obsm:
        held = adata.obsm[key]
        if sp.issparse(held) and held.shape[1] > WIDEST_SPARSE:
            found = f"a sparse matrix of {held.shape[1]:,} columns"
            warnings.warn(f"Left out: obsm '{key}', {found}, which is too wide for an embedding.", stacklevel=2)
            continue
        name = record.get("reducedDims", {}).get(key) or _KNOWN_BACK.get(key, key)
        values, columns = _embedding(held, record.get("columns", {}).get(key))
        if values is not None:
            reduced[str(name)] = (values, columns)
    return reduced


def _embedding(values: Any, columns: Any) -> tuple[np.ndarray | None, list[str] | None]:
    """Dense (cells, dimensions) with the names of the dimensions; ``None`` for what R has no place for."""
    if isinstance(values, pd.DataFrame):
        values, columns = values.to_numpy(), [str(name) for name in values.columns]
    if sp.issparse(values):
        values = values.toarray()
    values = np.asarray(values)
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        return None, None
    if columns is not None and len(columns) != values.shape[1]:
        columns = None
    return values, None if columns is None else [str(name) for name in columns]


def _aligned(other: ad.AnnData, adata: ad.AnnData, name: str) -> ad.AnnData:
    """``other`` in the order of the study's cells; ``uns`` does not follow when a study is subset."""
    if other.obs_names.equals(adata.obs_names):
        return other
    missing = adata.obs_names.difference(other.obs_names)
    if len(missing) or not other.obs_names.is_unique:
        raise InputError(
            f"all cells of the study in its alternative feature set '{name}'",
            f"{len(missing)} cells without it, such as {list(missing[:3])}",
            f'drop it: del adata.uns["{ALTERNATIVES}"]["{name}"]',
        )
    return other[adata.obs_names]

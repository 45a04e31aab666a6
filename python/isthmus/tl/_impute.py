"""Imputed values: dense, sparse or on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus.data import door
from isthmus.data._simulate_write import RowWriter
from isthmus.data.categories import shorten

LARGEST_DENSE = 4 << 30  # bytes of a dense result that is still kept in memory


def column_positions(known: pd.Index, features: Sequence[str] | None) -> np.ndarray:
    """Positions of ``features`` among those the model knows; all where none are named."""
    if features is None:
        return np.arange(len(known))
    features = [features] if isinstance(features, str) else list(features)
    if not features:
        raise InputError("names of features to impute", "none", "name some, or give features=None for all")
    door.check_unique(pd.Index(features), "feature")
    position = known.get_indexer(pd.Index(features))
    if (position < 0).any():
        absent = [name for name, where in zip(features, position, strict=True) if where < 0]
        raise InputError(
            f"features among the {len(known)} that the model was trained on",
            f"{len(absent)} others: {shorten(absent)}",
            "leave them out, or fit with features= naming what you want to impute",
        )
    return position


def collect(
    blocks: Iterable[np.ndarray],
    adata: AnnData,
    features: pd.Index,
    least: float,
    file: str | Path | None,
    top: int | None = None,
) -> AnnData:
    """Blocks of (cells, features) as one AnnData, sparse if values are left out: below ``least``, or not in ``top``.

    Parameters
    ----------
    blocks
        Values of consecutive cells, each (some cells, features) float32.
    adata
        The cells.
    features
        Names.
    least
        Values below it are left out.
    file
        ``.h5ad`` file to write block by block; None = in memory.
    top
        How many values of each cell to keep, the largest; None = all.
    """
    shape = (adata.n_obs, len(features))
    var = pd.DataFrame(index=features)
    sparse = least > 0 or top is not None
    if sparse:
        blocks = (_strongest(block, shape[1] if top is None else top, least) for block in blocks)
    if file is not None:
        _write(blocks, shape, file, adata.obs.copy(), var, sparse)
        return ad.read_h5ad(file, backed="r")
    size = shape[0] * shape[1] * 4
    if not sparse and size > LARGEST_DENSE:
        raise InputError(
            f"a result of at most {LARGEST_DENSE >> 30} GiB in memory",
            f"{shape[0]} cells x {shape[1]} features, {size / 2**30:.1f} GiB",
            "name a file, or fewer features, or a least value to keep",
        )
    x = sp.vstack(list(blocks), format="csr") if sparse else np.concatenate(list(blocks))
    return AnnData(x, obs=adata.obs.copy(), var=var)


def _strongest(block: np.ndarray, top: int, least: float) -> sp.csr_matrix:
    """The ``top`` largest values of each row, those below ``least`` left out too."""
    n = block.shape[1]
    if top >= n:
        return sp.csr_matrix(np.where(block >= least, block, 0.0).astype(np.float32))
    columns = np.sort(np.argpartition(block, n - top, axis=1)[:, n - top :], axis=1)
    values = np.take_along_axis(block, columns, axis=1)
    indptr = np.arange(0, columns.size + 1, top)
    out = sp.csr_matrix((np.where(values >= least, values, 0.0).ravel(), columns.ravel(), indptr), shape=block.shape)
    out.eliminate_zeros()
    return out


def _write(
    blocks: Iterable[np.ndarray] | Iterable[sp.csr_matrix],
    shape: tuple[int, int],
    file: str | Path,
    obs: pd.DataFrame,
    var: pd.DataFrame,
    sparse: bool,
) -> None:
    """Write an h5ad block by block; the file appears when it is complete."""
    with atomic_path(file) as temporary:
        AnnData(obs=obs, var=var).write_h5ad(temporary)
        if sparse:
            with RowWriter(temporary, shape[1]) as rows:
                for block in blocks:
                    rows.append(block)
            return
        with h5py.File(temporary, "r+") as store:
            if "X" in store:
                del store["X"]
            x = store.create_dataset("X", shape, dtype="f4", chunks=(min(1024, shape[0]), min(256, shape[1])))
            x.attrs["encoding-type"], x.attrs["encoding-version"] = "array", "0.2.0"
            start = 0
            for block in blocks:
                x[start : start + len(block)] = block
                start += len(block)

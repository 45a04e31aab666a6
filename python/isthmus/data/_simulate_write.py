"""Stream the simulator's blocks into h5ad files: at no time more than one append in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
from scipy import sparse

from isthmus._files import atomic_path

H5_CHUNK = 1 << 18  # stored values per HDF5 chunk, 1 MiB


def write_blocks(
    folder: Path,
    empty: dict[str, ad.AnnData],
    blocks: Iterator[dict[str, sparse.csr_matrix]],
    chunk_size: int,
) -> dict[str, Path]:
    """Write ``<folder>/<modality>.h5ad``, each whole or not at all.

    Parameters
    ----------
    folder
        Created if absent; files of the same name are replaced.
    empty
        Modality -> study without ``X``: cells, features, uns.
    blocks
        Counts of consecutive cells, (cells, features) CSR per modality.
    chunk_size
        Cells to gather before they are appended.
    """
    targets = {modality: folder / f"{modality}.h5ad" for modality in empty}
    with ExitStack() as stack:
        writers = {}
        for modality, target in targets.items():
            temporary = stack.enter_context(atomic_path(target))
            empty[modality].write_h5ad(temporary)
            writers[modality] = stack.enter_context(RowWriter(temporary, empty[modality].n_vars))
        for chunk in _gather(blocks, chunk_size):
            for modality, writer in writers.items():
                writer.append(chunk[modality])
    return targets


def _gather(blocks: Iterator[dict[str, sparse.csr_matrix]], chunk_size: int) -> Iterator[dict[str, sparse.csr_matrix]]:
    """Join whole blocks until they hold ``chunk_size`` cells of some modality."""
    held: list[dict[str, sparse.csr_matrix]] = []
    n_held = 0
    for block in blocks:
        held.append(block)
        n_held += max(counts.shape[0] for counts in block.values())
        if n_held >= chunk_size:
            yield join_blocks(held)
            held, n_held = [], 0
    if held:
        yield join_blocks(held)


def join_blocks(blocks: list[dict[str, sparse.csr_matrix]]) -> dict[str, sparse.csr_matrix]:
    """Stack the blocks of each modality."""
    return {modality: sparse.vstack([b[modality] for b in blocks], format="csr") for modality in blocks[0]}


class RowWriter:
    """Append CSR rows to the ``X`` of an h5ad file; a context manager.

    Parameters
    ----------
    path
        An h5ad file whose ``X`` is to be written.
    n_features
        Columns.
    """

    def __init__(self, path: Path, n_features: int) -> None:
        self._file = h5py.File(path, "r+")
        self._n_features = n_features
        self._n_rows = 0

    def __enter__(self) -> RowWriter:
        if "X" in self._file:
            del self._file["X"]
        self._group = self._file.create_group("X")
        self._group.attrs["encoding-type"], self._group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
        for name, dtype in (("data", np.float32), ("indices", np.int32)):
            # Shuffle and gzip 1: every HDF5 build reads it, and it halves the time as well as the disk.
            self._group.create_dataset(
                name,
                (0,),
                dtype,
                maxshape=(None,),
                chunks=(H5_CHUNK,),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
        self._group.create_dataset("indptr", data=np.zeros(1, np.int64), maxshape=(None,), chunks=(H5_CHUNK,))
        return self

    def append(self, rows: sparse.csr_matrix) -> None:
        """Append ``rows``, (cells, features)."""
        data, indices, indptr = (self._group[name] for name in ("data", "indices", "indptr"))
        filled = data.shape[0]
        for dataset, values in ((data, rows.data), (indices, rows.indices)):
            dataset.resize(filled + values.size, axis=0)
            dataset[filled:] = values
        indptr.resize(self._n_rows + rows.shape[0] + 1, axis=0)
        indptr[self._n_rows + 1 :] = filled + rows.indptr[1:].astype(np.int64)  # int64: a million cells pass 2^31
        self._n_rows += rows.shape[0]

    def __exit__(self, *error: object) -> None:
        self._group.attrs["shape"] = np.array([self._n_rows, self._n_features], dtype=np.int64)
        self._file.close()

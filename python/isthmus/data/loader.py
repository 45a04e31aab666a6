"""Mini-batches from a sparse matrix, gathered in blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
import torch

from isthmus.data.batch import Batch
from isthmus.nn.sparse import SparseRows

BATCHES_PER_BLOCK = 64  # mini-batches gathered from the matrix by one call,
ENTRIES_PER_BLOCK = 1 << 22  # or fewer, where cells have so many entries that a block would take room


@dataclass
class SparseLoader:
    """Yields mini-batches whose cells are drawn from all batches in proportion to their size.

    One permutation an epoch; rows are gathered for many mini-batches at once, and a mini-batch is a slice of such
    a block. No worker processes, no dense row on the host.

    Attributes
    ----------
    x
        (cells, features) float32 CSR.
    batch
        (cells,) int64 batch codes.
    rows
        Cells to serve; None = all.
    batch_size
        Cells in a mini-batch.
    shuffle
        Permute the cells each epoch (by ``seed`` and the epoch's number) and drop the incomplete mini-batch.
    beside
        Further values at the entries of ``x``, by name, such as ``"counts"``; each as long as ``x.data``.
    cells
        What else a mini-batch says of each cell, by the names of :class:`Batch`: ``label``, ``representation``,
        ``weight``. Arrays along all cells.
    rank, world
        Which part of each epoch this process serves, of how many.
    """

    x: sp.csr_matrix
    batch: np.ndarray
    rows: np.ndarray | None = None
    batch_size: int = 128
    shuffle: bool = False
    seed: int = 0
    beside: dict[str, np.ndarray] = field(default_factory=dict)
    cells: dict[str, np.ndarray] = field(default_factory=dict)
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        self.rows = np.arange(self.x.shape[0]) if self.rows is None else np.asarray(self.rows)

    @property
    def n_cells(self) -> int:
        """Cells served in an epoch, by all processes."""
        return len(self.rows)

    def __len__(self) -> int:
        """Mini-batches an epoch in this process."""
        if self.shuffle:  # the same number in every process, or one would wait for the others' gradients for ever
            return max(self.n_cells // self.world // self.batch_size, 1)
        return -(-len(range(self.rank, self.n_cells, self.world)) // self.batch_size)

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """The mini-batches of epoch ``number``: the same number gives the same mini-batches, always."""
        order = self.rows
        if self.shuffle:
            order = np.random.default_rng([self.seed, number]).permutation(order)
        yield from self.serve(order[self.rank :: self.world][: len(self) * self.batch_size])

    def serve(self, order: np.ndarray) -> Iterator[Batch]:
        """Mini-batches of the cells in ``order``."""
        entries = self.batch_size * self.x.nnz / max(self.x.shape[0], 1)  # of a mini-batch
        batches = int(np.clip(ENTRIES_PER_BLOCK / max(entries, 1.0), 1, BATCHES_PER_BLOCK))
        for start in range(0, len(order), batches * self.batch_size):
            yield from self._block(order[start : start + batches * self.batch_size])

    def fingerprint(self) -> str:
        """Check sum of the cells and their order: loaders with the same one serve the same mini-batches."""
        digest = hashlib.sha256()
        order = np.array([self.batch_size, self.shuffle, self.seed, self.world])
        entries = (self.x.data, self.x.indices, self.x.indptr, *self.beside.values())
        for part in (*entries, self.batch, self.rows, order, *self.cells.values()):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def _block(self, order: np.ndarray) -> Iterator[Batch]:
        """Gather the rows of a block once and cut it into mini-batches."""
        block = self.x[order]
        values = {name: self._with_values(v)[order].data for name, v in self.beside.items()}
        rows = SparseRows(
            torch.from_numpy(block.indptr.astype(np.int64)),
            torch.from_numpy(block.indices.astype(np.int64)),
            torch.from_numpy(block.data.astype(np.float32, copy=False)),
            block.shape[1],
        )
        covariate = torch.from_numpy(self.batch[order])
        index = torch.from_numpy(order.astype(np.int64))
        facts = {name: torch.from_numpy(array[order]) for name, array in self.cells.items()}
        for start in range(0, len(order), self.batch_size):
            part = slice(start, min(start + self.batch_size, len(order)))
            cells = rows.rows(part.start, part.stop)
            first, last = int(block.indptr[part.start]), int(block.indptr[part.stop])
            others = {name: cells.with_values(torch.from_numpy(v[first:last])) for name, v in values.items()}
            told = {name: tensor[part] for name, tensor in facts.items()}
            yield Batch({"x": cells, **others}, covariate[part], index[part], **told)

    def _with_values(self, values: np.ndarray) -> sp.csr_matrix:
        """A matrix of other values at the entries of ``x``."""
        data = values.astype(np.float32, copy=False)
        return sp.csr_matrix((data, self.x.indices, self.x.indptr), shape=self.x.shape, copy=False)


def split_validation(
    batch: np.ndarray, fraction: float, seed: int, most: int = 10_000
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of training and of held-out cells, the latter drawn from each batch in proportion.

    Parameters
    ----------
    batch
        (cells,) batch codes.
    fraction
        Share of the cells to hold out.
    seed
        Of the draw.
    most
        Held-out cells at the most: beyond that, more of them make the estimate no better.

    Returns
    -------
    train, validation
        Ascending positions. A batch with too few cells to give one gives none.
    """
    rng = np.random.default_rng(seed)
    fraction = min(fraction, most / max(len(batch), 1))
    held = [
        rng.permutation(rows)[: int(len(rows) * fraction)]
        for rows in (np.flatnonzero(batch == b) for b in np.unique(batch))
    ]
    validation = np.sort(np.concatenate(held)) if held else np.empty(0, dtype=np.int64)
    train = np.setdiff1d(np.arange(len(batch)), validation, assume_unique=True)
    return train, validation

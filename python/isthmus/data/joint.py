"""Mini-batches of several modalities side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from isthmus.data.batch import JointBatch
from isthmus.data.loader import SparseLoader


@dataclass
class JointLoader:
    """Yields mini-batches of several modalities side by side, as many cells of each.

    An epoch lasts until the largest modality was seen once; smaller ones begin anew, in another order. Cells that are
    known to be measured twice stand in the same row of both, and the rows of a cell that one modality lacks are filled
    with any other cell of it.

    Attributes
    ----------
    loaders
        By modality, with the same ``batch_size`` and ``shuffle``.
    pairs
        (distinct cells, modalities) int64 positions in each modality, -1 where it lacks the cell; None = unpaired.
    """

    loaders: dict[str, SparseLoader]
    pairs: np.ndarray | None = None
    rank: int = 0
    world: int = 1

    @property
    def batch_size(self) -> int:
        """Cells of each modality in a mini-batch."""
        return self._first.batch_size

    @property
    def n_cells(self) -> int:
        """Rows served in an epoch, by all processes."""
        if self.pairs is not None:
            return len(self.pairs)
        return max(loader.n_cells for loader in self.loaders.values())

    @property
    def _first(self) -> SparseLoader:
        return next(iter(self.loaders.values()))

    def __len__(self) -> int:
        """Mini-batches an epoch in this process."""
        return max(self.n_cells // self.world // self.batch_size, 1)

    def epoch(self, number: int = 0) -> Iterator[JointBatch]:
        """The mini-batches of epoch ``number``: the same number gives the same mini-batches, always."""
        rng = np.random.default_rng([self._first.seed, number])
        orders = self._unpaired(rng) if self.pairs is None else self._paired(rng)
        filled = {name: _fill(order, self.loaders[name].rows, rng) for name, order in orders.items()}
        mine = slice(self.rank, None, self.world)
        present = None if self.pairs is None else {n: torch.from_numpy(order[mine] >= 0) for n, order in orders.items()}
        streams = [loader.serve(filled[name][mine]) for name, loader in self.loaders.items()]
        for i, parts in enumerate(zip(*streams, strict=True)):
            rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
            masks = present and {name: mask[rows] for name, mask in present.items()}
            yield JointBatch(dict(zip(self.loaders, parts, strict=True)), masks)

    def _unpaired(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Cells of each modality in the order of serving; small modalities several times over."""
        size, out = self._size(), {}
        for name, loader in self.loaders.items():
            passes = -(-size // loader.n_cells)
            rows = [rng.permutation(loader.rows) if loader.shuffle else loader.rows for _ in range(passes)]
            out[name] = np.concatenate(rows)[:size]
        return out

    def _paired(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The same for distinct cells; -1 where a modality lacks the cell."""
        rows = rng.permutation(len(self.pairs)) if self._first.shuffle else np.arange(len(self.pairs))
        return {name: self.pairs[rows[: self._size()], i] for i, name in enumerate(self.loaders)}

    def _size(self) -> int:
        if not self._first.shuffle:
            return self.n_cells
        return max(len(self) * self.batch_size * self.world, min(self.batch_size, self.n_cells))

    def fingerprint(self) -> str:
        """Check sum, see :meth:`SparseLoader.fingerprint`."""
        digest = hashlib.sha256()
        for name, loader in self.loaders.items():
            digest.update(f"{name} {loader.fingerprint()}".encode())
        if self.pairs is not None:
            digest.update(np.ascontiguousarray(self.pairs).data)
        return digest.hexdigest()


def _fill(order: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``order`` with any of ``rows`` where it says -1."""
    return np.where(order >= 0, order, rng.choice(rows, len(order)))

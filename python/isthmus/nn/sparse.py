"""Sparse rows on the device of the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(eq=False)
class SparseRows:
    """Rows of one modality in compressed form (CSR), on the device of the model.

    Attributes
    ----------
    indptr
        (cells + 1,) int64; row ``i`` owns the entries ``indptr[i]:indptr[i + 1]``.
    indices
        (entries,) int64, feature of each entry.
    values
        (entries,) float32.
    n_features
        Number of columns.
    pattern
        What is already known of the entries' places; rows that differ in values only have it in common.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    n_features: int
    pattern: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def n_cells(self) -> int:
        """Number of rows."""
        return self.indptr.shape[0] - 1

    @property
    def row(self) -> Tensor:
        """(entries,) int64, row of each entry."""
        if "row" not in self.pattern:
            counts = self.indptr[1:] - self.indptr[:-1]
            cells = torch.arange(self.n_cells, device=counts.device)
            self.pattern["row"] = torch.repeat_interleave(cells, counts, output_size=self.values.shape[0])
        return self.pattern["row"]

    @property
    def entry(self) -> Tensor:
        """(entries,) int64, position of each entry in a dense (cells, features) tensor."""
        if "entry" not in self.pattern:
            self.pattern["entry"] = self.row * self.n_features + self.indices
        return self.pattern["entry"]

    @cached_property
    def sums(self) -> Tensor:
        """(cells,) sum of each row."""
        return torch.zeros(self.n_cells, device=self.values.device).index_add(0, self.row, self.values)

    def at_entries(self, dense: Tensor) -> Tensor:
        """(entries,) what a dense (cells, features) tensor holds where these rows have their entries."""
        return dense.reshape(-1).index_select(0, self.entry)

    @cached_property
    def dense(self) -> Tensor:
        """(cells, features) float32, made on the device at first use."""
        out = torch.zeros(self.n_cells * self.n_features, device=self.values.device)
        out[self.entry] = self.values
        return out.view(self.n_cells, self.n_features)

    def dropout(self, share: float) -> SparseRows:
        """Rows without a random ``share`` of their entries, the others scaled up to make good for them."""
        return self.with_values(F.dropout(self.values, share))

    def thinned(self, share: float) -> SparseRows:
        """:meth:`dropout` that takes the entries out, which pays where what follows costs more than finding them."""
        kept = torch.nonzero(torch.rand(self.values.shape[0], device=self.values.device) >= share).squeeze(1)
        row = self.row.index_select(0, kept)
        indptr = F.pad(torch.bincount(row, minlength=self.n_cells).cumsum(0), (1, 0))
        values = self.values.index_select(0, kept) / (1.0 - share)
        return SparseRows(indptr, self.indices.index_select(0, kept), values, self.n_features, {"row": row})

    def with_values(self, values: Tensor) -> SparseRows:
        """Rows with other values at the same entries."""
        return SparseRows(self.indptr, self.indices, values, self.n_features, self.pattern)

    def rows(self, start: int, stop: int) -> SparseRows:
        """Rows ``start`` to ``stop``, sharing memory with these."""
        host = self.pattern.get("indptr", self.indptr)
        first, last = int(host[start]), int(host[stop])
        part = SparseRows(
            self.indptr[start : stop + 1] - first,
            self.indices[first:last],
            self.values[first:last],
            self.n_features,
        )
        if "dense" in self.__dict__:
            part.__dict__["dense"] = self.dense[start:stop]
        return part

    def to(self, device: torch.device) -> SparseRows:
        """The same rows on ``device``."""
        if self.values.device == device:
            return self
        parts = (t.to(device, non_blocking=True) for t in (self.indptr, self.indices, self.values))
        return SparseRows(*parts, self.n_features, {"indptr": self.indptr})  # the host need not ask where rows begin

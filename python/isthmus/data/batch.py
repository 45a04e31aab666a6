"""What a model sees of the data: one mini-batch."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from isthmus.nn.sparse import SparseRows


@dataclass(eq=False)
class Batch:
    """One mini-batch of cells.

    Attributes
    ----------
    values
        Sparse rows by name, all with the same entries: ``"x"`` is what the model sees, ``"counts"`` are the raw counts.
    covariate
        (cells,) int64, code of the batch that each cell comes from.
    index
        (cells,) int64, position of each cell in the study.
    label
        (cells,) int64, code of the cell type that each cell is said to be; -1 = not known. None = there are no labels.
    representation
        (cells, components) float32, what an encoder sees in place of ``x``. None = nothing else.
    weight
        (cells,) float32, how much each cell counts, 1 on average. None = all alike.
    """

    values: dict[str, SparseRows]
    covariate: Tensor
    index: Tensor
    label: Tensor | None = None
    representation: Tensor | None = None
    weight: Tensor | None = None

    @property
    def x(self) -> SparseRows:
        """What the model sees."""
        return self.values["x"]

    def __len__(self) -> int:
        return self.index.shape[0]

    def to(self, device: torch.device) -> Batch:
        """The same mini-batch on ``device``."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "values"}
        moved = {n: None if a is None else a.to(device, non_blocking=True) for n, a in arrays.items()}
        return Batch({name: rows.to(device) for name, rows in self.values.items()}, **moved)


@dataclass(eq=False)
class JointBatch:
    """Mini-batches of several modalities, as many cells of each.

    Attributes
    ----------
    parts
        By modality.
    present
        By modality, (cells,) bool: whether row i is the cell that the other modalities have in row i; the others are
        there to fill up. None = no cell is known to be measured twice.
    """

    parts: dict[str, Batch]
    present: dict[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def to(self, device: torch.device) -> JointBatch:
        """The same mini-batches on ``device``."""
        moved = self.present and {name: mask.to(device, non_blocking=True) for name, mask in self.present.items()}
        return JointBatch({name: part.to(device) for name, part in self.parts.items()}, moved)

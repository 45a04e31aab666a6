"""What a model sees of the data: one mini-batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus.nn.sparse import SparseRows


@dataclass(eq=False)  # not frozen: Fabric rebuilds records that pass through a wrapped model
class Batch:
    """One mini-batch of cells.

    Attributes
    ----------
    modalities
        Sparse rows of each modality, by name; all have the same number of rows. A model of one modality sees ``"x"``,
        and its raw counts as ``"counts"``.
    covariate
        (cells,) int64, code of the batch that each cell comes from.
    index
        (cells,) int64, position of each cell in the study.
    present
        Per modality (cells,) bool, which cells were measured; absent = all of them.
    label
        (cells,) int64, code of the cell type that each cell is said to be; -1 = not known. None = there are no labels.
    """

    modalities: dict[str, SparseRows]
    covariate: Tensor
    index: Tensor
    present: dict[str, Tensor] = field(default_factory=dict)
    label: Tensor | None = None

    @property
    def x(self) -> SparseRows:
        """What the encoder of a model of one modality sees."""
        return self.modalities["x"]

    def __len__(self) -> int:
        return self.index.shape[0]

    def to(self, device: torch.device) -> Batch:
        """The same mini-batch on ``device``."""
        return Batch(
            {name: rows.to(device) for name, rows in self.modalities.items()},
            self.covariate.to(device, non_blocking=True),
            self.index.to(device, non_blocking=True),
            {name: mask.to(device, non_blocking=True) for name, mask in self.present.items()},
            None if self.label is None else self.label.to(device, non_blocking=True),
        )

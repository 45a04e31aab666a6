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
        Sparse rows of each modality, by name; all have the same number of rows.
    covariate
        (cells,) int64, code of the batch that each cell comes from.
    index
        (cells,) int64, position of each cell in the study.
    present
        Per modality (cells,) bool, which cells were measured; absent = all of them.
    """

    modalities: dict[str, SparseRows]
    covariate: Tensor
    index: Tensor
    present: dict[str, Tensor] = field(default_factory=dict)

    @property
    def x(self) -> SparseRows:
        """The rows of the only modality."""
        (rows,) = self.modalities.values()
        return rows

    def __len__(self) -> int:
        return self.index.shape[0]

    def to(self, device: torch.device) -> Batch:
        """The same mini-batch on ``device``."""
        return Batch(
            {name: rows.to(device) for name, rows in self.modalities.items()},
            self.covariate.to(device, non_blocking=True),
            self.index.to(device, non_blocking=True),
            {name: mask.to(device, non_blocking=True) for name, mask in self.present.items()},
        )

"""The record of a model's loss terms."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import Tensor


@dataclass(eq=False)
class Losses:
    """Base of a model's loss record: one field per term, each a scalar tensor, a mean over the cells.

    A model declares a subclass whose fields carry the paper's names; the loop logs every field by its name.
    """

    def terms(self) -> dict[str, Tensor]:
        """All terms by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

"""What the loop demands of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from isthmus.data.batch import Batch
from isthmus.train.losses import Losses
from isthmus.train.phases import Phase
from isthmus.train.schedules import Clock


class Model(nn.Module, ABC):
    """A model declares its networks, its losses and its phases; the loop acts.

    Attributes
    ----------
    needs_counts
        Whether its mini-batches must hold the raw counts beside the input.
    gains_by_compiling
        Whether long runs are compiled with ``compile="auto"``.
    """

    needs_counts: ClassVar[bool] = False
    gains_by_compiling: ClassVar[bool] = True

    @abstractmethod
    def losses(self, batch: Batch) -> Losses:
        """All loss terms of one mini-batch, each a mean over its cells."""

    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """Who moves which parameters to minimise what."""

    def at(self, clock: Clock) -> None:
        """Called before every step, for what changes in the forward pass with time."""

    def forward(self, batch: Batch) -> Losses:
        """The losses: what the compiler compiles."""
        return self.losses(batch)

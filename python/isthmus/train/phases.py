"""What a model wants moved, by which loss, when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from isthmus.train.losses import Losses
from isthmus.train.schedules import Clock


@dataclass(frozen=True)
class Phase:
    """One player of the training: its parameters and the loss that it minimises.

    Phases of one step share one forward pass. Each phase's gradient reaches its own modules and nothing else: all
    other parameters stay as they are, bit for bit.

    Attributes
    ----------
    name
        Shown in messages, names the state in checkpoints.
    modules
        Whose parameters it moves.
    loss
        From the loss record (and the clock, for weights that change) to the scalar to minimise.
    every
        Acts on every n-th step.
    start, stop
        Fractions of the training between which it acts.
    learning_rate_factor
        Times the learning rate of the run.
    ahead
        Whether it moves before the losses of the others are taken. These then ask anew for what depends on its
        parameters: a game in turns stays bounded where one of simultaneous moves need not.
    watched
        Of the first phase, what is compared from look to look at held-out cells; None = ``loss``. Where players move
        each other's losses, theirs tells little of how far the training is.
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Callable[[Losses, Clock], Tensor]
    every: int = 1
    start: float = 0.0
    stop: float = 1.0
    learning_rate_factor: float = 1.0
    ahead: bool = False
    watched: Callable[[Losses, Clock], Tensor] | None = None

    def acts(self, clock: Clock) -> bool:
        """Whether it acts in the step that the clock shows."""
        return clock.step % self.every == 0 and self.start <= clock.fraction < self.stop

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that it moves, each once."""
        return list({id(p): p for module in self.modules for p in module.parameters() if p.requires_grad}.values())

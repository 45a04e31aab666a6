"""Settings of the loop."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.train import schedules

SCHEDULES = {"cosine": schedules.warm_cosine, "constant": schedules.constant, "plateau": schedules.constant}


@dataclass(frozen=True)
class Options:
    """How to train.

    Attributes
    ----------
    max_steps
        Optimiser steps at the most.
    learning_rate, weight_decay
        Of Adam; the decay is coupled (added to the gradient), as the reference implementations have it.
    betas
        Of Adam: what it remembers of gradients and of their squares. The first at 0 (no momentum) suits adversaries.
    schedule
        ``"cosine"`` or ``"constant"``: the learning rate's way from start to end. ``"plateau"``: constant, and cut to a
        tenth wherever the held-out loss gets no better.
    gradient_clip
        Largest gradient norm; None = unlimited.
    validate_every
        Steps between two looks at the held-out cells (rounded up to whole epochs).
    cut_after
        Looks without improvement before ``"plateau"`` cuts the learning rate, and again after as many.
    patience
        Looks without improvement before the training stops; None = never stop early.
    armed_from
        Share of the steps before which the training never stops early; with ``"plateau"`` it does not before the first
        cut.
    accelerator, devices, precision
        As in Lightning Fabric; ``"auto"`` picks bf16 where the processor has it.
    compile
        True, False or ``"auto"``: compile the forward pass where the run is long enough to pay for it.
    seed
        Of weights, noise and order.
    """

    max_steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: str = "cosine"
    gradient_clip: float | None = None
    validate_every: int = 50
    cut_after: int = 5
    patience: int | None = 10
    armed_from: float = 0.0
    accelerator: str = "auto"
    devices: int | str = 1
    precision: str = "auto"
    compile: bool | str = "auto"
    seed: int = 0

    def rate(self, fraction: float) -> float:
        """Learning rate when ``fraction`` of the steps are made."""
        return self.learning_rate * SCHEDULES[self.schedule](fraction)

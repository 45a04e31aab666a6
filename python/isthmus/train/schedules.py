"""Time in training, and what changes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Where the training stands.

    Attributes
    ----------
    step
        Optimiser steps made.
    total
        Steps planned.
    """

    step: int
    total: int

    @property
    def fraction(self) -> float:
        """Share of the planned steps that are made, in [0, 1)."""
        return self.step / max(self.total, 1)


def warm_cosine(fraction: float, warm_up: float = 0.0, last: float = 0.0) -> float:
    """Linear rise to 1 over the share ``warm_up``, then half a cosine down to ``last``."""
    if fraction < warm_up:
        return max(fraction / warm_up, 1e-3)
    along = (fraction - warm_up) / max(1.0 - warm_up, 1e-12)
    return last + (1.0 - last) * 0.5 * (1.0 + math.cos(math.pi * min(along, 1.0)))


def constant(fraction: float) -> float:
    """Always 1."""
    return 1.0


def ramp(fraction: float, length: float) -> float:
    """From 0 to 1 over the share ``length``, then 1."""
    return 1.0 if length <= 0 else min(fraction / length, 1.0)


def cyclical(fraction: float, cycles: int, rising: float = 0.5) -> float:
    """``cycles`` times from 0 to 1 over the share ``rising`` of a cycle, then 1 (Fu et al. 2019)."""
    within = (fraction * cycles) % 1.0
    return min(within / rising, 1.0)

"""The one training loop and what belongs to it."""

from __future__ import annotations

from isthmus.train.loop import train
from isthmus.train.losses import Losses
from isthmus.train.model import Model
from isthmus.train.options import Options
from isthmus.train.phases import Phase
from isthmus.train.schedules import Clock

__all__ = ["Clock", "Losses", "Model", "Options", "Phase", "train"]

"""From a prepared study and the settings of a verb to a trained network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from isthmus.data import Prepared, SparseLoader, split_validation
from isthmus.tl._settings import Settings
from isthmus.train import Model, Options, train

HELD_OUT_AT_ONCE = 512  # cells in a mini-batch of the held-out ones


def run_training(
    network: Model,
    prepared: Prepared,
    batch: np.ndarray,
    settings: Settings,
    *,
    label: np.ndarray | None = None,
    default_steps: Callable[[int, int], int],
    progress: str | Callable[[str], Any],
    checkpoint: str | None,
    **options: Any,
) -> pd.DataFrame:
    """Hold cells out, train; history.

    Parameters
    ----------
    network
        Trained in place.
    prepared, batch, label
        The cells, their batches and what types they are said to be.
    settings
        Of the verb.
    default_steps
        From the numbers of cells and of cells a step to the steps where none are asked for.
    progress, checkpoint
        As in :func:`isthmus.train.train`.
    **options
        Of the system, for :class:`isthmus.train.Options`.
    """
    fraction = settings.validation_fraction if settings.early_stopping else 0.0
    rows, held_out = split_validation(batch, fraction, settings.seed)
    size = min(settings.batch_size, len(rows))
    beside = {"counts": prepared.counts.data} if network.needs_counts else {}
    cells = {"beside": beside, "cells": {} if label is None else {"label": label}}
    loader = SparseLoader(prepared.x, batch, rows, size, shuffle=True, seed=settings.seed, **cells)
    validation = SparseLoader(prepared.x, batch, held_out, HELD_OUT_AT_ONCE, **cells) if len(held_out) else None
    steps = planned_steps(settings, len(rows), size, default_steps)
    run = loop_options(settings, max_steps=steps, seed=settings.seed, **options)
    facts = facts_of(settings)
    return train(network, loader, validation, run, progress=progress, checkpoint=checkpoint, facts=facts)


def facts_of(settings: Settings) -> dict[str, Any]:
    """The settings that decide the numbers of a run: all but the name of the result."""
    return {name: value for name, value in asdict(settings).items() if name != "key_added"}


def loop_options(settings: Settings, **options: Any) -> Options:
    """Options of the loop from the settings of a verb, and what they do not decide."""
    same = ("learning_rate", "schedule", "accelerator", "devices", "precision", "compile")
    return Options(armed_from=0.5, **{name: getattr(settings, name) for name in same}, **options)


def planned_steps(
    settings: Settings, n_cells: int, batch_size: int, default_steps: Callable[[int, int], int]
) -> int:  # fmt: skip
    """The steps that were asked for, the fewer where epochs are named too, or those for a study of this size."""
    asked = [] if settings.max_steps is None else [settings.max_steps]
    if settings.max_epochs is not None:
        asked.append(settings.max_epochs * max(n_cells // batch_size, 1))
    return min(asked) if asked else default_steps(n_cells, batch_size)


def one_history(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Histories of runs that followed each other, with epochs and steps counted on."""
    done = {"epoch": 0, "step": 0}
    for i, part in enumerate(parts):
        parts[i] = part.assign(**{name: part[name] + before for name, before in done.items()})
        done = {name: int(parts[i][name].iloc[-1]) for name in done}
    return pd.concat(parts, ignore_index=True)

"""The one training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from isthmus._memory import give_back
from isthmus.data.loader import SparseLoader
from isthmus.train.callbacks import Callback, EarlyStopping, Progress
from isthmus.train.checkpoint import Checkpoints
from isthmus.train.devices import compile_if_worth, compiler_settings, make_fabric, randomness
from isthmus.train.model import Model
from isthmus.train.options import Options
from isthmus.train.progress import make_reporter
from isthmus.train.run import Run, now


def train(
    model: Model,
    loader: SparseLoader,
    validation: SparseLoader | None,
    options: Options,
    *,
    progress: str | Callable[[str], Any] = "auto",
    checkpoint: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Train ``model`` in place.

    Parameters
    ----------
    model
        Declares losses and phases; ends with its best weights, in evaluation mode, on the CPU.
    loader
        Training cells.
    validation
        Held-out cells; None = train to the end and keep the last weights.
    options
        How to train.
    progress
        See :func:`isthmus.train.progress.make_reporter`.
    checkpoint
        Folder to keep the state of the run in. If it holds the state of an interrupted run with the same options,
        that run goes on, and ends with the numbers that it would have had without the interruption.
    facts
        What decides the numbers beside options and cells, as JSON knows it: a state with other ones is refused.

    Returns
    -------
    pandas.DataFrame
        History, one row an epoch.

    Raises
    ------
    TrainingError
        If a loss term stops being finite; the best weights so far are put back first.
    """
    give_back()  # what the preparation freed
    fabric = make_fabric(options)
    loader.rank, loader.world = fabric.global_rank, fabric.world_size
    held_out = validation if validation is not None and validation.n_cells else None
    callbacks: list[Callback] = [] if held_out is None else [EarlyStopping()]
    if checkpoint is not None:  # the same callbacks in every process, though one of them alone reports
        callbacks.append(Checkpoints(checkpoint, tuple(callbacks), loader.fingerprint(), facts))
    if fabric.is_global_zero:
        callbacks.append(Progress(make_reporter(progress)))
    with randomness(options.seed), compiler_settings():
        compile_if_worth(model, options, loader.batch_size)
        run = Run.start(model, options, fabric)
        model.train()
        try:
            _epochs(run, loader, held_out, callbacks)
        finally:
            model.eval().to("cpu")
            give_back()
    return pd.DataFrame(run.rows)


def _epochs(run: Run, loader: SparseLoader, validation: SparseLoader | None, callbacks: Sequence[Callback]) -> None:
    """Epochs until no step is left."""
    for callback in callbacks:
        callback.on_begin(run)
    try:
        while not run.finished:
            row = _epoch(run, loader, validation)
            for callback in callbacks:
                callback.on_epoch_end(run, row)
        run.reason = run.reason if run.stop else "all steps made"
    finally:  # also when a step failed or the user interrupted: bars are closed, the best weights are back
        for callback in callbacks:
            callback.on_end(run)


def _epoch(run: Run, loader: SparseLoader, validation: SparseLoader | None) -> dict[str, float]:
    """One pass over the training cells, and a look at the held-out ones when it is time."""
    began, first = now(), run.step
    for batch in loader.epoch(run.epoch):
        run.train_step(batch)
        if run.finished:
            break
    run.average_buffers()
    every = run.options.validate_every
    due = run.finished or run.step // every > first // every
    held_out = run.validate(validation) if validation is not None and due else {}
    return run.end_epoch(run.step - first, now() - began, held_out)

"""The state of a run on disk: whole or absent, without pickle."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from isthmus._errors import InputError, ModelFileError
from isthmus._files import atomic_path

if TYPE_CHECKING:
    from isthmus.train.callbacks import Callback
    from isthmus.train.run import Run

SECONDS_BETWEEN = 60.0
FACTS, TENSORS = "state.json", "state.safetensors"


class Checkpoints:
    """Keep the newest state of a run in a folder, and go on from it.

    Parameters
    ----------
    folder
        Holds ``state.safetensors`` (weights, optimisers, random state) and ``state.json``; renamed into place.
    callbacks
        Those whose counters belong to the state.
    data
        Check sum of the training cells: the state of a run on other cells is not taken for this one's.
    facts
        What else decides the numbers, such as the settings of the verb, and must be the same.
    seconds
        Least time between two writes.
    """

    def __init__(
        self, folder: str | Path, callbacks: Sequence[Callback], data: str = "",
        facts: Mapping[str, Any] | None = None, seconds: float = SECONDS_BETWEEN,
    ) -> None:  # fmt: skip
        self.folder, self.callbacks, self.data, self.facts = Path(folder), callbacks, data, dict(facts or {})
        self.seconds = seconds
        self.last = 0.0

    def on_begin(self, run: Run) -> None:
        """Go on from a state in the folder, if there is one of the same run."""
        run.fabric.barrier()  # the first process may still be writing the state of the run before, for all to read
        present = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        if present - {FACTS, TENSORS} or self.folder.is_file():  # the folder is replaced as a whole
            raise InputError(
                "a new folder for checkpoints, or one that holds nothing else",
                f"other things in '{self.folder}'",
                "name a folder that does not exist yet",
            )
        if present:
            self._read(run)
        self.last = time.monotonic()

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        """Write, unless that was done a moment ago."""
        if run.fabric.is_global_zero and (run.stop or time.monotonic() - self.last >= self.seconds):
            self.write(run)
            self.last = time.monotonic()

    def on_end(self, run: Run) -> None:
        """Nothing: a finished run does not need its state, an interrupted one has the last that was written."""

    def write(self, run: Run) -> None:
        """Write the state now."""
        tensors = {f"model.{name}": tensor for name, tensor in run.model.state_dict().items()}
        if run.best is not None:
            tensors |= {f"best.{name}": tensor for name, tensor in run.best[1].items()}
        for phase, optimizer in zip(run.phases, run.optimizers, strict=True):
            for number, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{phase.name}.{number}.{key}": value for key, value in state.items()}
        tensors |= _random_state(run.fabric.device)
        facts = {
            "options": self._recorded(run),
            "stop": run.stop, "reason": run.reason,
            "epoch": run.epoch, "step": run.step, "rows": run.rows, "best_epoch": run.best_epoch,
            "rate_factor": run.rate_factor,
            "best_loss": None if run.best is None else run.best[0],
            "looks_without": [getattr(c, "looks_without", 0) for c in self.callbacks],
        }  # fmt: skip
        with atomic_path(self.folder) as temporary:
            temporary.mkdir()
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
                temporary / TENSORS,
            )
            (temporary / FACTS).write_text(json.dumps(facts), encoding="utf-8")

    def _read(self, run: Run) -> None:
        """Put the stored state into ``run``."""
        try:
            facts = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
            tensors = load_file(self.folder / TENSORS)
        except (ValueError, OSError, SafetensorError) as error:
            raise ModelFileError(
                "a whole checkpoint", f"one that is truncated in '{self.folder}'", "remove this folder and start anew"
            ) from error
        if facts["options"] != self._recorded(run):
            raise ModelFileError(
                "a checkpoint of a run with the same cells and settings",
                f"one with other cells or settings in '{self.folder}'",
                "name another checkpoint folder, remove this one, or use its data and settings",
            )
        run.model.load_state_dict(_under(tensors, "model."))
        for name in ("stop", "reason", "epoch", "step", "rows", "best_epoch", "rate_factor"):
            setattr(run, name, facts[name])
        if facts["best_loss"] is not None:
            run.best = (facts["best_loss"], _under(tensors, "best."))
        for phase, optimizer in zip(run.phases, run.optimizers, strict=True):
            whole = optimizer.state_dict()
            whole["state"] = _by_number(_under(tensors, f"optimizer.{phase.name}."))
            optimizer.load_state_dict(whole)
        for callback, count in zip(self.callbacks, facts["looks_without"], strict=True):
            callback.looks_without = count
        torch.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and run.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], run.fabric.device)

    def _recorded(self, run: Run) -> dict[str, Any]:
        """All that decides the numbers: options, cells, the model's shape and plain settings, and what was said."""
        shapes = {name: list(tensor.shape) for name, tensor in run.model.state_dict().items()}
        plain = {name: value for name, value in vars(run.model).items() if isinstance(value, int | float | str)}
        plain.pop("training", None)
        records = {name: asdict(value) for name, value in vars(run.model).items() if is_dataclass(value)}
        model = {**plain, **records}
        facts = {**asdict(run.options), "shapes": shapes, "model": model, "data": self.data, "facts": self.facts}
        return json.loads(json.dumps(facts))  # as it reads back: a tuple comes back as a list


def _random_state(device: torch.device) -> dict[str, Tensor]:
    """Where the generators stand that noise is drawn from."""
    states = {"random": torch.get_rng_state()}
    return states | ({"random.cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _by_number(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """``{"3.exp_avg": t}`` to ``{3: {"exp_avg": t}}``."""
    out: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        out.setdefault(int(number), {})[key] = tensor
    return out

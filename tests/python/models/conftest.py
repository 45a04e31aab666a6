"""What the contract suites of all systems have in common."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

import isthmus.train.loop as loop
from isthmus.train import checkpoint


@pytest.fixture
def timeless() -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A history without what differs between two runs of the same fit."""
    return lambda history: history.drop(columns="seconds")


@contextmanager
def _kept_random_state() -> Iterator[None]:
    torch.manual_seed(77)
    np.random.seed(77)  # noqa: NPY002
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@pytest.fixture
def kept_random_state() -> Callable[[], AbstractContextManager[None]]:
    """``with kept_random_state():`` the block leaves the user's random states, which have a seed of their own."""
    return _kept_random_state


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[None]]:
    """``with interrupted(run, epoch):`` Ctrl-C ends the block after this epoch of its run number ``run``, from 0.

    Checkpoints are written at every occasion, in the block and after it.
    """
    monkeypatch.setattr(loop, "Checkpoints", functools.partial(checkpoint.Checkpoints, seconds=0.0))
    begin, update = loop.Progress.on_begin, loop.Progress.on_epoch_end

    @contextmanager
    def block(number: int, epoch: int) -> Iterator[None]:
        begun = []

        def on_begin(self, run):
            begun.append(run)
            begin(self, run)

        def on_epoch_end(self, run, row):
            update(self, run, row)
            if len(begun) == number + 1 and run.epoch == epoch:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(loop.Progress, "on_begin", on_begin)
            patch.setattr(loop.Progress, "on_epoch_end", on_epoch_end)
            with pytest.raises(KeyboardInterrupt):
                yield
        assert len(begun) == number + 1

    return block


@pytest.fixture
def plain_files() -> Callable[[Path], None]:
    """``plain_files(folder)``: the model in the folder is two files of JSON and one of safetensors, all readable."""

    def check(folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == {"manifest.json", "names.json", "arrays.safetensors"}
        for name in ("manifest.json", "names.json"):
            assert json.loads((folder / name).read_text(encoding="utf-8"))
        assert load_file(folder / "arrays.safetensors")

    return check

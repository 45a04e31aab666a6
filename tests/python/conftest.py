"""What every test may ask for: the real data sets where they are present, and seeded randomness."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import InputError

SEED = 20261121
torch.set_num_threads(1)  # tiny tensors: more threads cost more than they give, most of all on a busy machine
REPOSITORY = Path(__file__).resolve().parents[2]


def data_folder() -> Path | None:
    """Folder of the real data sets: ``ISTHMUS_DATA``, else ``shared/data`` beside the repository."""
    named = os.environ.get("ISTHMUS_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """``shared_data("pbmc_3tech_rna.h5ad")`` is that file's path; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        folder = data_folder()
        if folder is None or not (folder / name).is_file():
            pytest.skip(f"needs the real data set {name}: set ISTHMUS_DATA to the folder that holds it")
        return folder / name

    return find


@pytest.fixture
def rng() -> np.random.Generator:
    """A NumPy generator with the same seed in every test."""
    return np.random.default_rng(SEED)


@pytest.fixture
def generator() -> torch.Generator:
    """A torch generator with the same seed in every test."""
    return torch.Generator().manual_seed(SEED)


@contextmanager
def _refused(found: str, expected: str = "", remedy: str = "", kind: type[Exception] = InputError) -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    error = caught.value
    assert type(error) is kind
    assert str(error) == f"Expected {error.expected}.\nFound {error.found}.\nRemedy: {error.remedy}."
    assert found in error.found
    assert expected in error.expected
    assert remedy in error.remedy
    assert error.remedy
    assert not any(part.endswith(".") for part in (error.expected, error.found, error.remedy))


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """``with refused("found", "expected", "remedy"):`` the block raises an error of three parts with these words."""
    return _refused


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """``run("fit", ...)``: the command line's exit status, standard output and standard error."""
    from isthmus import cli

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, words)])
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return call

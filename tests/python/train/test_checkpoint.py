from __future__ import annotations

import functools
import json
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from isthmus import InputError, ModelFileError
from isthmus.train import checkpoint, loop, train


@pytest.fixture(autouse=True)
def written_at_every_look(monkeypatch):
    monkeypatch.setattr(loop, "Checkpoints", functools.partial(checkpoint.Checkpoints, seconds=0.0))


@pytest.fixture
def interrupted(toy, loaders, options, tmp_path):
    """``interrupted(kind, epochs)``: the folder of a run that the user stopped after so many epochs."""

    def run(kind="fit", epochs=3, **settings):
        count = iter(range(epochs))

        class Stop:
            def on_begin(self, run):
                pass

            def on_epoch_end(self, run, row):
                if next(count) == epochs - 1:
                    raise KeyboardInterrupt

            def on_end(self, run):
                pass

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "Progress", lambda reporter: Stop())
            with pytest.raises(KeyboardInterrupt):
                train(toy(kind), *loaders(), options(**settings), progress="silent", checkpoint=str(tmp_path / "run"))
        return tmp_path / "run"

    return run


def timeless(history):
    return history.drop(columns="seconds")


@pytest.mark.parametrize("kind", ["fit", "game"])
@pytest.mark.parametrize(("patience", "schedule"), [(None, "cosine"), (2, "cosine"), (None, "plateau")])
def test_an_interrupted_run_ends_with_the_numbers_of_a_whole_one(
    toy, loaders, options, interrupted, weights, kind, patience, schedule
):
    settings = {"max_steps": 80, "learning_rate": 0.05, "patience": patience, "schedule": schedule, "cut_after": 1}
    whole, resumed = toy(kind), toy(kind)
    expected = train(whole, *loaders(), options(**settings), progress="silent")
    folder = interrupted(kind, epochs=3, **settings)
    history = train(resumed, *loaders(), options(**settings), progress="silent", checkpoint=str(folder))
    pd.testing.assert_frame_equal(timeless(history), timeless(expected))
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name]), name


def test_resuming_does_not_make_steps_again(toy, loaders, options, interrupted):
    folder = interrupted(epochs=3)
    model = toy()
    train(model, *loaders(), options(), progress="silent", checkpoint=str(folder))
    assert model.steps == 10  # the fourth epoch of 40 steps


def test_a_stopped_run_stays_stopped(toy, loaders, options, tmp_path, monkeypatch, weights):
    values = iter([1.0, 2.0, 3.0, 0.5, 0.4])
    monkeypatch.setattr(loop.Run, "validate", lambda self, loader: {"validation_loss": next(values)})
    folder, one, two = str(tmp_path / "run"), toy(), toy()
    first = train(one, *loaders(), options(patience=2, max_steps=90), progress="silent", checkpoint=folder)
    again = train(two, *loaders(), options(patience=2, max_steps=90), progress="silent", checkpoint=folder)
    assert len(first) == 3
    pd.testing.assert_frame_equal(first, again)
    assert two.steps == 0
    assert all(torch.equal(a, b) for a, b in zip(weights(one).values(), weights(two).values(), strict=True))


def test_the_folder_holds_no_pickle(interrupted):
    folder = interrupted()
    assert sorted(path.name for path in folder.iterdir()) == ["state.json", "state.safetensors"]
    assert [path.name for path in folder.parent.iterdir()] == ["run"]  # nothing temporary is left
    json.loads((folder / "state.json").read_text())


def test_other_settings_cells_and_models_are_refused(toy, loaders, options, interrupted, refused):
    folder = interrupted()
    expect = functools.partial(
        refused,
        "one with other cells or settings",
        "the same cells and settings",
        "another checkpoint folder",
        kind=ModelFileError,
    )
    with expect():
        train(toy(), *loaders(), options(learning_rate=0.5), progress="silent", checkpoint=str(folder))
    with expect():
        train(toy(), *loaders(batch_size=8), options(), progress="silent", checkpoint=str(folder))
    with expect():
        other = loaders()
        other[0].x.data[0] += 1
        train(toy(), *other, options(), progress="silent", checkpoint=str(folder))
    with expect():
        model = toy()
        model.kl_weight = 3.0
        train(model, *loaders(), options(), progress="silent", checkpoint=str(folder))
    with expect():
        train(toy(), *loaders(), options(), progress="silent", checkpoint=str(folder), facts={"dropout": 0.5})


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_a_truncated_checkpoint_is_refused(toy, loaders, options, interrupted, refused, name):
    folder = interrupted()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with refused("truncated", "a whole checkpoint", "start anew", kind=ModelFileError):
        train(toy(), *loaders(), options(), progress="silent", checkpoint=str(folder))
    (folder / name).unlink()
    with refused("truncated", kind=ModelFileError):
        train(toy(), *loaders(), options(), progress="silent", checkpoint=str(folder))


def test_a_folder_with_other_things_is_left_alone(toy, loaders, options, tmp_path, refused):
    (tmp_path / "thesis.txt").write_text("years of work")
    with refused(f"other things in '{tmp_path}'", "a new folder for checkpoints", kind=InputError):
        train(toy(), *loaders(), options(), progress="silent", checkpoint=str(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_write_that_fails_leaves_the_older_state(interrupted, monkeypatch):
    folder = interrupted()
    before = (folder / "state.json").read_text()
    recorder = checkpoint.Checkpoints(folder, [])
    monkeypatch.setattr(checkpoint, "save_file", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        recorder.write(a_run())
    assert (folder / "state.json").read_text() == before


def a_run():
    class Nothing:
        model, best, phases, optimizers, options = torch.nn.Linear(1, 1), None, [], [], loop.Options(max_steps=1)
        fabric = SimpleNamespace(device=torch.device("cpu"))
        stop, reason, epoch, step, rows, best_epoch, rate_factor = False, "", 0, 0, [], 0, 1.0

    return Nothing()

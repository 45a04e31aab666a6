from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus import ModelFileError
from isthmus.tl import _store


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model")
    return tmp_path / "model"


def edit(folder, **changes):
    """Change the manifest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_loaded_model_is_the_saved_one(model, folder, reference, query):
    loaded = im.load(folder)
    assert type(loaded) is type(model)
    assert loaded.manifest.id == model.manifest.id
    assert loaded.settings == model.settings
    assert list(loaded.cells) == list(model.cells)
    assert loaded.batches == model.batches
    np.testing.assert_array_equal(loaded.latent, model.latent)
    pd.testing.assert_frame_equal(loaded.history, model.history)
    np.testing.assert_array_equal(loaded.embed(reference), model.embed(reference))
    np.testing.assert_array_equal(loaded.project(query), model.project(query))
    np.testing.assert_array_equal(loaded.impute(query).X, model.impute(query).X)
    assert not loaded.network.training


def test_the_folder_holds_no_pickle_and_nothing_temporary(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.safetensors", "manifest.json", "names.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == _store.FORMAT
    assert manifest["isthmus"] == im.__version__
    assert manifest["system"] == "scalex"
    assert manifest["settings"]["seed"] == 0
    assert {"torch", "python", "anndata"} <= set(manifest["environment"])


def test_saving_again_replaces_the_model(model, folder):
    (folder / "arrays.safetensors").write_bytes(b"old")
    model.save(folder)
    assert im.load(folder).manifest.id == model.manifest.id


@pytest.mark.parametrize("beside_a_model", [False, True])
def test_a_folder_with_other_things_is_left_alone(model, tmp_path, refused, beside_a_model):
    if beside_a_model:
        model.save(tmp_path)
    (tmp_path / "thesis.txt").write_text("years of work")
    with refused(f"other things in '{tmp_path}'", "a new folder", "does not exist yet"):
        model.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_way_is_left_alone(model, tmp_path, refused):
    (tmp_path / "model").write_text("mine")
    with refused("other things", "a new folder"):
        model.save(tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_a_failed_save_keeps_the_older_model(model, folder, monkeypatch):
    monkeypatch.setattr(_store, "save_file", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        model.save(folder)
    assert im.load(folder).manifest.id == model.manifest.id


@pytest.mark.parametrize("name", ["arrays.safetensors", "names.json"])
def test_a_truncated_or_altered_model_is_refused(folder, refused, name):
    path, whole = folder / name, (folder / name).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused(
        "one that is truncated or altered", f"the whole file '{name}'", "copy the folder again", kind=ModelFileError
    ):
        im.load(folder)
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with refused("one that is truncated or altered", f"the whole file '{name}'", kind=ModelFileError):
        im.load(folder)
    path.unlink()
    with refused("none", f"the whole file '{name}'", kind=ModelFileError):
        im.load(folder)


def test_a_model_of_a_newer_version_is_refused(folder, refused):
    edit(folder, format=_store.FORMAT + 1, isthmus="9.1", novelty={"a": 1})
    found = f"format {_store.FORMAT + 1}, written by isthmus 9.1"
    with refused(found, f"a model of format {_store.FORMAT} or older", "update isthmus", kind=ModelFileError):
        im.load(folder)


def test_a_model_of_an_unknown_system_is_refused(folder, refused):
    edit(folder, system="oracle")
    with refused("'oracle'", "a model of one of the systems 'glue', 'sailerx'", "update isthmus", kind=ModelFileError):
        im.load(folder)


@pytest.mark.parametrize("text", ["{", "", "[1, 2", '{"format": null}', '{"format": []}', "\xff"])
def test_a_broken_manifest_is_refused(folder, refused, text):
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with refused("", kind=ModelFileError):
        im.load(folder)


def test_an_incomplete_manifest_is_refused(folder, refused):
    plain = json.loads((folder / "manifest.json").read_text())
    del plain["settings"]
    (folder / "manifest.json").write_text(json.dumps(plain))
    with refused("field required at 'settings'", "a complete manifest.json", kind=ModelFileError):
        im.load(folder)


def test_a_manifest_of_another_model_is_refused(folder, model, refused):
    edit(folder, files={})
    with refused("truncated or altered", kind=ModelFileError):
        im.load(folder)


def test_a_manifest_whose_settings_were_changed_is_refused(folder, model, refused):
    edit(folder, settings={**model.settings, "n_hidden": 7})
    with refused("one that does not", "a manifest that fits the arrays", "save the model again", kind=ModelFileError):
        im.load(folder)


def test_what_is_no_model_is_refused(tmp_path, refused):
    for place in (tmp_path, tmp_path / "nowhere"):
        with refused(
            f"no manifest.json in '{place}'",
            "the folder of a saved model",
            "the folder that save() wrote",
            kind=ModelFileError,
        ):
            im.load(place)


def test_pickles_are_never_read(folder, refused):
    import pickle

    (folder / "arrays.safetensors").write_bytes(pickle.dumps({"a": 1}))
    digest = _store._sha256(folder / "arrays.safetensors")
    edit(folder, files={**json.loads((folder / "manifest.json").read_text())["files"], "arrays.safetensors": digest})
    with refused("", "arrays in safetensors format", kind=ModelFileError):
        im.load(folder)

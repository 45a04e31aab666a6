from __future__ import annotations

import json

import numpy as np
import pytest

from isthmus._files import atomic_path, write_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "x.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.suffix == ".txt"  # writers look at it
    assert target.read_text() == "new"
    assert names(target.parent) == ["x.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failed_write_leaves_what_was_there(tmp_path, error):
    target = tmp_path / "x.txt"
    target.write_text("old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_a_folder_replaces_a_folder_as_a_whole(tmp_path):
    target = tmp_path / "model"
    for content in ("first", "second"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert names(target) == ["second"]
    assert names(tmp_path) == ["model"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x"):
        pass
    assert names(tmp_path) == []


def test_json_takes_numpys_numbers(tmp_path):
    write_json(tmp_path / "x.json", {"n": np.int64(3), "x": np.float32(0.5), "a": np.arange(2), "where": tmp_path})
    expected = {"n": 3, "x": 0.5, "a": [0, 1], "where": str(tmp_path)}
    assert json.loads((tmp_path / "x.json").read_text()) == expected

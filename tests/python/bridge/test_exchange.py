"""Exchange folders: written and read by Python alone, as R writes and reads them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.bridge import exchange, values
from isthmus.bridge import study as studies
from isthmus.bridge.columns import NA_INTEGER, NA_REAL, Column, decode
from isthmus.bridge.nodes import FileSink, tree_from


def study(rng: np.random.Generator, cells: int = 100, features: int = 20) -> ad.AnnData:
    obs = pd.DataFrame(
        {
            "flag": pd.array([True, None] * (cells // 2), dtype="boolean"),
            "type": pd.Categorical(["b", None] * (cells // 2), categories=["a", "b"], ordered=True),
            "text": pd.Series(["é", None] * (cells // 2), dtype=object).to_numpy(),
            "value": rng.random(cells),
            "day": pd.date_range("2020-01-01", periods=cells),
        },
        index=[f"cell/{i}" for i in range(cells)],
    )
    adata = ad.AnnData(
        sp.random(cells, features, 0.3, format="csr", random_state=1),
        obs=obs,
        var=pd.DataFrame(index=[f"gène_{i}" for i in range(features)]),
        layers={"dense": rng.random((cells, features))},
        obsm={"X_pca": rng.random((cells, 3))},
    )
    adata.uns["altExps"] = {"ADT": adata[:, :2].copy()}
    return adata


def write_request(folder: Path, verb: str, adata: ad.AnnData | None = None, **params: object) -> None:
    node = None
    if adata is not None:
        with h5py.File(folder / "study.h5", "w") as file:
            node = values.emit(adata, FileSink(file))
    request = {"format": 1, "verb": verb, "params": params, "study": node}
    (folder / "request.json").write_text(json.dumps(request))


def read_result(folder: Path) -> dict:
    reply = json.loads((folder / "result.json").read_text())
    with h5py.File(folder / "result.h5") as file:
        return reply | {"result": tree_from(reply["result"], file)}


def test_a_study_comes_back_equal(tmp_path: Path, rng) -> None:
    adata = study(rng)
    write_request(tmp_path, "echo", adata, setting=1)
    assert exchange.serve(tmp_path) == 0
    tree = read_result(tmp_path)["result"]
    back = studies.assemble(values.parts_from(tree["study"]))
    np.testing.assert_array_equal(back.X.toarray(), adata.X.toarray())
    np.testing.assert_array_equal(back.layers["dense"], adata.layers["dense"])
    np.testing.assert_array_equal(back.obsm["X_pca"], adata.obsm["X_pca"])
    np.testing.assert_array_equal(back.uns["altExps"]["ADT"].X.toarray(), adata.X[:, :2].toarray())
    assert back.obs_names.equals(adata.obs_names)
    assert back.var_names.equals(adata.var_names)
    expected = adata.obs.assign(day=adata.obs["day"].astype("datetime64[s]"))
    # How pandas keeps text depends on its version; the text does not.
    pd.testing.assert_frame_equal(back.obs.drop(columns="text"), expected.drop(columns="text"), check_index_type=False)
    assert back.obs["text"].fillna("NA").tolist() == expected["text"].fillna("NA").tolist()
    assert decode(tree["params"]["setting"])[0] == 1


def test_several_studies_come_back_equal_and_tables_are_settings(tmp_path: Path, rng) -> None:
    given = {"rna": study(rng), "atac": study(rng, cells=7 * 2, features=5)}
    table = {"names": ["1", "2"], "columns": {"gene_name": ["a", None], "start": np.array([1.0, 3e9])}}
    with h5py.File(tmp_path / "study.h5", "w") as file:
        node = values.emit({"studies": given, "tables": {"genes": table}}, FileSink(file))
    request = {"format": 1, "verb": "echo", "params": {"setting": 1}, "study": node}
    (tmp_path / "request.json").write_text(json.dumps(request))
    verb, back, params = exchange.read_request(tmp_path)
    assert (verb, list(back), params["setting"]) == ("echo", ["rna", "atac"], 1)
    for name, one in given.items():
        np.testing.assert_array_equal(back[name].X.toarray(), one.X.toarray())
        assert back[name].obs_names.equals(one.obs_names)
    assert params["genes"]["gene_name"].fillna("missing").tolist() == ["a", "missing"]  # None or NaN, as pandas will
    assert params["genes"]["start"].tolist() == [1.0, 3e9]
    assert exchange.serve(tmp_path) == 0
    assert list(read_result(tmp_path)["result"]["study"]) == ["rna", "atac"]


@pytest.mark.parametrize("length", [0, 1, 3, 200])
def test_vectors_of_every_kind_and_length(tmp_path: Path, length: int) -> None:
    whole = np.resize(np.array([1, NA_INTEGER, 2], dtype=np.int32), length)
    real = np.resize(np.array([0.1, NA_REAL, np.inf]), length)
    given = [
        Column("logical", np.where(whole == 2, 0, whole).astype(np.int32)),
        Column("integer", whole),
        Column("factor", whole, ("a", "é")),
        Column("ordered", whole, ("a", "b")),
        Column("double", real),
        Column("date", real),
        Column("datetime", real, zone="UTC"),
        Column("character", np.resize(np.array(["x", None, "日本"], dtype=object), length)),
    ]
    with h5py.File(tmp_path / "v.h5", "w") as file:
        sink = FileSink(file)
        nodes = json.loads(json.dumps([sink.vector(column) for column in given], allow_nan=False))
        for column, node in zip(given, nodes, strict=True):
            back = tree_from(node, file)
            assert (back.kind, back.levels, back.zone) == (column.kind, column.levels, column.zone)
            assert back.values.dtype == column.values.dtype
            if column.values.dtype == np.float64:  # bit for bit: NA is a NaN with a mark
                np.testing.assert_array_equal(back.values.view(np.int64), column.values.view(np.int64))
            else:
                assert back.values.tolist() == column.values.tolist()


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (4, 2)])
@pytest.mark.parametrize("assay", [True, False])
def test_matrices_of_every_shape(tmp_path: Path, shape: tuple[int, int], assay: bool, rng) -> None:
    values_in = rng.poisson(1.0, shape).astype(np.float64)
    expected = values_in if assay else values_in.T
    with h5py.File(tmp_path / "m.h5", "w") as file:
        sink = FileSink(file)
        for node in (sink.dense(values_in, assay=assay), sink.sparse(sp.csr_matrix(values_in), assay=assay)):
            assert node["dim"] == list(expected.shape[::-1])
            back = tree_from(json.loads(json.dumps(node)), file)
            back = back.toarray() if sp.issparse(back) else back
            np.testing.assert_array_equal(back, expected)


def test_wide_pointers_of_large_matrices_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["v/data"] = np.array([1.0, 2.0])
        file["v/indices"] = np.array([1, 0], dtype=np.int32)
        file["v/indptr"] = np.array([0, 1, 2], dtype=np.int64)
        back = tree_from({"kind": "sparse", "dim": [3, 2], "path": "v"}, file)
    np.testing.assert_array_equal(back.toarray(), [[0, 1, 0], [2, 0, 0]])


def test_results_of_every_shape_have_a_node(tmp_path: Path, rng) -> None:
    value = {
        "values": rng.random((4, 2)).astype(np.float32),
        "embedding": rng.random((4, 3)).astype(np.float32),
        "history": pd.DataFrame({"epoch": [1, 2], "loss": [0.5, np.nan]}),
        "labels": ["a", None],
        "nothing": None,
        "empty": [],
        "nested": {"x": [1, 2.5], "mixed": [1, "a", {"deep": True}]},
        "scalar": np.float32(0.5),
    }
    with h5py.File(tmp_path / "r.h5", "w") as file:
        node = json.loads(json.dumps(values.emit(value, FileSink(file)), allow_nan=False))
        tree = tree_from(node, file)
        kinds = dict(zip(node["names"], (item["kind"] for item in node["items"]), strict=True))
        shapes = {name: item.get("dim") for name, item in zip(node["names"], node["items"], strict=True)}
    np.testing.assert_array_equal(tree["values"], value["values"])
    np.testing.assert_array_equal(tree["embedding"].T, value["embedding"])
    np.testing.assert_array_equal(tree["history"]["columns"]["loss"].values, [0.5, np.nan])
    assert tree["history"]["names"] is None
    assert tree["labels"].values.tolist() == ["a", None]
    assert decode(tree["nested"]["mixed"][2]["deep"])[0]
    assert kinds == {
        "values": "dense", "embedding": "dense", "history": "frame", "labels": "vector", "nothing": "null",
        "empty": "vector", "nested": "list", "scalar": "vector",
    }  # fmt: skip
    assert shapes["values"] == [2, 4]  # an assay: features first in R
    assert shapes["embedding"] == [4, 3]


def test_progress_is_written_line_by_line(tmp_path: Path) -> None:
    write_request(tmp_path, "echo", lines=["one", "two\nlines"])
    assert exchange.serve(tmp_path) == 0
    assert (tmp_path / "progress.txt").read_text() == "one\ntwo lines\n"


def test_warnings_and_errors_are_words_in_json(tmp_path: Path) -> None:
    write_request(tmp_path, "echo", warn="careful", fail="input")
    assert exchange.serve(tmp_path) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error == {
        "class": "InputError",
        "expected": "an echo that succeeds",
        "found": "fail = 'input'",
        "remedy": "leave fail out",
        "warnings": ["careful"],
    }
    assert not (tmp_path / "result.json").exists()


def test_other_errors_bring_their_traceback(tmp_path: Path) -> None:
    write_request(tmp_path, "echo", fail="boom")
    assert exchange.serve(tmp_path) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert (error["class"], error["message"]) == ("RuntimeError", "boom")
    assert "Traceback" in error["traceback"]


@pytest.mark.parametrize(
    ("request_text", "found"),
    [
        (None, "no such file"),
        ('{"format": 2, "verb": "echo"}', "format 2"),
        ('{"format": 1, "verb": "dance"}', "'dance'"),
    ],
)
def test_bad_requests_are_answered_in_words(tmp_path: Path, request_text: str | None, found: str) -> None:
    if request_text is not None:
        (tmp_path / "request.json").write_text(request_text)
    assert exchange.serve(tmp_path) == 1
    error = json.loads((tmp_path / "error.json").read_text())
    assert error["class"] == "InputError"
    assert found in error["found"]


def test_a_truncated_study_is_an_error_not_a_crash(tmp_path: Path, rng) -> None:
    write_request(tmp_path, "echo", study(rng))
    whole = (tmp_path / "study.h5").read_bytes()
    (tmp_path / "study.h5").write_bytes(whole[: len(whole) // 2])
    assert exchange.serve(tmp_path) == 1
    assert json.loads((tmp_path / "error.json").read_text())["message"]


def test_the_process_answers_and_an_interrupt_has_its_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "isthmus.bridge", str(tmp_path)]
    write_request(tmp_path, "echo", setting="x")
    assert subprocess.run(command, check=False).returncode == 0
    (tmp_path / "result.json").unlink()
    write_request(tmp_path, "echo", lines="go", seconds=60)
    (tmp_path / "progress.txt").unlink()
    child = subprocess.Popen(command)
    while not (tmp_path / "progress.txt").exists() or not (tmp_path / "progress.txt").read_text():
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    assert not (tmp_path / "result.json").exists()


def test_the_process_ends_with_the_r_that_asked(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_request(tmp_path, "echo", seconds=60)
    environment = os.environ | {"ISTHMUS_PARENT": str(parent.pid)}
    child = subprocess.Popen([sys.executable, "-m", "isthmus.bridge", str(tmp_path)], env=environment)
    parent.communicate(b"\n")
    assert child.wait(30) == 1
    assert not (tmp_path / "result.json").exists()

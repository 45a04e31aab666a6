from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import isthmus as im
from isthmus import _cli_files as cli_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A reference and a query on disk."""
    folder = tmp_path_factory.mktemp("files")
    rna = im.data.simulate(n_cells=200, n_genes=100, n_types=3, n_batches=3, modalities="rna", seed=1)["rna"]
    rna[rna.obs["batch"] != "batch3"].copy().write_h5ad(folder / "reference.h5ad")
    rna[rna.obs["batch"] == "batch3"].copy().write_h5ad(folder / "query.h5ad")
    return folder


SETTINGS = {"max_steps": 10, "n_features": 60, "n_hidden": 8, "n_latent": 3, "batch_size": 32, "compile": False}


@pytest.fixture(scope="module")
def fitted(files):
    """Folder of a model."""
    adata = ad.read_h5ad(files / "reference.h5ad")
    im.tl.scalex(adata, "batch", progress="silent", **SETTINGS).save(files / "model")
    return files / "model"


def test_fit_is_the_python_verb(files, fitted, run, tmp_path):
    words = ["--model", tmp_path / "model", "--batch", "batch", "--output", tmp_path / "out.h5ad"]
    for name, value in SETTINGS.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    status, said, _ = run("fit", files / "reference.h5ad", *words, "--set", "progress=silent")
    assert status == 0
    assert f"model: {tmp_path / 'model'}" in said
    expected, model = im.load(fitted), im.load(tmp_path / "model")
    assert model.manifest.id == expected.manifest.id
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "out.h5ad").obsm["X_scalex"], expected.latent)


def test_labels_of_a_part_of_the_cells_are_learnt_from(files, run, tmp_path):
    adata = ad.read_h5ad(files / "reference.h5ad")
    adata.obs["known"] = adata.obs["cell_type"].astype(str).where(np.arange(adata.n_obs) % 2 == 0, "unknown")
    adata.write_h5ad(tmp_path / "cells.h5ad")
    words = ["--system", "scdreamer", "--batch", "batch", "--labels", "known", "--model", tmp_path / "model"]
    for name, value in SETTINGS.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    assert run("fit", tmp_path / "cells.h5ad", *words, "--set", "progress=silent")[0] == 0
    expected = im.tl.scdreamer(adata, "batch", labels_key="known", progress="silent", **SETTINGS)
    out = ad.read_h5ad(tmp_path / "cells.scdreamer.h5ad")
    assert im.load(tmp_path / "model").manifest.id == expected.manifest.id
    np.testing.assert_array_equal(out.obsm["X_scdreamer"], expected.latent)
    for column in ("scdreamer_label", "scdreamer_confidence"):
        assert out.obs[column].tolist() == adata.obs[column].tolist()


def test_project_label_impute_and_tell(files, fitted, run, tmp_path):
    query, out, model = files / "query.h5ad", tmp_path / "out.h5ad", im.load(fitted)
    adata = ad.read_h5ad(query)

    status, said, _ = run("project", query, "--model", fitted, "--output", out)
    assert status == 0
    assert "found 60 of the model's 60 features" in said
    np.testing.assert_array_equal(ad.read_h5ad(out).obsm["X_scalex"], model.project(adata.copy()))

    words = [
        "--reference",
        files / "reference.h5ad",
        "--column",
        "cell_type",
        "--set",
        "k=7",
        "--set",
        "statistics=running",
    ]
    assert run("labels", query, "--model", fitted, "--output", out, *words)[0] == 0
    labels = ad.read_h5ad(files / "reference.h5ad").obs["cell_type"]
    expected = model.transfer_labels(adata.copy(), labels, k=7, statistics="running")
    assert ad.read_h5ad(out).obs["scalex_label"].tolist() == expected["label"].tolist()

    assert run("project", query, "--model", fitted, "--batch", "batch", "--output", out)[0] == 0
    z = ad.read_h5ad(out).obsm["X_scalex"]
    words = ["--reference", files / "reference.h5ad", "--column", "cell_type"]
    assert run("labels", out, "--model", fitted, "--output", tmp_path / "labels.h5ad", *words)[0] == 0
    np.testing.assert_array_equal(ad.read_h5ad(tmp_path / "labels.h5ad").obsm["X_scalex"], z)

    assert run("impute", query, "--model", fitted, "--output", out, "--set", 'batch="batch1"')[0] == 0
    np.testing.assert_array_equal(ad.read_h5ad(out).X, model.impute(adata.copy(), batch="batch1").X)

    status, said, _ = run("info", fitted)
    assert status == 0
    assert json.loads(said)["facts"]["n_cells"] == model.latent.shape[0]


def test_imputing_takes_the_batches_of_new_cells(files, fitted, run, tmp_path):
    query, out, model = tmp_path / "query.h5ad", tmp_path / "out.h5ad", im.load(fitted)
    adata = ad.read_h5ad(files / "query.h5ad")
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    adata.obs["donor"] = np.where(depth > np.quantile(depth, 0.5), "a", "b")
    adata.write_h5ad(query)
    assert run("impute", query, "--model", fitted, "--output", out, "--batch", "donor")[0] == 0
    found = ad.read_h5ad(out).X
    np.testing.assert_array_equal(found, model.impute(adata.copy(), batch_key="donor").X)
    assert not np.array_equal(found, model.impute(adata.copy()).X)
    status, _, said = run("impute", query, "--model", fitted, "--output", out, "--batch", "plate")
    assert status == 2
    assert "no column 'plate'" in said


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_only_the_annotation_of_a_labelled_reference_is_read(files, fitted, run, tmp_path, monkeypatch, suffix):
    from isthmus import cli

    if suffix == "zarr":
        pytest.importorskip("zarr")
    reference = ad.read_h5ad(files / "reference.h5ad")
    getattr(reference, f"write_{suffix}")(tmp_path / f"reference.{suffix}")
    query, whole, read = ad.read_h5ad(files / "query.h5ad"), [], cli_files.read
    for module in (cli, cli_files):
        monkeypatch.setattr(module, "read", lambda path: whole.append(Path(path).name) or read(path))
    words = ["--model", fitted, "--reference", tmp_path / f"reference.{suffix}", "--output", tmp_path / "out.h5ad"]
    assert run("labels", files / "query.h5ad", *words)[0] == 0
    assert whole == ["query.h5ad"]
    expected = im.load(fitted).transfer_labels(query, reference.obs["cell_type"])
    assert ad.read_h5ad(tmp_path / "out.h5ad").obs["scalex_label"].tolist() == expected["label"].tolist()


def test_outputs_lie_beside_inputs_unless_named(files, fitted, run):
    assert run("project", files / "query.h5ad", "--model", fitted)[0] == 0
    assert (files / "query.projected.h5ad").is_file()
    folder = files / "run=3"
    folder.mkdir()
    shutil.copy(files / "query.h5ad", folder)
    assert run("impute", folder / "query.h5ad", "--model", fitted)[0] == 0
    assert (folder / "query.imputed.h5ad").is_file()


def test_an_interrupt_is_no_traceback(files, run, tmp_path, monkeypatch):
    monkeypatch.setattr(im.tl, "scalex", _interrupted)
    status, _, said = run("fit", files / "reference.h5ad", "--model", tmp_path / "m", "--batch", "batch")
    assert status == 130
    assert "Traceback" not in said
    assert not (tmp_path / "m").exists()


def _interrupted(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["fit", "{reference}", "--batch", "batch"], "Expected --model"),
        (["fit", "{folder}/none.h5ad", "--model", "{new}"], "Found no file"),
        (["fit", "{text}", "--model", "{new}"], "Found something else in"),
        (["fit", "{reference}", "--model", "{new}", "--batch", "donor"], "Found no column 'donor'"),
        (["fit", "{reference}", "--model", "{new}", "--system", "oracle"], "Found 'oracle'"),
        (["fit", "{reference}", "--model", "{new}", "--labels", "cell_type"], "Found --labels cell_type with 'scalex'"),
        (
            ["fit", "{reference}", "--model", "{new}", "--system", "scdreamer", "--labels", "kind"],
            "Found no column 'kind'",
        ),
        (["fit", "{reference}", "--model", "{new}", "--set", "labels_key=x"], "Found 'labels_key=x'"),
        (["fit", "{reference}", "--model", "{new}", "--set", "n_latents=3"], "Found 'n_latents=3'"),
        (["fit", "{reference}", "--model", "{new}", "--set", "n_latent"], "Found 'n_latent'"),
        (["fit", "{reference}", "--model", "{new}", "--set", "adata=3"], "Found 'adata=3'"),
        (["fit", "{reference}", "--model", "{folder}", "--batch", "batch"], "Found other things in"),
        (["project", "{query}", "--model", "{folder}"], "Expected the folder of a saved model"),
        (["labels", "{query}", "--model", "{new}"], "Expected --reference"),
        (
            ["labels", "{query}", "--model", "{new}", "--reference", "{reference}", "--column", "kind"],
            "a column 'kind' of labels",
        ),
        (["labels", "{query}", "--model", "{new}", "--reference", "{folder}/none.h5ad"], "Found no file"),
        (["labels", "{query}", "--model", "{new}", "--reference", "{text}"], "Found something else in"),
        (["info", "{new}"], "no manifest.json"),
        (["impute", "{query}", "--model", "{folder}", "--output", "{new}.zarr"], "Found 'new.zarr'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_answered_in_three_lines(files, run, tmp_path, words, found):
    (tmp_path / "text.h5ad").write_text("no such format")
    places = {
        "folder": files, "reference": files / "reference.h5ad", "query": files / "query.h5ad", "new": tmp_path / "new",
        "text": tmp_path / "text.h5ad",
    }  # fmt: skip
    status, _, said = run(*[word.format(**places) for word in words])
    assert status == 2
    assert found in said
    assert [line.split()[0] for line in said.strip().splitlines()] == ["Expected", "Found", "Remedy:"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("setting", ["nonsense=1", "query=1", "file=x", "settings=1"])
def test_only_settings_that_exist_are_taken(files, fitted, run, setting):
    for verb in ("project", "impute"):
        status, _, said = run(verb, files / "query.h5ad", "--model", fitted, "--set", setting)
        assert status == 2
        assert f"Found '{setting}'" in said


@pytest.mark.parametrize(
    ("words", "status"), [(["--help"], 0), (["nothing"], 2), (["fit"], 2), (["fit", "x", "--what"], 2)]
)
def test_the_command_line_explains_itself(run, words, status):
    ended, out, said = run(*words)
    assert ended == status
    assert "Usage" in out + said
    assert "Traceback" not in said


def test_an_exchange_folder_is_served(run, tmp_path, monkeypatch):
    from isthmus.bridge import exchange

    (tmp_path / "request.json").write_text("{}")
    served = []
    monkeypatch.setattr(exchange, "serve", lambda folder: served.append(Path(folder)) or 3)
    for verb in ("fit", "project", "labels", "impute"):
        assert run(verb, tmp_path)[0] == 3
    assert served == [tmp_path] * 4

"""The command line for systems of several modalities."""

from __future__ import annotations

import json

import anndata as ad
import mudata as md
import numpy as np
import pandas as pd
import pytest

import isthmus as im

SETTINGS = {
    "max_steps": 12, "n_features": 60, "n_components": 8, "n_hidden": 8, "n_latent": 4, "batch_size": 32,
    "progress": "silent",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modalities")
    data = im.data.simulate(n_cells=120, n_genes=80, n_peaks=300, pairing="unpaired", seed=2)
    for name, adata in data.items():
        adata.write_h5ad(folder / f"{name}.h5ad")
    md.MuData(data).write_h5mu(folder / "both.h5mu")
    return folder


def words_of(settings):
    return [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]


GLUE = ["--system", "glue", "--extend", "50000", "--batch", "batch", *words_of(SETTINGS)]


@pytest.fixture(scope="module")
def expected(files):
    data = {name: ad.read_h5ad(files / f"{name}.h5ad") for name in ("rna", "atac")}
    return im.tl.glue(data, im.genomics.guidance_graph(data, extend=50_000), batch_key="batch", **SETTINGS)


def test_glue_is_fitted_to_files_and_gives_links(files, expected, run, tmp_path):
    parts = [f"{name}={files / name}.h5ad" for name in ("rna", "atac")]
    assert run("fit", *parts, *GLUE, "--model", tmp_path / "model")[0] == 0
    assert im.load(tmp_path / "model").manifest.id == expected.manifest.id
    out = ad.read_h5ad(files / "atac.glue.h5ad")
    np.testing.assert_array_equal(out.obsm["X_glue"], expected.latent_of("atac"))

    assert run("links", tmp_path / "model", "--output", tmp_path / "links.tsv.gz", "--fdr", "0.9")[0] == 0
    table = pd.read_csv(tmp_path / "links.tsv.gz", sep="\t")
    assert table["peak"].tolist() == expected.links(0.9)["peak"].tolist()
    assert run("links", tmp_path / "model", "--output", tmp_path / "links.bedpe")[0] == 0
    assert len((tmp_path / "links.bedpe").read_text().splitlines()) == len(expected.links()) + 1

    words = ["--model", tmp_path / "model", "--modality", "atac", "--output", tmp_path / "new.h5ad"]
    assert run("project", files / "atac.h5ad", *words)[0] == 0
    np.testing.assert_allclose(
        ad.read_h5ad(tmp_path / "new.h5ad").obsm["X_glue"], expected.latent_of("atac"), atol=1e-5
    )


def test_a_mudata_comes_back_as_one(files, expected, run, tmp_path):
    assert run("fit", files / "both.h5mu", *GLUE, "--model", tmp_path / "m", "--output", tmp_path / "o.h5mu")[0] == 0
    out = md.read_h5mu(tmp_path / "o.h5mu")
    np.testing.assert_array_equal(out["rna"].obsm["X_glue"], expected.latent_of("rna"))


@pytest.mark.parametrize("system", ["sailerx", "sci2cl"])
def test_paired_systems_are_fitted_and_project(run, tmp_path, system):
    data = im.data.simulate(n_cells=80, n_genes=60, n_peaks=200, n_types=3, seed=3)
    md.MuData(data).write_h5mu(tmp_path / "both.h5mu")
    settings = {"max_steps": 6, "n_latent": 8, "batch_size": 32, "progress": "silent"}
    words = ["--system", system, "--batch", "batch", "--model", tmp_path / "model", *words_of(settings)]
    assert run("fit", tmp_path / "both.h5mu", *words)[0] == 0
    expected = getattr(im.tl, system)(data, batch_key="batch", **settings)
    out = md.read_h5mu(tmp_path / f"both.{system}.h5mu")
    assert im.load(tmp_path / "model").manifest.id == expected.manifest.id
    np.testing.assert_array_equal(out["atac"].obsm[f"X_{system}"], expected.latent)

    data["atac"].write_h5ad(tmp_path / "atac.h5ad")
    query = f"{tmp_path}/atac.h5ad" if system == "sailerx" else f"atac={tmp_path}/atac.h5ad"
    status, told, _ = run("project", query, "--model", tmp_path / "model")
    projected = ad.read_h5ad(tmp_path / "atac.projected.h5ad")
    new = data["atac"] if system == "sailerx" else {"atac": data["atac"]}
    assert status == 0
    assert "of the model's" in told
    np.testing.assert_array_equal(projected.obsm[f"X_{system}"], expected.project(new))

    asked = {"modality": "rna"} if system == "sci2cl" else {}
    words = ["--model", tmp_path / "model", "--output", tmp_path / "imputed.h5ad"]
    assert run("impute", query, *words, *[w for k, v in asked.items() for w in (f"--{k}", v)])[0] == 0
    imputed = ad.read_h5ad(tmp_path / "imputed.h5ad")
    np.testing.assert_allclose(imputed.X, np.asarray(expected.impute(new, **asked).X), rtol=1e-5)

    for verb in ("project", "impute"):
        status, _, said = run(verb, query, "--model", tmp_path / "model", "--batch", "batch")
        assert status == 2
        assert "leave --batch out" in said

    data["rna"].write_h5ad(tmp_path / "rna.h5ad")
    words = ["--model", tmp_path / "model", "--reference", tmp_path / "rna.h5ad"]
    assert run("labels", query, *words)[0] == 0
    assert f"{system}_label" in ad.read_h5ad(tmp_path / "atac.labels.h5ad").obs


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["fit", "{rna}", "--system", "glue", "--model", "{new}"], "Found '{rna}'"),
        (["fit", "rna={rna}", "--system", "glue", "--model", "{new}"], "Found one modality"),
        (["fit", "{rna}", "{rna}", "--model", "{new}"], "Found 2"),
        (
            ["fit", "rna={rna}", "atac={atac}", "--system", "glue", "--model", "{new}", "--output", "{new}.h5ad"],
            "Found 'new.h5ad'",
        ),
        (
            ["fit", "rna={rna}", "atac={atac}", "--system", "glue", "--model", "{new}", "--batch", "donor"],
            "a column 'donor' of obs in a modality",
        ),
    ],
    ids=["not named", "one", "two files", "output", "batch"],
)
def test_mistakes_are_answered_before_the_work(files, run, tmp_path, words, found):
    places = {"rna": files / "rna.h5ad", "atac": files / "atac.h5ad", "new": tmp_path / "new"}
    status, _, said = run(*[word.format(**places) for word in words])
    assert status == 2
    assert found.format(**places) in said
    assert not (tmp_path / "new").exists()

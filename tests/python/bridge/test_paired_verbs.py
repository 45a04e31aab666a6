"""The verbs of SAILERX and scI2CL that other languages call: RNA and ATAC of the same cells in, plain results out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.bridge import verbs
from isthmus.bridge.study import Parts, assemble

pytestmark = pytest.mark.filterwarnings("ignore:.*were not measured in")
BRIEF = {
    "n_latent": 4, "max_steps": 10, "batch_size": 32, "precision": "32-true",
    "batch_key": {"rna": "batch", "atac": "batch"},
}  # fmt: skip
OWN = {"sailerx": {"n_hidden": 8}, "sci2cl": {"n_hidden": 16, "n_heads": 2, "n_anchors": 8}}


@pytest.fixture(scope="module")
def data():
    """60 cells of RNA and 60 of ATAC, 50 of them the same."""
    both = im.data.simulate(n_cells=70, n_genes=60, n_peaks=200, n_types=3, seed=1)
    return {"rna": both["rna"][:60].copy(), "atac": both["atac"][10:].copy()}


def copies(data):
    return {name: one.copy() for name, one in data.items()}


@pytest.fixture(scope="module", params=["sailerx", "sci2cl"])
def fitted(request, data, tmp_path_factory):
    """System, result of a fit, and the folder of its model."""
    folder = str(tmp_path_factory.mktemp("models") / request.param)
    fit = verbs.VERBS["fit_paired"]
    with pytest.warns(UserWarning, match="10 of 70 cells were not measured in 'rna'"):
        result = fit(copies(data), folder=folder, system=request.param, **BRIEF, **OWN[request.param])
    return request.param, result, folder


def test_a_fit_gives_each_modality_the_rows_of_its_own_cells(data, fitted):
    system, result, folder = fitted
    model = im.load(folder)
    rows = dict(zip(model.cells, model.latent, strict=True))
    for name, one in data.items():
        z = result["embeddings"][name]
        assert z.shape == (60, 4)
        for cell, row in zip(one.obs_names, z, strict=True):
            np.testing.assert_array_equal(row, rows.get(cell, np.full(4, np.nan)))
    if system == "sci2cl":
        assert result["measured"]["rna"] == ["rna"] * 10 + ["both"] * 50
        assert result["measured"]["atac"] == ["both"] * 50 + ["atac"] * 10
    else:
        assert "measured" not in result


def test_a_saved_model_is_described_as_when_it_was_fitted(fitted):
    system, result, folder = fitted
    told = verbs.info(folder=folder)
    for part in ("cells", "features", "sizes"):
        assert told[part] == result[part]
    assert told["manifest"]["id"] == result["manifest"]["id"]
    assert told["sizes"] == ({"rna": 50, "atac": 60} if system == "sailerx" else {"rna": 60, "atac": 60})


def test_projection_gives_what_the_fit_gave(data, fitted):
    system, result, folder = fitted
    if system == "sailerx":
        again = verbs.project(data["atac"].copy(), folder=folder)
        np.testing.assert_allclose(again["embedding"], result["embeddings"]["atac"], rtol=1e-4, atol=1e-5)
        assert again["coverage"]["share"] == 1.0
        return
    again = verbs.project(copies(data), folder=folder)
    for name in data:
        np.testing.assert_allclose(again["embeddings"][name], result["embeddings"][name], rtol=1e-4, atol=1e-5)
        assert again["measured"][name] == result["measured"][name]
        assert again["coverage"][name]["missing"] == []
    alone = verbs.project({"atac": data["atac"].copy()}, folder=folder)
    assert list(alone["embeddings"]) == ["atac"]
    assert set(alone["measured"]["atac"]) == {"atac"}


def test_labels_are_the_same_with_an_embedding_or_with_the_cells(data, fitted):
    system, result, folder = fitted
    whole = data["atac"].copy() if system == "sailerx" else copies(data)
    types = pd.concat([one.obs["cell_type"].astype(str) for one in data.values()])
    types = types[~types.index.duplicated()]
    known = list(types[result["cells"]])
    table = verbs.labels(whole, folder=folder, labels=known, unknown_below=0.0)
    assert table["cells"] == result["cells"]
    bare = data["atac"][:, :0].copy()
    bare.obsm["embedding"] = result["embeddings"]["atac"]
    brought = verbs.labels(bare, folder=folder, labels=known, unknown_below=0.0)
    assert brought["cells"] == list(data["atac"].obs_names)
    given = dict(zip(table["cells"], table["label"], strict=True))
    assert np.mean([given[c] == n for c, n in zip(brought["cells"], brought["label"], strict=True)]) > 0.95


def test_values_are_imputed_of_named_cells(data, fitted, tmp_path):
    system, result, folder = fitted
    if system == "sci2cl":
        out = verbs.impute(copies(data), folder=folder, modality="atac", batch="average")
        assert out["cells"] == result["cells"]
        assert set(out["features"]) <= set(data["atac"].var_names)
        assert out["values"].shape == (70, len(out["features"]))
        return
    bare = data["atac"][:, :0].copy()
    bare.obsm["embedding"] = result["embeddings"]["atac"]
    out = verbs.impute(bare, folder=folder, top=5, batch="average")
    assert out["values"].shape == (60, len(result["features"]))
    np.testing.assert_array_equal(out["values"].getnnz(axis=1), 5)
    for top, sparse in ((5, True), (None, False)):
        file = str(tmp_path / f"{top}.h5ad")
        assert verbs.impute(bare.copy(), folder=folder, top=top, file=file)["sparse"] is sparse


def test_the_reference_goes_by_the_name_that_the_other_language_has(data, tmp_path):
    rna, atac = data["rna"], data["atac"]
    z = np.random.default_rng(0).normal(size=(rna.n_obs, 3))
    brief = {key: value for key, value in BRIEF.items() if key != "batch_key"} | OWN["sailerx"]
    told = {}
    for name in ("SCALEX", "given", None, "PCA"):
        reduced = {} if name in (None, "PCA") else {name: (z, None)}
        parts = Parts({"counts": rna.X}, "counts", rna.obs, rna.var, reduced)
        folder = str(tmp_path / f"{name}")
        with pytest.warns(UserWarning, match="not measured"):
            verbs.VERBS["fit_paired"](
                {"rna": assemble(parts), "atac": atac.copy()}, folder=folder, system="sailerx", reference=name, **brief
            )
        told[name] = im.load(folder)
    assert told["SCALEX"].settings["reference"] == "X_scalex"
    np.testing.assert_array_equal(told["SCALEX"].latent, told["given"].latent)
    # what the study does not bring is left to the verb
    assert told["PCA"].settings["reference"] == told[None].settings["reference"] == "X_pca"


def test_unpaired_cells_come_back_embedded(data, tmp_path):
    part, more = copies(data), data["atac"][50:].copy()
    part["atac"] = part["atac"][:50].copy()
    settings = BRIEF | OWN["sailerx"]
    with pytest.warns(UserWarning, match="not measured"):
        result = verbs.VERBS["fit_paired"](
            {**part, "unpaired": more}, folder=str(tmp_path / "m"), system="sailerx", **settings
        )
    assert result["embeddings"]["unpaired"].shape == (10, 4)
    assert result["sizes"] == {"rna": 50, "atac": 60}
    again = verbs.project(more.copy(), folder=str(tmp_path / "m"))
    np.testing.assert_allclose(again["embedding"], result["embeddings"]["unpaired"], rtol=1e-4, atol=1e-5)


def test_labels_are_checked_in_the_embedding_that_comes(data):
    study = data["rna"].copy()
    study.obsm["embedding"] = np.random.default_rng(0).normal(size=(60, 3))
    table = im.tl.check_labels(study.copy(), "cell_type", "embedding", k=5)
    out = verbs.VERBS["check_labels"](study, labels_key="cell_type", k=5)
    np.testing.assert_array_equal(out["wrong"], table["wrong"])
    assert out["suggestion"] == list(table["suggestion"])


def test_systems_of_paired_cells_are_refused_by_other_fits(data, tmp_path, refused):
    with refused("'sailerx'"):
        verbs.fit(data["rna"].copy(), folder=str(tmp_path / "m"), system="sailerx")
    with refused("'scalex'"):
        verbs.VERBS["fit_paired"](copies(data), folder=str(tmp_path / "m"), system="scalex")

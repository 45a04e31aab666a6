"""The verbs that other languages call: plain results of the Python verbs of the same names."""

from __future__ import annotations

import numpy as np
import pytest

import isthmus as im
from isthmus.bridge import verbs
from isthmus.bridge._paired import PAIRED
from isthmus.tl.fitted import SYSTEMS

SMALL = {
    "n_features": 60, "n_latent": 3, "n_hidden": 8, "max_steps": 10, "batch_size": 32, "compile": False,
    "batch_key": "batch",
}  # fmt: skip


@pytest.fixture(scope="module")
def cells():
    """Cells of three batches; every second one has a label."""
    rna = im.data.simulate(n_cells=200, n_genes=100, n_types=3, n_batches=3, modalities="rna", seed=1)["rna"]
    rna.obs["known"] = rna.obs["cell_type"].astype(object).where(np.arange(rna.n_obs) % 2 == 0)
    return rna


@pytest.fixture(scope="module")
def reference(cells):
    return cells[cells.obs["batch"] != "batch3"].copy()


@pytest.fixture(scope="module")
def supervised(reference, tmp_path_factory):
    """Result of a fit with labels, and the folder of its model."""
    folder = str(tmp_path_factory.mktemp("models") / "supervised")
    return verbs.fit(reference.copy(), folder=folder, system="scdreamer", labels_key="known", **SMALL), folder


@pytest.mark.parametrize("system", sorted(set(SYSTEMS) - {"glue", *PAIRED}))
def test_every_system_is_fitted_and_described(reference, tmp_path, system):
    result = verbs.fit(reference.copy(), folder=str(tmp_path / "model"), system=system, **SMALL)
    assert result["manifest"]["system"] == system
    assert result["embedding"].shape == (reference.n_obs, 3)
    assert result["labels"] == []
    assert "label" not in result
    told = verbs.info(folder=str(tmp_path / "model"))
    assert told["manifest"]["id"] == result["manifest"]["id"]
    for name in ("cells", "features", "batches", "labels"):
        assert told[name] == result[name]


def test_an_unknown_system_is_refused(reference, tmp_path, refused):
    with refused("'oracle'", "scdreamer"):
        verbs.fit(reference, folder=str(tmp_path / "model"), system="oracle")


def test_a_fit_with_labels_names_every_reference_cell(reference, supervised):
    result, folder = supervised
    assert result["labels"] == sorted(reference.obs["known"].dropna().unique())
    adata = reference.copy()
    im.load(folder).predict_labels(adata, batch_key="batch")
    assert result["label"] == adata.obs["scdreamer_label"].tolist()
    np.testing.assert_allclose(result["confidence"], adata.obs["scdreamer_confidence"], rtol=1e-5)
    assert result["confidence"].shape == (reference.n_obs,)


@pytest.mark.filterwarnings("ignore:Batches .* are new to the model")
def test_a_projection_says_which_batches_are_new(cells, reference, supervised, tmp_path):
    result = verbs.project(cells.copy(), folder=supervised[1], batch_key="batch")
    assert result["known_batches"] == ["batch1", "batch2"]
    assert result["new_batches"] == ["batch3"]
    verbs.fit(reference.copy(), folder=str(tmp_path / "model"), **SMALL)
    result = verbs.project(cells.copy(), folder=str(tmp_path / "model"), batch_key="batch")
    assert "new_batches" not in result


@pytest.mark.filterwarnings("ignore:Batches .* are new to the model")
def test_labels_are_predicted_from_the_embedding_that_is_there_or_from_a_projection(cells, supervised):
    query = cells[cells.obs["batch"] == "batch3"].copy()
    whole = verbs.predict(query.copy(), folder=supervised[1], batch_key="batch")
    bare = query[:, :0].copy()
    bare.obsm["embedding"] = verbs.project(query.copy(), folder=supervised[1], batch_key="batch")["embedding"]
    assert verbs.predict(bare, folder=supervised[1])["label"] == whole["label"]
    expected = im.load(supervised[1]).predict_labels(query, batch_key="batch")
    assert whole["label"] == query.obs["scdreamer_label"].tolist()
    np.testing.assert_array_equal(whole["confidence"], expected.max(axis=1))


def test_the_batches_of_an_embedding_weigh_its_labels(reference, supervised):
    model = im.load(supervised[1])
    bare = reference[:, :0].copy()
    bare.obs = reference.obs[["batch"]].copy()
    bare.obsm["embedding"] = model.latent
    plain = bare.copy()
    del plain.obs["batch"]
    got, unweighed = (verbs.predict(x, folder=supervised[1])["confidence"] for x in (bare, plain))
    expected = model.predict_labels(reference.copy(), batch_key="batch").max(axis=1)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.abs(unweighed - expected).max() > 1e-4


def test_a_model_without_labels_predicts_none(reference, tmp_path, refused):
    verbs.fit(reference.copy(), folder=str(tmp_path / "model"), **SMALL)
    with refused("'scalex' without", "fitted with labels"):
        verbs.predict(reference, folder=str(tmp_path / "model"))

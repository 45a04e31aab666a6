from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import isthmus as im
from isthmus.tl.scdreamer import warn_collapsed

QUICK = {
    "max_steps": 120, "n_features": 120, "n_hidden": 32, "n_latent": 5, "batch_size": 64, "learning_rate": 5e-3,
    "progress": "silent", "compile": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(whole):
    """An unsupervised model and its cells; neither is to be changed."""
    adata = whole[whole.obs["batch"] != "batch3"].copy()
    return im.tl.scdreamer(adata, "batch", **QUICK), adata


@pytest.fixture(scope="module")
def supervised(whole):
    """A model that saw two labels of three, its cells, and which labels were hidden."""
    adata = whole[whole.obs["batch"] != "batch3"].copy()
    hidden = np.arange(adata.n_obs) % 3 == 0
    adata.obs["label"] = adata.obs["cell_type"].astype(object).where(~hidden, None)
    return im.tl.scdreamer(adata, "batch", labels_key="label", **QUICK), adata, hidden


def accuracy(labels, truth):
    return (np.asarray(labels).astype(str) == np.asarray(truth).astype(str)).mean()


def test_the_embedding_is_written_and_nothing_else(fitted, whole):
    model, adata = fitted
    assert set(adata.obsm) - set(whole.obsm) == {"X_scdreamer"}
    assert set(adata.uns) - set(whole.uns) == {"scdreamer"}
    assert list(adata.obs) == list(whole.obs)
    assert np.array_equal(adata.obsm["X_scdreamer"], model.latent)
    assert adata.uns["scdreamer"]["system"] == "scdreamer"


def test_cells_of_a_known_batch_lie_where_they_were(whole):
    """Whatever other cells come with them, also where batches have scales of their own."""
    adata = whole[whole.obs["batch"] != "batch3"].copy()
    model = im.tl.scdreamer(adata, "batch", scaling="batch", **{**QUICK, "max_steps": 20})
    np.testing.assert_allclose(model.project(adata[:7].copy(), "batch"), model.latent[:7], atol=1e-5)


def test_hidden_labels_are_found(supervised):
    model, adata, hidden = supervised
    assert accuracy(adata.obs["scdreamer_label"][hidden], adata.obs["cell_type"][hidden]) > 0.9
    assert adata.obs["scdreamer_confidence"].between(1 / len(model.labels), 1).all()
    assert model.manifest.facts["n_labelled"] == (~hidden).sum()


def test_probabilities_are_those_of_the_classifier(supervised):
    model, adata, _ = supervised
    table = model.predict_labels(adata.copy())
    assert list(table) == list(model.labels.names)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    assert (table.idxmax(axis=1).to_numpy() == adata.obs["scdreamer_label"].to_numpy()).all()


def test_a_query_is_classified(supervised, query):
    model, _, _ = supervised
    with pytest.warns(UserWarning, match="batch3"):
        table = model.predict_labels(query, batch_key="batch")
    assert accuracy(table.idxmax(axis=1), query.obs["cell_type"]) > 0.8


def test_known_batches_are_weighed_by_their_types_and_new_ones_are_not(supervised, query):
    model, adata, _ = supervised
    plain = model.network.classify(torch.from_numpy(model.latent)).detach().numpy()
    expected = plain * model.odds[model.batches.encode(adata.obs["batch"])]
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.abs(expected - plain).max() > 1e-3
    table = model.predict_labels(adata.copy())
    np.testing.assert_allclose(table, expected, atol=1e-6)
    some = adata[::7].copy()
    np.testing.assert_allclose(model.predict_labels(some), table[::7], atol=1e-6)  # companions do not matter
    del some.uns["scdreamer"]
    np.testing.assert_allclose(model.predict_labels(some, batch_key="batch"), table[::7], atol=1e-4)
    with pytest.warns(UserWarning, match="not known"):
        model.predict_labels(query)
    z = torch.from_numpy(query.obsm["X_scdreamer"])
    np.testing.assert_allclose(model.predict_labels(query), model.network.classify(z).detach(), atol=1e-6)


def test_key_added_names_columns_and_the_embedding_that_is_there_is_used(supervised, query):
    model, adata, _ = supervised
    cells = adata.copy()
    expected = model.predict_labels(cells.copy())
    pd.testing.assert_frame_equal(model.predict_labels(cells, key_added="mine"), expected)
    assert cells.obs["mine_label"].tolist() == expected.idxmax(axis=1).tolist()
    assert (set(cells.obsm), "mine" in cells.uns) == (set(adata.obsm), False)
    cells.uns["scdreamer"]["id"] = "of another model"
    with pytest.warns(UserWarning, match="not known"):
        again = model.predict_labels(cells, key_added="mine")
    assert not np.allclose(again, expected)
    assert cells.uns["mine"]["id"] == model.manifest.id


@pytest.fixture
def projections(monkeypatch):
    """What was projected, by its number of cells."""
    seen, project = [], im.tl.Scdreamer.project
    monkeypatch.setattr(
        im.tl.Scdreamer,
        "project",
        lambda self, query, *a, **k: seen.append(query.n_obs) or project(self, query, *a, **k),
    )
    return seen


def test_an_embedding_made_with_the_same_batches_is_used(supervised, query, projections, tmp_path):
    model, adata, _ = supervised
    cells = adata.copy()
    expected = model.predict_labels(cells)
    pd.testing.assert_frame_equal(model.predict_labels(cells, batch_key="batch"), expected)  # as the fit had them
    assert projections == []
    query.obs["batch"] = np.where(np.arange(query.n_obs) % 3, "batch1", "new")
    query.obs["donor"] = query.obs["batch"]
    with pytest.warns(UserWarning, match="'new'"):
        expected = model.predict_labels(query, batch_key="batch")
    query.write_h5ad(tmp_path / "query.h5ad")
    for again in (query.copy(), query[::-1][::-1].copy(), ad.read_h5ad(tmp_path / "query.h5ad")):
        pd.testing.assert_frame_equal(model.predict_labels(again, batch_key="batch"), expected)
    assert projections == [query.n_obs]
    with pytest.warns(UserWarning, match="'new'"):
        model.predict_labels(query, batch_key="donor")  # of another column nothing is known
    assert len(projections) == 2


def test_an_embedding_made_with_other_batches_is_not_used(supervised, query, projections):
    model, adata, _ = supervised
    query.obs["batch"] = np.where(np.arange(query.n_obs) % 3, "batch1", "batch2")
    model.predict_labels(query, batch_key="batch")
    moved = query.copy()
    moved.obs["batch"] = np.where(np.arange(query.n_obs) % 3, "batch2", "batch1")  # the same names, other cells
    expected = query.copy()
    expected.obs["batch"] = moved.obs["batch"]
    del expected.uns["scdreamer"]
    expected = model.predict_labels(expected, batch_key="batch")
    pd.testing.assert_frame_equal(model.predict_labels(moved, batch_key="batch"), expected)
    some = query[::2].copy()
    model.predict_labels(some, batch_key="batch", min_coverage=0.5)
    other = adata.copy()
    other.obs["batch"] = other.obs["batch"].to_numpy()[::-1]
    model.predict_labels(other, batch_key="batch")
    assert projections == [query.n_obs] * 3 + [some.n_obs, adata.n_obs]
    del query.uns["scdreamer"]["projection"]["batch_digest"]  # as earlier versions wrote it
    model.predict_labels(query, batch_key="batch")
    assert projections[-1] == query.n_obs


def test_the_batches_of_an_embedding_must_still_be_there(supervised, refused):
    model, adata, _ = supervised
    bare = adata.copy()
    del bare.obs["batch"]
    with refused("no column 'batch'", "embedded with", "batch_key="):
        model.predict_labels(bare)


@pytest.mark.parametrize("missing", [None, np.nan, "NA", "", "unknown"])
def test_all_words_for_a_missing_label_mean_the_same(supervised, reference, missing):
    model, _, hidden = supervised
    reference.obs["label"] = reference.obs["cell_type"].astype(object).where(~hidden, missing)
    assert np.array_equal(im.tl.scdreamer(reference, "batch", labels_key="label", **QUICK).latent, model.latent)


def test_without_a_labels_key_labels_are_not_seen(fitted, reference, rng):
    reference.obs["cell_type"] = rng.permutation(reference.obs["cell_type"])
    assert np.array_equal(im.tl.scdreamer(reference, "batch", **QUICK).latent, fitted[0].latent)


def test_a_loaded_model_predicts_and_imputes_the_same(supervised, tmp_path):
    model, adata, _ = supervised
    model.save(tmp_path / "model")
    loaded = im.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict_labels(adata.copy()), model.predict_labels(adata.copy()))
    np.testing.assert_array_equal(loaded.impute(adata.copy()).X, model.impute(adata.copy()).X)


def test_known_batches_are_projected_as_they_were_embedded(fitted):
    model, adata = fitted
    again = adata.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        z = model.project(again, "batch")
    np.testing.assert_allclose(z, model.latent, atol=1e-5)
    assert again.uns["scdreamer"]["projection"]["known_batches"] == list(model.batches.names)


def test_batches_that_an_earlier_version_called_1_0_are_known(reference, tmp_path):
    """Columns of floats had such names, which a model of text has still."""
    number = reference.obs["batch"].cat.codes + 1.0
    reference.obs["batch"] = number.astype(str)
    im.tl.scdreamer(reference, "batch", **{**QUICK, "max_steps": 5}).save(tmp_path / "model")
    model = im.load(tmp_path / "model")
    assert model.batches.names == ("1.0", "2.0")
    for column in (number, number.astype(int).astype(str), number.astype(str)):
        reference.obs["batch"] = column
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            np.testing.assert_allclose(model.project(reference, "batch"), model.latent, atol=1e-5)
        np.testing.assert_allclose(model.embed(reference), model.latent, atol=1e-5)
    assert model.impute(reference, batch="1.0").X.tolist() == model.impute(reference, batch=1.0).X.tolist()


def test_what_embedded_a_query_is_said(fitted, query, reference):
    model, _ = fitted
    both = im.data.simulate(n_cells=60, n_genes=250, n_batches=1, modalities="rna", seed=1)["rna"]
    both.var_names = query.var_names
    both.obs["batch"] = ["batch1"] * 30 + ["new"] * 30
    with pytest.warns(UserWarning, match="Batches 'new' are new to the model.*batch-free encoder"):
        model.project(both, "batch")
    record = both.uns["scdreamer"]["projection"]
    assert (record["known_batches"], record["new_batches"]) == (["batch1"], ["new"])
    with pytest.warns(UserWarning, match="batch is not known"):
        model.project(query)


def test_a_model_without_the_batch_free_encoder_refuses_new_batches(reference, query, refused):
    model = im.tl.scdreamer(reference, "batch", batch_dropout=0.0, **{**QUICK, "max_steps": 5})
    with refused("'batch3'", "trained with: 'batch1', 'batch2'", "batch_dropout above 0"):
        model.project(query, "batch")
    assert "X_scdreamer" not in query.obsm


def test_a_batch_free_model_takes_new_batches_without_a_word(reference, query):
    model = im.tl.scdreamer(reference, "batch", batch_dropout=1.0, **{**QUICK, "max_steps": 5})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        one = model.project(query.copy(), "batch")
        np.testing.assert_allclose(one, model.project(query), atol=1e-6)


def test_imputed_values_are_shares_of_the_depth(fitted):
    model, adata = fitted
    both, one, other = (np.asarray(model.impute(adata.copy(), batch=b).X) for b in (None, "batch1", "batch2"))
    np.testing.assert_allclose(both, (one + other) / 2, rtol=1e-4, atol=1e-5)
    share = np.isin(model.pipeline.universe, model.pipeline.features) @ model.pipeline.depth.share
    np.testing.assert_allclose(np.expm1(one).sum(axis=1), 1e4 * share, rtol=1e-3)
    depth = np.asarray(adata.X.sum(axis=1)).ravel()
    observed = np.log1p(adata[:, model.pipeline.features].X.toarray() / depth[:, None] * 1e4)
    assert np.corrcoef(observed.mean(axis=0), both.mean(axis=0))[0, 1] > 0.9


def test_a_decoder_of_scaled_input_imputes_nothing(reference, refused):
    model = im.tl.scdreamer(reference, "batch", **{**QUICK, "max_steps": 5, "target": "input"})
    with refused("target='input'", "a model whose decoder explains counts"):
        model.impute(reference)


def test_the_adversary_hides_batches():
    """More weight: the classifier is nearer to chance, and the batches mix more."""
    cells = im.data.simulate(
        n_cells=450, n_genes=250, n_types=4, n_batches=3, modalities="rna", rna_only_pairs=0, atac_only_pairs=0,
        type_strength=2.5, batch_strength=3.0, seed=8,
    )["rna"]  # fmt: skip
    told, mixed = [], []
    for weight in (0.0, 50.0):
        model = im.tl.scdreamer(
            cells.copy(), "batch", batch_weight=weight, batch_dropout=1.0, **{**QUICK, "max_steps": 200}
        )
        told.append(model.history["train_batch"].iloc[-3:].mean())
        mixed.append(im.metrics.ilisi(model.latent, cells.obs["batch"]))
    assert told[1] > told[0]
    assert mixed[1] > mixed[0] + 0.02


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "reference", "max_epochs": None}, {"library": "learned"}, {"likelihood": "nb"},
        {"target": "input", "scaling": "double-log"}, {"early_stopping": True}, {"precision": "32-true"},
    ],
)  # fmt: skip
def test_every_variant_learns(reference, settings):
    history = im.tl.scdreamer(reference, "batch", **{**QUICK, "max_steps": 60, **settings}).history
    assert np.isfinite(history.drop(columns=["epoch", "step"]).dropna()).all(axis=None)
    assert history["train_reconstruction"].iloc[-1] < history["train_reconstruction"].iloc[0]


def test_many_batches_of_few_cells(whole, rng):
    whole = whole.copy()
    whole.obs["batch"] = [f"b{code}" for code in rng.integers(0, 147, whole.n_obs)]
    model = im.tl.scdreamer(whole, "batch", **{**QUICK, "max_steps": 40})
    assert np.isfinite(model.latent).all()


def test_one_batch_needs_no_adversary(reference):
    with pytest.warns(UserWarning, match="Nothing is integrated"):
        model = im.tl.scdreamer(reference, None, **{**QUICK, "max_steps": 20})
    assert np.isfinite(model.latent).all()


@pytest.mark.parametrize(
    ("settings", "found", "expected"),
    [
        ({"labels_key": "nothing"}, "no column 'nothing'", "a column of obs with the cell types"),
        ({"labels_key": "batch_of_one"}, "1, and 0 cells without a label", "at least two cell types"),
        ({"likelihood": "poisson"}, "'poisson'", "likelihood to be 'zinb' or 'nb'"),
        ({"values": "lognorm"}, "'lognorm'", "values to be 'counts'"),
        ({"batch_weight": -1.0}, "-1", "batch_weight to be a number of at least 0"),
        ({"max_epochs": 0}, "0", "max_epochs to be a whole number"),
        ({"preset": "best"}, "'best'", "preset to be"),
    ],
)
def test_bad_arguments_are_refused(reference, refused, settings, found, expected):
    reference.obs["batch_of_one"] = "one"
    with refused(found, expected):
        im.tl.scdreamer(reference, "batch", **{**QUICK, **settings})
    assert not reference.obsm


def test_normalised_values_are_refused(reference, refused):
    reference.X = reference.X * 0.5
    with refused("looks normalised", "raw counts"):
        im.tl.scdreamer(reference, "batch", **QUICK)


def test_a_model_without_labels_predicts_none(fitted, query, refused):
    with refused("one without", "fitted with labels", "labels_key"):
        fitted[0].predict_labels(query)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"train_bhattacharyya": 0.0, "train_batch": 0.8}, "discriminator scores real and generated cells alike"),
        ({"train_bhattacharyya": 0.3, "train_batch": 1.0}, "batch classifier is exactly at chance"),
    ],
)
def test_a_collapsed_adversary_is_named(row, words):
    with pytest.warns(UserWarning, match=words):
        warn_collapsed(pd.DataFrame([row]))


def test_a_healthy_game_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warn_collapsed(pd.DataFrame([{"train_bhattacharyya": 0.3, "train_batch": 0.97}]))

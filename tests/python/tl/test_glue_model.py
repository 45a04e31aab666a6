"""What a fitted GLUE model does: links, labels and values across modalities, consistency."""

from __future__ import annotations

import warnings
from dataclasses import fields

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from sklearn.neighbors import NearestNeighbors

import isthmus as im
from isthmus.genomics import guidance_graph
from isthmus.tl.glue import GlueSettings

QUICK = {
    "max_steps": 40, "link_steps": 10, "n_models": 2, "n_features": 90, "n_components": 12, "n_hidden": 16,
    "n_latent": 5, "batch_size": 32, "learning_rate": 5e-3, "schedule": "constant", "pretrain_share": 0.4,
    "progress": "silent", "accelerator": "cpu",
}  # fmt: skip
BARE = {"max_steps": 4, "n_models": 0, "balance": False}


def simulate(**settings):
    given = {"n_cells": 260, "n_genes": 150, "n_peaks": 400, "n_types": 3, "pairing": "unpaired", "seed": 5}
    return im.data.simulate(**{**given, **settings})


@pytest.fixture(scope="module")
def whole():
    return simulate()


@pytest.fixture(scope="module")
def graph(whole):
    return guidance_graph(whole, extend=20_000)


@pytest.fixture(scope="module")
def fit(graph):
    """``fit(data)`` with this graph and few steps."""

    def run(data, guide=None, **settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return im.tl.glue(data, graph if guide is None else guide, **{**QUICK, **settings})

    return run


@pytest.fixture(scope="module")
def fitted(whole, fit):
    data = {k: x.copy() for k, x in whole.items()}
    return fit(data, batch_key="batch"), data


@pytest.fixture(scope="module")
def taught(whole, fit):
    """A model that saw two labels of three of the RNA and none of the ATAC, its cells, and which labels were hidden."""
    data = {k: x.copy() for k, x in whole.items()}
    hidden = np.arange(data["rna"].n_obs) % 3 == 0
    data["rna"].obs["label"] = data["rna"].obs["cell_type"].astype(object).where(~hidden, "unknown")
    brief = {"max_steps": 150, "n_models": 0, "labels_weight": 1.0}
    return fit(data, labels_key={"rna": "label"}, **brief), data, hidden


@pytest.fixture
def model(fitted):
    return fitted[0]


@pytest.fixture
def data(whole):
    """The cells as they came."""
    return {k: x.copy() for k, x in whole.items()}


@pytest.fixture
def done(fitted):
    """The cells with what the fit wrote."""
    return {k: x.copy() for k, x in fitted[1].items()}


def test_links_are_a_table_of_real_edges_best_first(model, graph):
    links = model.links()
    columns = {"peak", "gene", "score", "zscore", "pvalue", "qvalue", "distance", "n_null"}
    assert columns <= set(links.columns)
    edges = set(zip(graph.features[graph.source], graph.features[graph.target], strict=True))
    assert set(zip(links["gene"], links["peak"], strict=True)) <= edges
    assert len(links) == model.graph.n_edges
    assert links["pvalue"].is_monotonic_increasing
    assert links["score"].between(-1, 1).all()
    v = model.link_embeddings / np.linalg.norm(model.link_embeddings, axis=2, keepdims=True)
    at = [model.features.get_loc(links[end].iloc[0]) for end in ("peak", "gene")]
    assert links["score"].iloc[0] == pytest.approx((v[:, at[0]] * v[:, at[1]]).sum(axis=1).mean(), abs=1e-5)


def test_fdr_keeps_the_links_below_it(model, refused):
    links = model.links()
    for fdr in (0.0, float(links["qvalue"].median()), 1.0):
        pd.testing.assert_frame_equal(model.links(fdr), links[links["qvalue"] <= fdr].reset_index(drop=True))
    assert 0 < len(model.links(float(links["qvalue"].min()))) <= len(links)
    with refused("2", "fdr to be a number from 0 to 1"):
        model.links(2)


@pytest.mark.parametrize(
    ("alternative", "extreme"), [("greater", lambda s: -s), ("less", lambda s: s), ("two-sided", lambda s: -s.abs())]
)
def test_of_links_with_the_same_p_the_most_extreme_comes_first(model, alternative, extreme):
    links = model.links(alternative=alternative)
    order = [links["qvalue"], links["pvalue"], extreme(links["score"])]
    assert links.index.tolist() == np.lexsort(order[::-1]).tolist()


def test_links_are_compared_with_as_many_pairs_as_asked(model, refused):
    few, many = (model.links(n_null=n) for n in (2000, 200_000))
    assert many["n_null"].min() > 3 * few["n_null"].max()
    for table in (few, many):
        assert (table["pvalue"] * (table["n_null"] + 2) >= 1).all()  # (k + 1) / (n + 1), n rounded
    assert model.links(null="shuffled", n_null=3000)["n_null"].between(1000, 3000).all()
    with refused("-1", "n_null to be a whole number"):
        model.links(n_null=-1)


def test_without_models_there_are_no_links(data, fit, refused):
    model = fit(data, **BARE)
    with refused("n_models=0", "n_models of at least 1", "n_models=4"):
        model.links()


def test_labels_go_from_one_modality_to_the_other(model, done):
    """As the nearest cells of the source say, found by a slow search."""
    types = done["rna"].obs["cell_type"]
    table = model.transfer_labels(done["atac"], types, source="rna", modality="atac", k=1, unknown_below=0.0)
    z = {k: model.latent_of(k).astype(np.float64) for k in done}
    distance = ((z["atac"][:, None] - z["rna"][None]) ** 2).sum(axis=2)
    nearest = types.astype(str).to_numpy()[distance.argmin(axis=1)]
    assert (table["label"].to_numpy() == nearest).mean() > 0.99  # ties and rounding
    assert list(table.index) == list(done["atac"].obs_names)
    assert (done["atac"].obs["glue_label"].astype(str).to_numpy() == table["label"].to_numpy()).all()
    assert table["confidence"].between(0, 1).all()
    shuffled = types.sample(frac=1, random_state=0)  # named by cell: the order means nothing
    again = model.transfer_labels(done["atac"], shuffled, source="rna", modality="atac", k=1, unknown_below=0.0)
    pd.testing.assert_frame_equal(again, table)


def test_labels_of_the_wrong_modality_are_refused(model, done, refused):
    with refused("'protein'", "modality to be 'rna' or 'atac'"):
        model.transfer_labels(done["atac"], done["rna"].obs["cell_type"], source="protein", modality="atac")
    with refused(f"other cells, such as '{done['atac'].obs_names[0]}'", "labels of the cells of 'rna'"):
        model.transfer_labels(done["atac"], done["atac"].obs["cell_type"], source="rna", modality="atac")


def test_the_classifier_is_applied_to_the_embedding(taught):
    """By hand: softmax of a linear map of the posterior means."""
    model, data, _ = taught
    layer = model.network.cell_type
    weight, bias = (p.detach().numpy().astype(np.float64) for p in (layer.weight, layer.bias))
    for k, x in data.items():
        logit = model.latent_of(k) @ weight.T + bias
        expected = np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True)
        cells = x.copy()
        table = model.predict_labels(cells, modality=k)
        assert list(table) == list(model.labels.names)
        assert list(table.index) == list(x.obs_names)
        np.testing.assert_allclose(table.to_numpy(), expected, atol=1e-5)
        assert list(cells.obs["glue_label"]) == [model.labels.names[i] for i in expected.argmax(axis=1)]
        np.testing.assert_allclose(cells.obs["glue_confidence"], expected.max(axis=1), atol=1e-5)


def test_a_fit_with_labels_writes_what_its_model_predicts(taught, whole):
    model, data, hidden = taught
    for k, x in data.items():
        assert set(x.obs) - set(whole[k].obs) - {"label"} == {"glue_label", "glue_confidence"}
        bare = whole[k].copy()
        model.predict_labels(bare, modality=k, key_added="mine")
        assert (bare.obs["mine_label"].astype(str) == x.obs["glue_label"].astype(str)).all()
        np.testing.assert_allclose(bare.obs["mine_confidence"], x.obs["glue_confidence"], atol=1e-4)
        there = x.copy()
        table = model.predict_labels(there, modality=k, key_added="mine")
        pd.testing.assert_frame_equal(table, model.predict_labels(x.copy(), modality=k))
        assert (set(there.obsm), "mine" in there.uns) == ({"X_glue"}, False)
    rna = data["rna"].obs[hidden]
    assert (rna["glue_label"].astype(str) == rna["cell_type"].astype(str)).mean() > 0.8


def test_classified_cells_need_neither_company_nor_order(taught, whole, rng):
    model, cells = taught[0], whole["atac"]
    table = model.predict_labels(cells.copy(), modality="atac")
    rows = rng.permutation(cells.n_obs)[:20]
    some = model.predict_labels(cells[rows].copy(), modality="atac", min_coverage=1.0)
    pd.testing.assert_frame_equal(some, table.iloc[rows], atol=1e-4)


def test_a_model_without_labels_or_another_modality_is_refused(model, taught, data, refused):
    with refused("one without", "fitted with labels", "labels_key"):
        model.predict_labels(data["atac"], modality="atac")
    with refused("'protein'", "modality to be 'rna' or 'atac'"):
        taught[0].predict_labels(data["atac"], modality="protein")
    assert "glue_label" not in data["atac"].obs


def test_an_embedding_that_is_there_is_used_if_it_is_of_this_modality(model, done, monkeypatch):
    calls = []
    monkeypatch.setattr(model, "project", lambda adata, modality, **_: calls.append(modality) or adata.obsm["X_glue"])
    model.predict(done["rna"], "rna", "atac")
    model.predict(done["rna"], "rna", "atac", key_added="elsewhere")
    assert calls == []
    model.predict(done["rna"], "atac", "rna")  # said to be of another modality: cells are projected as such
    model.predict(done["rna"], "rna", "atac", layer="counts")
    done["rna"].uns["glue"]["id"] = "of another model"
    model.predict(done["rna"], "rna", "atac")
    assert calls == ["atac", "rna", "rna"]


def test_logarithms_of_counts_are_projected_as_the_counts(model, done, refused):
    rna = done["rna"]
    z = model.project(rna, "rna")
    sc.pp.normalize_total(rna, target_sum=1e6)  # not the depth of the fit
    sc.pp.log1p(rna)
    np.testing.assert_allclose(model.project(rna, "rna", values="lognorm"), z, atol=1e-3)
    with refused("values='lognorm' of cells of several depths", "values='counts' of 'rna', as in the fit"):
        model.project(rna[:, ::2].copy(), "rna", values="lognorm")


def test_a_model_of_logarithms_takes_no_counts(done, fit, refused):
    counts = done["rna"].X.copy()
    sc.pp.normalize_total(done["rna"])
    sc.pp.log1p(done["rna"])
    model = fit(done, values={"rna": "lognorm"}, **BARE)
    done["rna"].X = counts
    with refused("values='counts'", "values='lognorm' of 'rna', as in the fit"):
        model.project(done["rna"], "rna", values="counts")


def test_predicted_counts_share_out_the_library(model, done):
    predicted = model.predict(done["rna"], "rna", "atac", library=500)
    assert predicted.shape == (done["rna"].n_obs, len(model.sides["atac"].features))
    assert list(predicted.var_names) == list(model.sides["atac"].features)
    assert list(predicted.obs_names) == list(done["rna"].obs_names)
    assert np.isfinite(predicted.X).all()
    assert (predicted.X >= 0).all()
    np.testing.assert_allclose(predicted.X.sum(axis=1), 500, rtol=1e-4)
    usual = model.predict(done["rna"], "rna", "atac")
    median = np.median(done["atac"][:, model.sides["atac"].features].X.toarray().sum(axis=1))
    np.testing.assert_allclose(usual.X, predicted.X * median / 500, rtol=1e-4)


def test_named_features_of_a_named_batch_are_predicted(model, done, refused):
    names = list(model.sides["rna"].features[[7, 2]])
    batches = [model.predict(done["atac"], "atac", "rna", batch=b).X for b in ("batch1", "batch2")]
    assert not np.allclose(*batches)
    mean = model.predict(done["atac"], "atac", "rna")
    np.testing.assert_allclose(mean.X, np.mean(batches, axis=0), rtol=1e-4)
    few = model.predict(done["atac"], "atac", "rna", features=names)
    assert list(few.var_names) == names
    assert np.array_equal(few.X, mean[:, names].X)
    with refused("'nope'", "features among"):
        model.predict(done["atac"], "atac", "rna", features=["nope"])
    with refused("'batch9'", "a batch that the model was trained with"):
        model.predict(done["atac"], "atac", "rna", batch="batch9")


def test_small_values_are_left_out_and_files_equal_memory(model, done, tmp_path):
    dense = model.predict(done["rna"], "rna", "atac").X
    least = float(np.quantile(dense, 0.9))
    sparse = model.predict(done["rna"], "rna", "atac", least=least).X
    assert sp.issparse(sparse)
    assert np.array_equal(sparse.toarray(), np.where(dense >= least, dense, 0))
    filed = model.predict(done["rna"], "rna", "atac", file=tmp_path / "x.h5ad")
    assert filed.isbacked
    assert np.array_equal(filed.X[:], dense)


def test_consistency_is_a_curve_in_any_order_of_the_cells(model, done, rng, refused):
    curve = model.consistency(done, (10, 20))
    assert list(curve["n_metacells"]) == [10, 20]
    assert curve["consistency"].between(-1, 1).all()
    turned = {k: x[rng.permutation(x.n_obs), rng.permutation(x.n_vars)] for k, x in done.items()}
    pd.testing.assert_frame_equal(model.consistency(turned, (10, 20)), curve)
    direct = im.metrics.integration_consistency(
        {k: model.latent_of(k) for k in done},
        {k: x[:, model.sides[k].features].X for k, x in done.items()},
        {k: model.sides[k].features for k in done},
        model.graph, (10, 20), seed=model.settings["seed"],
    )  # fmt: skip
    pd.testing.assert_frame_equal(curve, direct)
    with refused("260 of them missing", "the 260 cells of 'atac'"):
        model.consistency({"rna": done["rna"]})
    with refused("160 of them missing", "the 260 cells of 'rna'"):
        model.consistency({**done, "rna": done["rna"][:100]})
    lost = model.sides["atac"].features[:3]
    with refused(f"3 of them missing, such as '{lost[0]}'", "features of 'atac' that the model explains"):
        model.consistency({**done, "atac": done["atac"][:, ~done["atac"].var_names.isin(lost)]}, (10,))


def test_consistency_of_values_that_are_no_counts_is_that_of_their_means(whole, fit):
    data = {k: x.copy() for k, x in whole.items()}
    data["rna"].X = np.log1p(data["rna"].X.toarray()) - 1.0
    model = fit(data, values={"rna": "values"}, **BARE)
    scaled = {**data, "rna": data["rna"].copy()}
    scaled["rna"].X = 3 * scaled["rna"].X + 5  # moves no rank of a mean
    one, other = (model.consistency(x, (10, 20)) for x in (data, scaled))
    pd.testing.assert_frame_equal(one, other)


def test_a_modality_that_is_not_there_is_refused(model, done, refused):
    for call in (
        lambda: model.embed(done["rna"], "protein"),
        lambda: model.project(done["rna"], "protein"),
        lambda: model.predict(done["rna"], "rna", "protein"),
        lambda: model.predict(done["rna"], "protein", "rna"),
        lambda: model.latent_of("protein"),
    ):
        with refused("'protein'", "modality to be 'rna' or 'atac'"):
            call()


def test_the_settings_of_a_fit_are_in_its_manifest(model):
    assert {field.name for field in fields(GlueSettings)} == set(model.settings)
    assert model.settings["values"] == {"rna": "counts", "atac": "counts"}
    assert model.settings["batch_key"] == {"rna": "batch", "atac": "batch"}
    assert model.manifest.facts["n_cells"] == {"rna": 260, "atac": 260}


def test_embeddings_are_written_and_nothing_else(whole, fitted):
    model, done = fitted
    for k in whole:
        written = done[k].copy()
        assert np.array_equal(written.obsm.pop("X_glue"), model.latent_of(k))
        v, record = written.varm.pop("glue"), written.uns.pop("glue")
        own = written.var_names.isin(model.sides[k].features)
        rows = model.features.get_indexer(written.var_names[own])
        assert np.array_equal(v[own], model.feature_embedding[rows])
        assert np.isnan(v[~own]).all()
        assert (~own).any()
        assert record["id"] == model.manifest.id
        assert record["modality"] == k
        assert record["settings"]["max_steps"] == QUICK["max_steps"]
        assert (written.X != whole[k].X).nnz == 0
        assert not written.obsm
        assert not written.varm
        assert set(written.uns) == set(whole[k].uns)
        assert written.obs.equals(whole[k].obs)


def test_what_was_written_fits_into_a_file(done, model, tmp_path):
    model.project(done["atac"], "atac", key_added="again")
    for k, x in done.items():
        x.write_h5ad(tmp_path / "x.h5ad")
        back = ad.read_h5ad(tmp_path / "x.h5ad")
        assert np.array_equal(back.obsm["X_glue"], model.latent_of(k))
        assert np.array_equal(model.predict(back, k, "rna").X, model.predict(done[k], k, "rna").X)
    assert back.uns["again"]["projection"]["modality"] == "atac"


def test_a_fit_without_balance_weighs_all_alike(fitted, data, fit):
    assert (fit(data, **BARE).weight == 1).all()
    model = fitted[0]
    for k in model.modalities:
        assert model.weight[model.modality == k].mean() == pytest.approx(1.0, abs=1e-5)
    assert len(np.unique(model.weight)) > 2


def test_modalities_are_laid_on_each_other_within_groups(fit):
    data = simulate(n_cells=1500)
    graph = guidance_graph(data, extend=20_000)
    laid, apart = (fit(data, guide=graph, n_models=0, match_groups=given) for given in (True, False))
    assert not apart.network.groups.shift.any()

    def mixing(model):
        """Share of a cell's 15 nearest that are of the other modality."""
        near = NearestNeighbors(n_neighbors=16).fit(model.latent).kneighbors(model.latent, return_distance=False)[:, 1:]
        kind = np.asarray(model.modality)
        return (kind[near] != kind[:, None]).mean()

    assert mixing(laid) > mixing(apart) + 0.03  # of other seeds: 0.044 to 0.073

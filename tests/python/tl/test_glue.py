"""The verb for GLUE: what it takes, what it refuses, what it writes."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import isthmus as im
from isthmus.data import from_modalities
from isthmus.data.modalities import pair_cells
from isthmus.genomics import GuidanceGraph, guidance_graph
from isthmus.nn.inner_product import DECODERS
from isthmus.tl._glue_fit import Cells, joint_loaders
from isthmus.train.run import Run

QUICK = {
    "max_steps": 40, "link_steps": 10, "n_models": 2, "n_features": 90, "n_components": 12, "n_hidden": 16,
    "n_latent": 5, "batch_size": 32, "learning_rate": 5e-3, "schedule": "constant", "pretrain_share": 0.4,
    "progress": "silent", "accelerator": "cpu",
}  # fmt: skip
BARE = {"max_steps": 4, "n_models": 0, "balance": False}
PAIRED_TERMS = ["train_joint_cross", "train_real_cross", "train_cosine"]


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


@pytest.fixture
def data(whole):
    """The cells as they came."""
    return {k: x.copy() for k, x in whole.items()}


@pytest.fixture
def three(data, rng):
    """RNA, ATAC, and the methylation of each gene, high where its expression is low."""
    rna = data["rna"]
    logged = np.log1p(rna.X.toarray() / rna.X.sum(axis=1) * 1e3)
    noise = rng.normal(0.0, 0.1, logged[:120].shape)
    var = pd.DataFrame(rna.var[["chrom", "chromStart", "chromEnd"]]).set_index("m_" + rna.var_names)
    obs = pd.DataFrame(index=[f"m{i}" for i in range(120)])
    meth = ad.AnnData((noise - logged[:120]).astype(np.float32), obs=obs, var=var)
    return {**data, "meth": meth}, guidance_graph({**data, "meth": meth}, extend=5_000, signs=[1, -1])


def test_another_stem_moves_all_keys(data, fit):
    model = fit(data, key_added="mine", **BARE)
    assert all("X_mine" in x.obsm and "mine" in x.varm and "mine" in x.uns for x in data.values())
    model.transfer_labels(data["atac"], data["rna"].obs["cell_type"], source="rna", modality="atac")
    assert {"mine_label", "mine_confidence"} <= set(data["atac"].obs)


def test_a_mudata_is_what_its_modalities_are(data, fit):
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = mudata.MuData(data)
    model = fit(held, **BARE)
    assert np.array_equal(model.latent, fit({k: held.mod[k].copy() for k in data}, **BARE).latent)
    assert np.array_equal(held.mod["atac"].obsm["X_glue"], model.latent_of("atac"))
    assert len(model.consistency(held, (10,))) == 1


def test_three_modalities_with_negative_signs(three, fit):
    data, guide = three
    assert set(guide.sign) == {1, -1}
    model = fit(data, guide, values={"meth": "values"}, n_models=1)
    assert model.modalities == ["rna", "atac", "meth"]
    assert np.isfinite(model.latent).all()
    assert [len(model.latent_of(k)) for k in data] == [260, 260, 120]
    assert model.sides["meth"].likelihood == "normal"
    assert {"train_reconstruction_meth", "train_kl_meth"} <= set(model.history)
    assert model.weight[model.modality == "meth"].mean() == pytest.approx(1.0, abs=1e-5)
    links = model.links()
    assert (links.loc[links["peak"].str.startswith("m_"), "sign"] == -1).all()
    predicted = model.predict(data["meth"], "meth", "rna", library=100)
    np.testing.assert_allclose(predicted.X.sum(axis=1), 100, rtol=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.5, 0.9])
def test_any_share_of_the_labels_may_be_missing(data, fit, rng, missing):
    label = data["rna"].obs["cell_type"].astype(object)
    label[rng.random(len(label)) < missing] = None
    data["rna"].obs["label"] = label
    model = fit(data, labels_key={"rna": "label"}, **BARE)
    term = model.history["train_labels"]
    assert np.isfinite(term).all()
    assert (term > 0).all()
    assert len(model.labels) == 3


@pytest.mark.parametrize("pairing", ["paired", "partial"])
@pytest.mark.parametrize("stopping", [False, True])
def test_paired_cells_add_their_terms(fit, pairing, stopping):
    model = fit(simulate(pairing=pairing), paired=True, **BARE, early_stopping=stopping)
    assert np.isfinite(model.latent).all()
    assert (model.history[PAIRED_TERMS] > 0).all(axis=None)
    held = [name for name in model.history if name.startswith("validation_")]
    assert bool(held) == stopping
    assert np.isfinite(model.history[held].iloc[-1].astype(float)).all()


def test_each_part_cuts_the_rate_where_held_out_cells_get_no_better(fit, monkeypatch):
    monkeypatch.setattr(Run, "validate", lambda self, loader: {"validation_loss": 1.0})
    settings = {**BARE, "schedule": "plateau", "max_steps": 700, "pretrain_share": 0.5, "learning_rate": 0.002}
    rates = fit(simulate(), **settings, early_stopping=True).history["learning_rate"].to_numpy()
    assert sorted(set(rates.round(8))) == [0.0002, 0.002]
    assert (np.diff(rates) > 0).sum() == 1  # the second part begins anew


def test_names_mean_nothing_unless_it_is_said(fit):
    model = fit(simulate(pairing="paired"), **BARE)
    assert (model.history[PAIRED_TERMS] == 0).all(axis=None)


def test_a_cell_that_was_measured_twice_is_held_out_twice(fit):
    data = simulate(pairing="partial")
    studies = from_modalities(data)
    pairs = pair_cells(studies)
    sides = fit(data, **BARE).sides
    cells = {
        k: Cells(sides[k], sides[k].targets(s), np.zeros((260, 3), "f4"), s.batch, None, np.ones(260))
        for k, s in studies.items()
    }
    settings = type("Settings", (), {"validation_fraction": 0.2, "early_stopping": True, "seed": 0})
    training, held = joint_loaders(cells, pairs, None, 32, settings, 0)
    for i, k in enumerate(studies):
        rows = [set(loader.loaders[k].rows) for loader in (training, held)]
        assert rows[0] | rows[1] == set(range(260))
        assert not rows[0] & rows[1]
        for loader, some in zip((training, held), rows, strict=True):
            assert set(loader.pairs[loader.pairs[:, i] >= 0, i]) == some
    assert len(held.pairs) == pytest.approx(0.2 * len(pairs), abs=3)
    assert ((held.pairs >= 0).all(axis=1)).sum() > 5


@pytest.mark.parametrize("name", DECODERS)
def test_every_likelihood_can_be_fitted_saved_and_predicted(data, fit, name, tmp_path):
    model = fit(data, likelihoods={"rna": name}, **BARE)
    assert model.sides["rna"].likelihood == name
    values = model.predict(data["atac"], "atac", "rna").X
    assert np.isfinite(values).all()
    model.save(tmp_path / "model")
    assert np.array_equal(im.load(tmp_path / "model").predict(data["atac"], "atac", "rna").X, values)


def test_one_word_is_for_all_modalities(data, fit):
    model = fit(data, likelihoods="zinb", representations="pca", **BARE)
    assert {side.likelihood for side in model.sides.values()} == {"zinb"}
    assert {type(side.reduction).__name__ for side in model.sides.values()} == {"Pca"}


def test_few_cells_of_one_modality_will_do(data, fit):
    few = {"rna": data["rna"][:16].copy(), "atac": data["atac"]}
    model = fit(few, early_stopping=True, validation_fraction=0.05, **{**BARE, "balance": True})
    assert np.isfinite(model.latent).all()
    assert len(model.latent_of("rna")) == 16


def test_features_without_counts_do_no_harm(data, fit):
    for k in data:
        dense = data[k].X.toarray()
        dense[:, ::7] = 0
        data[k].X = sp.csr_matrix(dense)
    model = fit(data, max_steps=10, n_models=1, link_steps=3)
    assert not model.sides["rna"].features.isin(data["rna"].var_names[::7]).any()  # they do not vary: never chosen
    assert model.sides["atac"].features.isin(data["atac"].var_names[::7]).any()
    assert np.isfinite(model.latent).all()
    assert np.isfinite(model.links()["score"]).all()


def test_the_graph_may_know_more_than_the_data(data, fit):
    """Features that the data lack are left out of the graph, those that the graph lacks out of the decoders."""
    lost = {k: x.var_names[::9] for k, x in data.items()}
    few = {k: x[:, ~x.var_names.isin(lost[k])].copy() for k, x in data.items()}
    model = fit(few, **BARE)
    assert not model.features.isin(np.concatenate(list(lost.values()))).any()
    data["rna"].var_names = [f"unknown{i}" if i % 9 == 0 else name for i, name in enumerate(data["rna"].var_names)]
    model = fit(data, **BARE)
    assert not model.sides["rna"].features.str.startswith("unknown").any()
    assert np.isfinite(model.latent).all()


def test_shared_batches_are_the_same_whatever_the_order_of_levels(data, fit, refused):
    settings = {"batch_key": "batch", "shared_batches": True, **BARE}
    z = fit(data, **settings).latent
    data["atac"].obs["batch"] = data["atac"].obs["batch"].cat.reorder_categories(["batch2", "batch1"])
    assert np.array_equal(fit(data, **settings).latent, z)
    data["atac"].obs["batch"] = data["atac"].obs["batch"].cat.rename_categories({"batch1": "x"})
    with refused("'batch2', 'x'", "the batches of 'rna' in 'atac'", "shared_batches=False"):
        fit(data, **settings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"likelihoods": {"rna": "poisson"}}, ("likelihood to be", "'poisson'")),
        ({"representations": {"atac": "umap"}}, ("representation to be 'pca' or 'lsi'", "'umap'")),
        ({"likelihoods": {"protein": "nb"}}, ("likelihoods by the names of the modalities", "'protein'")),
        ({"batch_key": {"ATAC": "batch"}}, ("batch_key by the names of the modalities", "'ATAC'")),
        ({"data_weights": {"protein": 1.0}}, ("data_weights of 'rna', 'atac'", "'protein'")),
        ({"data_weights": {"rna": -1.0}}, ("data_weights of 'rna' to be a number", "-1")),
        ({"data_weights": {"rna": float("nan")}}, ("data_weights of 'rna' to be a number", "nan")),
        ({"values": {"rna": "tpm"}}, ("values to be", "'tpm'")),
        ({"values": "values", "likelihoods": "nb"}, ("counts in 'rna', for the likelihood 'nb'", "values='values'")),
        ({"pretrain_share": 1.0}, ("pretrain_share to be a number from 0 to 0.95", "1.0")),
        ({"burn_in": -0.1}, ("burn_in", "-0.1")),
        ({"n_models": -1}, ("n_models to be a whole number from 0 to 100", "-1")),
        ({"link_steps": 0}, ("link_steps", "0")),
        ({"paired": "yes"}, ("paired", "'yes'")),
        ({"align_weight": -1}, ("align_weight", "-1")),
        ({"progress": "loud"}, ("progress", "'loud'")),
        ({"labels_key": "nope"}, ("a column of obs with the cell types", "no column 'nope'")),
        ({"labels_key": {"rna": "single"}}, ("two cell types in column 'single'", "1, and 0 cells without a label")),
        ({"labels_key": "none"}, ("two cell types in column 'none'", "0, and {} cells without a label")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_refused_before_anything_happens(data, fit, refused, given, words):
    for x in data.values():
        x.obs["single"], x.obs["none"] = "B", "NA"
    with refused(words[1].format(sum(x.n_obs for x in data.values())), words[0]):
        fit(data, **{**BARE, **given})
    assert not any(x.obsm or x.varm or "glue" in x.uns for x in data.values())


def test_a_wrong_graph_is_refused(data, graph, fit, refused):
    with refused("a DataFrame", "a guidance graph", "from_frame"):
        fit(data, pd.DataFrame())
    with refused("one that has reverse edges and loops", "a graph of forward edges"):
        fit(data, graph.with_reverse_and_loops())
    turned = {k: data[k] for k in ("atac", "rna")}
    with refused(
        "none",
        "edges from the chosen features of 'atac' to features of 'rna'",
        "the modality that the edges start from first",
    ):
        fit(turned, representations={"atac": "pca"})
    for k, other in (("rna", "ENSG"), ("atac", "peak")):
        renamed = {name: x.copy() for name, x in data.items()}
        renamed[k].var_names = [f"{other}{i}" for i in range(renamed[k].n_vars)]
        with refused(f"none of {renamed[k].n_vars}", f"features of '{k}' in the graph, such as '{other}0'"):
            fit(renamed, **BARE)


def test_a_graph_without_decoys_is_refused_before_the_work(data, fit, refused):
    """With all on one chromosome and near, nothing is far enough to be a decoy."""
    for x in data.values():
        x.var["chrom"] = "chr1"
        x.var["chromStart"] = np.arange(x.n_vars) * 2_000
        x.var["chromEnd"] = x.var["chromStart"] + 500
    guide = guidance_graph(data, extend=150_000, region="promoter")

    def never(line):
        raise AssertionError("the training began")

    with refused("no decoy", "features on several chromosomes"):
        fit(data, guide, link_models="graph", progress=never)
    model = fit(data, guide)  # models that see no edges need no decoys, and can tell what links mean only far away
    with refused("only pairs that are near or linked", "features on several chromosomes", "null='shuffled'"):
        model.links()
    assert model.links(null="shuffled")["pvalue"].between(0, 1).all()


def test_weights_of_edges_are_above_0_and_at_most_1(whole, refused):
    ends = {"source": whole["rna"].var_names[:2], "target": whole["atac"].var_names[:2]}
    for weight in (0.0, 1.5, np.nan):
        with refused(f"{weight:g}", "weight"):
            GuidanceGraph.from_frame(pd.DataFrame({**ends, "weight": [1.0, weight]}))


def test_positions_that_make_no_graph_are_refused(data, refused):
    data["rna"].var["strand"] = ["."] + ["+"] * 149
    with refused("", "strand"):
        guidance_graph(data)
    data["rna"].var["strand"] = "+"
    data["atac"].var["chrom"] = "scaffold7"
    with refused("scaffold7", "chromosome"):
        guidance_graph(data)


def test_one_modality_is_refused(data, fit, refused):
    with refused("only 'rna'", "at least two modalities", "im.tl.scalex()"):
        fit({"rna": data["rna"]})


def test_names_and_sizes_of_modalities_are_checked(data, fit, refused):
    for name in ("rna.1", "type"):
        with refused(f"'{name}'", "names of modalities without dots"):
            fit({name: data["rna"], "atac": data["atac"]})
    with refused("15 of 'atac'", "at least 16 cells of each modality"):
        fit({**data, "atac": data["atac"][:15].copy()})
    gene = data["rna"].var_names[3]
    data["atac"].var_names = [gene, *data["atac"].var_names[1:]]
    with refused(f"1 of the same name in 'rna' and 'atac', such as '{gene}'", "features of different names"):
        fit(data)


def test_values_that_cannot_be_are_refused_with_the_name_of_their_modality(data, fit, refused):
    cell = data["atac"].obs_names[7]
    x = data["atac"].X.toarray()
    x[7, 5] = np.nan
    with refused(f"modality 'atac': nan in cell '{cell}'", "finite numbers"):
        fit({**data, "atac": ad.AnnData(x, data["atac"].obs, data["atac"].var)})
    x[7, 5] = 0.5
    with refused("modality 'atac': 0.5 in X", "raw counts"):
        fit({**data, "atac": ad.AnnData(x, data["atac"].obs, data["atac"].var)})
    below = ad.AnnData(data["rna"].X.toarray() - 1.5, data["rna"].obs, data["rna"].var)
    for wrong in ({"likelihoods": {"rna": "ziln"}}, {"representations": {"rna": "lsi"}}):
        with refused("-1.5", "no value below 0 in 'rna'", "'normal'"):
            fit({**data, "rna": below}, values={"rna": "values"}, **wrong)
    model = fit({**data, "rna": below}, values={"rna": "values"}, **BARE)
    assert np.isfinite(model.latent).all()
    bins = ad.AnnData(data["atac"].X.toarray() - 0.1, data["atac"].obs, data["atac"].var)
    model = fit({**data, "atac": bins}, values={"atac": "values"}, **BARE)  # such as scaled methylation of bins
    assert np.isfinite(model.latent).all()


def test_cells_whose_names_half_match_are_refused(fit, refused):
    data = simulate(pairing="paired")
    data["atac"].obs_names = data["atac"].obs_names + "-1"
    with refused("differ in a prefix or suffix", "the same name in 'rna' and 'atac'", "without '-1'"):
        fit(data, paired=True)
    assert not data["rna"].obsm
    with refused("no name in common", "cells of the same name in two modalities"):
        fit(simulate(), paired=True)

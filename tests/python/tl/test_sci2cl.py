"""The verb for scI2CL: what it writes, what it does with one modality, with labels, with wrong arguments."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import isthmus as im
from isthmus.tl._groups import batch_directions

QUICK = {
    "max_steps": 12, "n_genes": 90, "n_peaks": 200, "n_hidden": 16, "n_latent": 8, "batch_size": 32, "n_anchors": 6,
    "n_views": 2, "progress": "silent", "accelerator": "cpu", "precision": "32-true",
}  # fmt: skip


def simulate(**settings):
    given = {"n_cells": 160, "n_genes": 150, "n_peaks": 400, "n_types": 3, "seed": 5}
    return im.data.simulate(**{**given, **settings})


def fit(data, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return im.tl.sci2cl(data, **{**QUICK, **settings})


@pytest.fixture(scope="module")
def whole():
    return simulate()


@pytest.fixture
def data(whole):
    return {k: x.copy() for k, x in whole.items()}


@pytest.fixture(scope="module")
def model(whole):
    return fit({k: x.copy() for k, x in whole.items()}, batch_key="batch")


def test_what_is_written_and_nothing_else(data, whole):
    model = fit(data, batch_key="batch", key_added="mine")
    for k, x in data.items():
        assert np.array_equal(x.obsm["X_mine"], model.latent)
        assert (x.obs["mine_measured"] == "both").all()
        assert set(x.obs) == {*whole[k].obs, "mine_measured"}
        assert set(x.uns) == {*whole[k].uns, "mine"}
        assert not x.uns["mine"]["labels_used"]
        assert (x.X != whole[k].X).nnz == 0
    assert "160 cells" in repr(model)


def test_what_is_written_can_go_into_a_file(data, tmp_path):
    fit(data, batch_key={"rna": "batch"})
    data["rna"].write_h5ad(tmp_path / "rna.h5ad")


def test_no_direction_of_the_embedding_has_more_than_unit_variance(data):
    variance = fit(data).latent.var(axis=0)
    assert variance.max() < 1.05
    assert variance.min() > 5e-7
    assert (np.diff(variance) < 0.02).all()  # the best reproduced first


def test_the_worse_reproduced_directions_count_less_but_no_less_than_told(data):
    spread = {least: fit(data, least_agreement=least).latent.std(axis=0) for least in (0.0, 0.4, 1.0)}
    np.testing.assert_allclose(spread[1.0], 1.0, atol=0.05)
    assert spread[0.0].min() < 0.3
    np.testing.assert_allclose(spread[0.4], np.maximum(spread[0.0], 0.4), rtol=0.05)


def test_batches_that_are_named_set_cells_apart_less():
    data = simulate(n_cells=600, batch_strength=4.0, type_strength=3.0)
    batch = data["rna"].obs["batch"].cat.codes.to_numpy()
    codes = data["rna"].obs["cell_type"].cat.codes.to_numpy()
    share = {
        key: batch_directions(fit(data, batch_key=key, max_steps=60).latent, codes, [batch])[1][0]
        for key in (None, "batch")
    }
    assert share["batch"] < 0.5 * share[None]


@pytest.mark.parametrize("key", ["rna", "atac"])
def test_one_modality_will_do_for_a_query(model, data, key):
    z = model.project({key: data[key]})
    assert (data[key].obs["sci2cl_measured"] == key).all()
    assert np.isfinite(z).all()
    assert not np.allclose(z, model.latent)
    table = model.transfer_labels({key: data[key]}, data["rna"].obs["cell_type"])
    assert list(table.index) == list(data[key].obs_names)
    assert {"sci2cl_label", "sci2cl_confidence"} <= set(data[key].obs)


def test_the_missing_modality_is_predicted_from_the_other():
    data = simulate(n_cells=500, type_strength=2.5, rna_only_pairs=0, atac_only_pairs=0)
    model = fit(data, max_steps=300, learning_rate=2e-3)
    for k, x in data.items():
        table = model.transfer_labels({k: x.copy()}, x.obs["cell_type"], unknown_below=0.0)
        assert (table["label"] == x.obs["cell_type"].astype(str)).mean() > 0.8


def test_cells_with_one_modality_take_part():
    data = simulate(pairing="partial", paired_fraction=0.7)
    model = fit(data)
    assert len(model.cells) == 160 + 48
    assert {name: int((model.measured == name).sum()) for name in ("both", "rna", "atac")} == {
        "both": 112, "rna": 48, "atac": 48,
    }  # fmt: skip
    assert (data["atac"].obs["sci2cl_measured"] == "atac").sum() == 48
    assert "96 of them with one modality" in repr(model)


def test_the_adversary_counts_distinct_cells_whatever_was_measured():
    """A batch with chromatin alone is one of cells too, not one of none."""
    data = simulate(pairing="partial", paired_fraction=0.7)
    only = data["atac"].obs_names.difference(data["rna"].obs_names)
    one = only.append(data["rna"].obs_names[:2])
    for x in data.values():
        x.obs["lab"] = np.where(x.obs_names.isin(one), "one", "two")
    model = fit(data, batch_key="lab", batch_weight=1.0)
    assert model.manifest.facts["batch_counts"] == [48 + 2, 160 - 2]


def test_few_pairs_and_cells_to_hold_out():
    """Where no paired cell is held out none is."""
    data = simulate(pairing="partial", paired_fraction=0.05)
    atac = data["atac"].obs_names.isin(data["rna"].obs_names)
    data["atac"] = data["atac"][atac].copy()
    assert np.isfinite(fit(data, early_stopping=True).latent).all()


def test_a_mudata_is_what_its_modalities_are(data):
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = mudata.MuData({k: x.copy() for k, x in data.items()})
    model = fit(held)
    assert np.array_equal(model.latent, fit(data).latent)
    assert np.array_equal(held.obsm["X_sci2cl"], model.latent)


def test_other_names_of_modalities(data):
    renamed = {"Gene Expression": data["rna"], "peaks": data["atac"]}
    model = fit(renamed, rna="Gene Expression", atac="peaks", batch_key={"peaks": "batch"})
    assert np.array_equal(model.embed(renamed), model.latent)
    assert model.settings["batch_key"] == {"atac": "batch"}
    assert len(model.batches["rna"]) == 1
    z = model.embed({"a": data["rna"], "b": data["atac"]}, rna="a", atac="b")
    assert np.array_equal(z, model.latent)


def test_layers_are_remembered(data):
    for x in data.values():
        x.layers["counts"] = x.X.copy()
    plain = fit(data).latent
    for x in data.values():
        x.X = sp.csr_matrix(x.shape, dtype=np.float32)
    model = fit(data, layer="counts")
    assert np.array_equal(model.latent, plain)
    assert np.array_equal(model.embed(data), plain)


def test_labels_are_used_only_where_asked_and_it_is_said(data):
    z = fit(data).latent
    data["rna"].obs["cell_type"] = "one"
    assert np.array_equal(fit(data).latent, z)
    data["atac"].obs["kind"] = np.array(["a", "b", "NA"])[np.arange(160) % 3]
    model = fit(data, labels_key="kind")
    assert model.manifest.facts["labels_used"]
    assert data["rna"].uns["sci2cl"]["labels_used"]
    assert not np.array_equal(model.latent, z)


@pytest.mark.parametrize("key", ["rna", "atac"])
def test_imputed_values_are_those_of_the_decoder(model, data, key, tmp_path):
    full = model.impute(data, key)
    names = model.pipelines[key].features
    assert full.shape == (160, len(names))
    depth = model.pipelines[key].depth
    share = depth.share[model.pipelines[key].universe.get_indexer(names)].sum()
    one = model.impute(data, key, batch="batch1")
    np.testing.assert_allclose(np.expm1(one.X).sum(axis=1), depth.target * share, rtol=1e-3)
    some = model.impute(data, key, features=list(names[[5, 2]]))
    np.testing.assert_allclose(some.X, full[:, names[[5, 2]]].X, rtol=1e-6)
    other = {"rna": "atac", "atac": "rna"}[key]
    assert np.isfinite(model.impute({other: data[other]}, key).X).all()
    stored = model.impute(data, key, file=tmp_path / "x.h5ad")
    np.testing.assert_allclose(stored.X[:], full.X, rtol=1e-5)
    assert sp.issparse(model.impute(data, key, least=0.5).X)
    assert not data[key].layers


@pytest.mark.parametrize("changes", [
    {"likelihood": "nb"}, {"start": "random"}, {"whiten": False}, {"pretrain_share": 0.0}, {"pretrain_share": 1.0},
    {"early_stopping": True}, {"batch_weight": 1.0}, {"n_negatives": 5}, {"n_latent": 48}, {"learn_temperature": False},
    {"reconstruction_weight": 0.0}, {"n_views": 1},
])  # fmt: skip
def test_every_setting_can_be_fitted_and_saved(data, changes, tmp_path):
    model = fit(data, batch_key="batch", **changes)
    assert np.isfinite(model.latent).all()
    model.save(tmp_path / "model")
    assert np.array_equal(im.load(tmp_path / "model").embed(data), model.latent)


def test_the_preset_has_the_authors_settings(data):
    from isthmus.tl.sci2cl import PRESETS, Sci2clSettings

    assert set(PRESETS["reference"]) <= set(Sci2clSettings.__dataclass_fields__)
    assert PRESETS["reference"]["temperature"] == 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_latent": 12}, ("n_latent to be a multiple of twice n_heads", "n_latent=12")),
        ({"temperature": 2.0}, ("temperature to be a number from 0.01 to 1", "2.0")),
        ({"mask": 1.0}, ("mask", "1.0")),
        ({"likelihood": "poisson"}, ("likelihood to be 'zinb' or 'nb'", "'poisson'")),
        ({"start": "umap"}, ("start to be 'linear' or 'random'", "'umap'")),
        ({"preset": "mine"}, ("preset", "'mine'")),
        ({"moc_weight": -1.0}, ("moc_weight", "-1.0")),
        ({"whiten": "yes"}, ("whiten", "'yes'")),
        ({"labels_key": "nope"}, ("a column of obs with the cell types", "no column 'nope'")),
        ({"labels_key": "single"}, ("two cell types in column 'single'", "1, and 0 cells without a label")),
        ({"batch_key": "nope"}, ("a column of obs that names the batch", "no column 'nope'")),
        ({"batch_weight": 1.0}, ("two batches or more", "1 of RNA and 1 of ATAC")),
        ({"rna": "genes"}, ("a modality 'genes'", "'rna', 'atac'")),
        ({"progress": "loud"}, ("progress", "'loud'")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_refused_before_anything_happens(data, refused, given, words):
    for x in data.values():
        x.obs["single"] = "B"
    with refused(words[1], words[0]):
        fit(data, **given)
    assert not any(x.obsm or "sci2cl" in x.uns for x in data.values())


def test_wrong_data_are_refused(data, model, refused):
    with refused("an object of class AnnData", "or a MuData"):
        fit(data["rna"])
    with refused("'other'", "a modality 'rna', 'atac'"):
        model.project({"other": data["rna"]})
    with refused("modality 'atac': 0", "at least 20%"):
        renamed = data["atac"].copy()
        renamed.var_names = [f"p{i}" for i in range(renamed.n_vars)]
        model.project({"rna": data["rna"], "atac": renamed})
    assert "X_sci2cl" not in data["rna"].obsm
    data["atac"].obs_names = [f"other{i}" for i in range(160)]
    with refused("no name in common", "cells of the same name"):
        fit(data)


def test_imputing_what_is_not_there_is_refused(data, model, refused):
    with refused("'protein'", "modality"):
        model.impute(data, "protein")
    with refused("'nope'", "features among"):
        model.impute(data, "rna", features=["nope"])
    with refused("'batch9'", "a batch that the model was trained with"):
        model.impute(data, "rna", batch="batch9")
    names = model.pipelines["rna"].features
    usual = np.argsort(-data["rna"][:, names].X.getnnz(axis=0))[: len(names) // 6]
    few = {"rna": data["rna"][:, names[usual]].copy()}
    with refused(f"modality 'rna': {len(usual)}", "at least 20%"):
        model.impute(few, "rna")
    assert np.isfinite(model.impute(few, "rna", min_coverage=0.0).X).all()

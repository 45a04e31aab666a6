"""Wrong labels are found by the neighbourhood, in any embedding."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import isthmus as im
from isthmus.metrics import nearest


@pytest.fixture
def truth():
    return np.repeat(["a", "b", "c"], [100, 60, 40])


@pytest.fixture
def adata(rng, truth):
    """Three types that touch, with 10 % of type a called otherwise."""
    centres = {"a": (0, 0, 0), "b": (2.5, 0, 0), "c": (0, 2.5, 0)}
    z = np.array([centres[t] for t in truth]) + rng.normal(size=(200, 3))
    label = truth.astype(object)
    label[:10] = rng.choice(["b", "c"], 10)
    names = [f"cell{i}" for i in range(200)]
    return ad.AnnData(np.ones((200, 2)), obs=pd.DataFrame({"label": label}, index=names), obsm={"X_z": z})


def test_flipped_labels_are_found(adata, truth):
    table = im.tl.check_labels(adata, "label", "X_z", k=15)
    wrong = np.arange(200) < 10
    assert roc_auc_score(wrong, table["wrong"]) > 0.9
    assert (table["suggestion"][:10] == "a").mean() > 0.7
    kept = table["wrong"] <= 0.5
    assert (table["suggestion"] == table["label"])[kept].all()
    assert list(adata.obs["check_suggestion"].astype(str)) == list(table["suggestion"])
    assert np.array_equal(adata.obs["check_wrong"], table["wrong"])


def test_the_vote_is_the_loop(adata):
    table = im.tl.check_labels(adata, "label", "X_z", k=7)
    z, label, k = adata.obsm["X_z"], adata.obs["label"].to_numpy(), 7
    near, trust = nearest(z, k), np.ones(200)
    for _ in range(3):
        wrong = np.empty(200)
        for i in range(200):
            weight = [
                np.exp(-0.5 * (d / near.distances[i, -1]) ** 2) * trust[j]
                for d, j in zip(near.distances[i], near.indices[i], strict=True)
            ]
            own = sum(w for w, j in zip(weight, near.indices[i], strict=True) if label[j] == label[i])
            wrong[i] = 1 - own / max(sum(weight), 1e-12)
        trust = 1 - wrong
    np.testing.assert_allclose(table["wrong"], wrong, atol=1e-10)


def test_order_and_the_key_of_the_embedding_are_of_no_matter(adata, rng):
    order = rng.permutation(200)
    table = im.tl.check_labels(adata, "label", adata.obsm["X_z"])
    again = im.tl.check_labels(adata[order].copy(), "label", "X_z", key_added="mine")
    pd.testing.assert_frame_equal(again, table.iloc[order])


def test_missing_labels_do_not_vote_and_get_a_suggestion(adata, truth):
    adata.obs.loc[adata.obs_names[50:60], "label"] = None
    table = im.tl.check_labels(adata, "label", "X_z")
    assert table["wrong"][50:60].isna().all()
    assert (table["suggestion"][50:60] == "a").mean() > 0.7
    assert table["wrong"].notna().sum() == 190


def test_a_model_of_any_system_names_its_embedding(fitted_adata, model):
    table = im.tl.check_labels(fitted_adata, "cell_type", model)
    again = im.tl.check_labels(fitted_adata, "cell_type", "X_scalex")
    pd.testing.assert_frame_equal(table, again)


def test_flips_are_found_in_the_embedding_of_sci2cl(rng):
    data = im.data.simulate(n_cells=500, n_genes=200, n_peaks=500, n_types=4, type_strength=2.0, seed=3,
                            rna_only_pairs=0, atac_only_pairs=0)  # fmt: skip
    model = im.tl.sci2cl(data, max_steps=200, n_latent=16, n_hidden=32, progress="silent")
    label = data["rna"].obs["cell_type"].astype(str).to_numpy()
    own = np.flatnonzero(label == "type1")
    changed = rng.permutation(own)[: len(own) // 10]
    label[changed] = "type2"
    data["rna"].obs["flipped"] = label
    table = im.tl.check_labels(data["rna"], "flipped", model)
    assert roc_auc_score(np.isin(np.arange(500), changed), table["wrong"]) >= 0.9


def test_bad_input_is_refused(adata, refused):
    with refused("no column 'nope'", "a column of obs"):
        im.tl.check_labels(adata, "nope", "X_z")
    with refused("no 'X_pca'; there are 'X_z'", "an embedding in obsm"):
        im.tl.check_labels(adata, "label", "X_pca")
    with refused("(3, 2)", "an embedding of 200 cells"):
        im.tl.check_labels(adata, "label", np.zeros((3, 2)))
    with refused("missing numbers", "finite"):
        im.tl.check_labels(adata, "label", np.full((200, 2), np.nan))
    with refused("1, and 0 cells without a label", "at least two cell types in column 'single'"):
        adata.obs["single"] = "one"
        im.tl.check_labels(adata, "single", "X_z")
    with refused("0", "k to be a whole number"):
        im.tl.check_labels(adata, "label", "X_z", k=0)
    assert "check_wrong" not in adata.obs

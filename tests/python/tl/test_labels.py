from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.tl._labels import align_labels, nearest_labels


@pytest.fixture
def islands(rng):
    """Two groups of 60 cells, far apart, and their labels."""
    z = np.concatenate([rng.normal(0, 1, (60, 3)), rng.normal(20, 1, (60, 3))])
    return z, np.repeat(["left", "right"], 60)


def by_hand(reference, labels, query, k):
    """One cell after another."""
    labels = np.asarray(labels)
    names = np.unique(labels)
    reach = {}
    for name in names:
        own = [np.sort(np.linalg.norm(reference - z, axis=1))[k] for z in reference[labels == name]]
        reach[name] = np.quantile(own, 0.99)
    out = []
    for z in query:
        distance = np.linalg.norm(reference - z, axis=1)
        nearest = np.argsort(distance)[:k]
        farthest = distance[nearest[-1]]
        weight = np.exp(-0.5 * (distance[nearest] / farthest) ** 2)
        votes = {name: weight[labels[nearest] == name].sum() for name in names}
        winner = max(votes, key=votes.get)
        out.append((winner, votes[winner] / weight.sum() * min(1.0, reach[winner] / farthest)))
    return out


def test_votes_are_those_of_the_slow_version(rng):
    reference, query = rng.normal(0, 1, (80, 4)), rng.normal(0, 1.5, (30, 4))
    labels = np.array(["a", "b", "c"])[rng.integers(0, 3, 80)]
    label, confidence = nearest_labels(reference, labels, query, 7, 0.0)
    expected = by_hand(reference, labels, query, 7)
    assert list(label) == [name for name, _ in expected]
    np.testing.assert_allclose(confidence, [number for _, number in expected], rtol=1e-5)
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_cells_near_a_group_get_its_label(islands, rng):
    z, labels = islands
    label, confidence = nearest_labels(z, labels, rng.normal(20, 1, (20, 3)), 10, 0.5)
    assert (label == "right").mean() > 0.9
    assert np.median(confidence) > 0.9


def test_far_cells_are_unknown_however_their_neighbours_agree(islands):
    z, labels = islands
    label, confidence = nearest_labels(z, labels, np.full((3, 3), 200.0), 10, 0.5)
    assert (label == "unknown").all()
    assert confidence.max() < 0.1


def test_cells_between_groups_are_unsure(islands):
    z, labels = islands
    _, confidence = nearest_labels(z, labels, np.full((1, 3), 10.0), 120, 0.0)
    assert confidence[0] < 0.7


def test_copies_of_a_cell_are_sure():
    z = np.repeat([[0.0, 0.0], [9.0, 9.0]], 30, axis=0)
    label, confidence = nearest_labels(z, np.repeat(["a", "b"], 30), z[[0, 59]], 15, 0.5)
    assert list(label) == ["a", "b"]
    np.testing.assert_allclose(confidence, 1.0)


def test_more_neighbours_than_cells_ask_all(islands):
    z, labels = islands
    label, _ = nearest_labels(z[58:62], labels[58:62], z[:2], 50.0, 0.0)
    assert list(label) == ["left", "left"]


CELLS = pd.Index(["c1", "c2", "c3"])


@pytest.mark.parametrize(
    "labels",
    [
        ["a", None, "b"],
        np.array(["a", np.nan, "b"], dtype=object),
        ["a", "", "b"],
        ["a", "NA", "b"],
        pd.Series(["b", "a", "a"], index=["c3", "c1", "c1"]),
        pd.Series(["a", pd.NA, "b"], dtype="string"),
        pd.Categorical(["a", None, "b"]),
        pd.Series(["b", "a"], index=["c3", "c1"]),
        pd.Series(["b", "x", None, "a"], index=["c3", "other", "c2", "c1"], dtype="category"),
    ],
)
def test_labels_meet_their_cells_and_missing_ones_are_missing(labels):
    out = align_labels(labels, CELLS)
    assert list(out.index) == list(CELLS)
    assert out["c1"] == "a"
    assert pd.isna(out["c2"])
    assert out["c3"] == "b"


@pytest.mark.parametrize("labels", [[1.0, np.nan, 2.0], [1, None, 2], pd.Categorical([1.0, None, 2.0]), ["1", "", "2"]])
def test_labels_that_are_numbers_become_text(labels):
    out = align_labels(labels, CELLS)
    assert (out["c1"], out["c3"]) == ("1", "2")
    assert pd.isna(out["c2"])
    assert align_labels([0.5, None, 1e-7], CELLS).dropna().tolist() == ["0.5", "1e-07"]


def test_labels_that_do_not_fit_are_refused(refused):
    with refused("2 labels", "one label for each of the 3 cells", "a Series named by cell"):
        align_labels(["a", "b"], CELLS)
    with refused("none that is not missing", "labels of reference cells"):
        align_labels([None, "", np.nan], CELLS)
    with refused("4, of which 1 have the name of such a cell", "labels of the 3 cells", "named as its cells are"):
        align_labels(pd.Series(list("abab"), index=["c1", "d1", "d2", "d3"]), CELLS)
    with refused("different ones for 1 cells, such as 'c1'", "one label for each cell"):
        align_labels(pd.Series(list("abb"), index=["c1", "c1", "c2"]), CELLS)


def test_transfer_writes_labels_and_confidence(model, query, fitted_adata):
    table = model.transfer_labels(query, fitted_adata.obs["cell_type"], unknown_below=0.0)
    assert list(table.index) == list(query.obs_names)
    assert list(table.columns) == ["label", "confidence"]
    assert query.obs["scalex_label"].tolist() == table["label"].tolist()
    assert query.obs["scalex_label"].dtype == "category"
    assert query.obs["scalex_confidence"].tolist() == table["confidence"].tolist()
    assert (table["label"] == query.obs["cell_type"].astype(str)).mean() > 0.7


def test_numbers_of_clusters_are_transferred_without_a_point(model, query, fitted_adata):
    number = pd.Series(fitted_adata.obs["cell_type"].cat.codes.to_numpy(), index=fitted_adata.obs_names).astype(float)
    some = number.where(np.arange(len(number)) > 3)
    table = model.transfer_labels(query, some)
    assert set(table["label"]) <= {"0", "1", "2", "3", "unknown"}
    whole = query.obs["cell_type"].cat.codes.astype(float)
    assert im.metrics.label_transfer_scores(table["label"], whole).accuracy > 0.7


def test_missing_labels_do_not_vote(model, query, fitted_adata):
    labels = fitted_adata.obs["cell_type"].astype(object).copy()
    labels[labels == "type2"] = np.nan
    table = model.transfer_labels(query, labels)
    assert not {"nan", "type2"} & set(table["label"])


def test_an_embedding_of_this_model_is_used_and_others_are_not(model, query, fitted_adata, monkeypatch):
    labels = fitted_adata.obs["cell_type"]
    model.project(query, statistics="running")
    here = model.transfer_labels(query, labels)
    assert np.array_equal(query.obsm["X_scalex"], model.project(query.copy(), statistics="running"))
    query.uns["scalex"]["id"] = "of another model"
    again = model.transfer_labels(query, labels)
    assert query.uns["scalex"]["id"] == model.manifest.id
    assert not np.allclose(again["confidence"], here["confidence"])


def test_key_added_names_columns_and_the_projection_of_the_fits_key_is_used(model, query, fitted_adata):
    labels = fitted_adata.obs["cell_type"]
    query.obs["donor"] = np.where(np.arange(query.n_obs) % 2, "x", "y")
    z = model.project(query, "donor").copy()
    expected = model.transfer_labels(query.copy(), labels)
    pd.testing.assert_frame_equal(model.transfer_labels(query, labels, key_added="azimuth"), expected)
    assert query.obs["azimuth_label"].tolist() == expected["label"].tolist()
    assert set(query.obs) - set(fitted_adata.obs) == {"donor", "azimuth_label", "azimuth_confidence"}
    assert (set(query.obsm), "azimuth" in query.uns) == ({"X_scalex"}, False)
    np.testing.assert_array_equal(query.obsm["X_scalex"], z)


def test_with_key_added_a_new_projection_has_the_fits_key(model, query, fitted_adata):
    raw = query.copy()
    table = model.transfer_labels(query, fitted_adata.obs["cell_type"], key_added="azimuth")
    pd.testing.assert_frame_equal(model.transfer_labels(raw, fitted_adata.obs["cell_type"]), table)
    assert (set(query.obsm), "azimuth" in query.uns) == ({"X_scalex"}, False)
    np.testing.assert_array_equal(query.obsm["X_scalex"], raw.obsm["X_scalex"])


def test_a_projection_under_key_added_comes_first(model, query, fitted_adata):
    labels = fitted_adata.obs["cell_type"]
    model.project(query)
    usual = model.transfer_labels(query.copy(), labels)
    model.project(query, statistics="running", key_added="azimuth")
    other = query.copy()
    model.project(other, statistics="running")
    table = model.transfer_labels(query, labels, key_added="azimuth")
    pd.testing.assert_frame_equal(table, model.transfer_labels(other, labels))
    assert not np.allclose(table["confidence"], usual["confidence"])


def test_naming_what_the_fit_used_is_no_new_projection(model, query, fitted_adata):
    labels = fitted_adata.obs["cell_type"]
    z = model.project(query, "batch").copy()
    query.layers["other"] = query.X[::-1]
    model.transfer_labels(query, labels, values="counts", layer=None)
    np.testing.assert_array_equal(query.obsm["X_scalex"], z)
    model.transfer_labels(query, labels, layer="other")
    assert not np.array_equal(query.obsm["X_scalex"], z)


def test_cells_that_were_joined_later_are_projected(model, query, fitted_adata):
    z = model.project(query).copy()
    query.obsm["X_scalex"][3:] = np.nan  # as anndata.concat() leaves cells that had no embedding
    table = model.transfer_labels(query, fitted_adata.obs["cell_type"])
    np.testing.assert_array_equal(query.obsm["X_scalex"], z)
    assert table["confidence"].notna().all()


def test_settings_reach_the_projection(model, query, fitted_adata):
    query.obs["donor"] = np.where(np.arange(query.n_obs) % 2, "x", "y")
    model.transfer_labels(query, fitted_adata.obs["cell_type"], batch_key="donor")
    np.testing.assert_array_equal(query.obsm["X_scalex"], model.project(query.copy(), "donor"))


@pytest.mark.parametrize(
    ("settings", "words"), [({"k": 0}, ("k to be", "0")), ({"unknown_below": 1.5}, ("unknown_below", "1.5"))]
)
def test_wrong_numbers_are_refused(model, query, fitted_adata, refused, settings, words):
    with refused(words[1], words[0]):
        model.transfer_labels(query, fitted_adata.obs["cell_type"], **settings)
    assert not query.obsm

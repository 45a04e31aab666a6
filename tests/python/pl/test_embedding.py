from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from isthmus import InputError, pl


def names(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_every_cell_at_its_place_in_its_colour(cells, drawn):
    ax = pl.embedding(cells, "flat", "type", palette={"T": "#ff0000", "B": "#00ff00", "NK": "#0000ff"})
    xy, colors = drawn(ax)
    place = {tuple(p): c for p, c in zip(np.round(xy, 9), colors, strict=True)}
    wanted = {"T": (1, 0, 0, 1), "B": (0, 1, 0, 1), "NK": (0, 0, 1, 1)}
    assert len(place) == 59
    for p, label in zip(np.round(cells.obsm["X_flat"], 9)[1:], cells.obs["type"][1:], strict=True):
        assert tuple(place[tuple(p)]) == wanted[label]
    below, _ = drawn(ax, 0)  # the cell without a type, in grey below
    np.testing.assert_allclose(below, cells.obsm["X_flat"][:1])
    assert names(ax) == ["T", "B", "NK", "no value"]  # the order of the categories, without those not seen
    assert ax.get_title() == "type"
    assert ax.collections[-1].get_rasterized()
    assert ax.get_box_aspect() == 1


def test_the_order_is_shuffled_by_the_seed(cells, drawn):
    first, again, other = (drawn(pl.embedding(cells, "flat", seed=s))[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, cells.obsm["X_flat"])
    np.testing.assert_allclose(np.sort(first, axis=0), np.sort(cells.obsm["X_flat"], axis=0))


def test_recorded_colours_are_kept_and_a_subset_keeps_its_own(cells, drawn):
    cells.uns["type_colors"] = ["#111111", "#222222", "#333333", "#444444"]
    ax = pl.embedding(cells[cells.obs["type"] == "NK"], "flat", "type")
    assert {tuple(c) for c in drawn(ax)[1]} == {to_rgba("#333333")}
    del cells.uns["type_colors"]
    whole = pl.embedding(cells, "flat", "type")
    part = pl.embedding(cells[cells.obs["type"] == "NK"], "flat", "type")
    assert {tuple(c) for c in drawn(part)[1]} < {tuple(c) for c in drawn(whole)[1]}


def test_colours_may_be_numbers(cells, drawn):
    cells.uns["type_colors"] = np.array([[0, 0, 0], [0.2, 0.2, 0.2], [0.4, 0.4, 0.4], [0.6, 0.6, 0.6]])
    ax = pl.embedding(cells, "flat", "type", palette={"T": (0.2, 0.4, 0.6)})
    assert {tuple(c) for c in drawn(ax)[1]} == {to_rgba("#336699"), to_rgba("#333333"), to_rgba("#666666")}
    names_only = pl.embedding(cells, "flat", "type", palette={"T": (0.2, 0.4, 0.6)}, names_on_data=True)
    assert len(names_only.texts) == 3


def test_numbers_features_and_flags(cells, drawn):
    ax = pl.embedding(cells, "flat", "depth")
    values = ax.collections[-1].get_array()
    assert sorted(values) == sorted(cells.obs["depth"])
    assert len(ax.figure.axes) == 2  # the scale
    assert ax.get_legend() is None
    cells.obs.loc["cell5", "depth"] = np.nan
    ax = pl.embedding(cells, "flat", "depth")
    assert (len(drawn(ax, 0)[0]), len(drawn(ax, 1)[0])) == (1, 59)
    ax = pl.embedding(cells, "flat", "CD3D")
    assert sorted(ax.collections[-1].get_array()) == sorted(cells[:, "CD3D"].X.ravel())
    assert names(pl.embedding(cells, "flat", "good")) == ["False", "True"]
    assert names(pl.embedding(cells, "flat", "plain")) == ["B", "NK", "T", "no value"]


def test_a_deep_space_is_laid_out_and_nothing_is_changed(cells, drawn):
    cells.obsm["X_umap"] = np.full((60, 2), 7.0)
    before = cells.copy()
    ax = pl.embedding(cells, color="type")
    assert ax.get_xlabel() == "UMAP 1"
    assert set(cells.obsm) == {"X_flat", "X_scalex", "X_umap"}
    assert cells.uns == before.uns
    assert not len(cells.obsp)
    np.testing.assert_array_equal(cells.obsm["X_umap"], before.obsm["X_umap"])
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    kept = pl.embedding(cells, "scalex", keep=True)
    np.testing.assert_allclose(np.sort(drawn(kept)[0], axis=0), np.sort(cells.obsm["X_scalex_umap"], axis=0))
    np.testing.assert_array_equal(cells.obsm["X_umap"], before.obsm["X_umap"])


def test_models_and_plain_coordinates(cells, drawn):
    latent = cells.obsm["X_flat"]
    model = SimpleNamespace(latent=latent)
    for source, basis in ((model, "X_scalex"), (latent, "X_scalex"), (cells, latent)):
        ax = pl.embedding(source, basis, cells.obs["type"])
        np.testing.assert_allclose(np.sort(drawn(ax)[0], axis=0), np.sort(latent[1:], axis=0))
    assert ax.get_title() == "type"


def test_given_axes_are_used(cells):
    _, axes = plt.subplots(1, 2)
    assert pl.embedding(cells, "flat", "type", ax=axes[1], title="mine", names_on_data=True) is axes[1]
    assert len(plt.get_fignums()) == 1
    assert axes[1].get_title() == "mine"
    assert axes[1].get_legend() is None
    assert {text.get_text() for text in axes[1].texts} == {"T", "B", "NK"}


def test_one_dimension(rng, drawn):
    line = rng.normal(size=(20, 1))
    assert not drawn(pl.embedding(line))[0][:, 1].any()


def test_query_over_reference(cells, drawn):
    reference, query = cells[:40].copy(), cells[40:].copy()
    ax = pl.projection(reference, query, "flat")
    np.testing.assert_allclose(drawn(ax, 0)[0], reference.obsm["X_flat"])
    np.testing.assert_allclose(np.sort(drawn(ax)[0], axis=0), np.sort(query.obsm["X_flat"], axis=0))
    assert names(ax) == ["reference", "query"]
    assert "scalex_umap" not in str(query.obsm)
    ax = pl.projection(reference, query, color="depth")
    assert len(ax.collections[-1].get_array()) == 20


def test_the_query_wears_the_colours_of_the_reference(cells, drawn):
    reference, query = cells[:40].copy(), cells[40:].copy()
    reference.uns["type_colors"] = ["#111111", "#222222", "#333333", "#444444"]
    query.obs["type"] = query.obs["type"].astype(object).where(query.obs["type"] == "NK").astype("category")
    ax = pl.projection(reference, query, "flat", "type")
    assert {tuple(c) for c in drawn(ax)[1]} == {to_rgba("#333333")}
    query.obs["type"] = "new here"
    assert names(pl.projection(reference, query, "flat", "type")) == ["new here", "reference"]
    query.uns["type_colors"] = ["#abcdef"]
    assert {tuple(c) for c in drawn(pl.projection(reference, query, "flat", "type"))[1]} == {to_rgba("#abcdef")}


@pytest.mark.parametrize(
    ("call", "expected", "found"),
    [
        (lambda a: pl.embedding(a, "X_none"), 'obsm["X_none"]', "['X_flat', 'X_scalex']"),
        (lambda a: pl.embedding(a, "flat", "typo"), "'typo'", "type, depth, plain"),
        (lambda a: pl.embedding(a, "flat", [1, 2]), "each of the 60 cells", "(2,)"),
        (lambda a: pl.embedding(a, a.obsm["X_flat"][:9]), "each of the 60 cells", "9 rows"),
        (lambda a: pl.embedding(a.obsm["X_flat"], color="type"), "an AnnData", "ndarray"),
        (lambda a: pl.embedding(a.obsm["X_scalex"], keep=True), "an AnnData", "ndarray"),
        (lambda a: pl.embedding(a, "flat", "type", palette={"T": "reddish"}), "colours", "'reddish' for 'T'"),
        (lambda a: pl.projection(a, a.obsm["X_flat"]), "one latent space", "5 and 2 dimensions"),
        (lambda a: pl.umap(a.obsm["X_scalex"][:4]), "five cells", "4"),
    ],
)
def test_bad_input(cells, call, expected, found):
    with pytest.raises(InputError) as caught:
        call(cells)
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert caught.value.remedy

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import isthmus as im


@pytest.fixture
def data():
    return im.data.simulate(n_cells=240, n_genes=120, n_peaks=300, n_types=4, n_batches=3, seed=4)


def test_counts_are_summed_within_groups_and_batches(data):
    rna = data["rna"]
    before = rna.X.copy()
    small = im.tl.metacells(rna, 24, batch_key="batch", labels_key="cell_type", seed=1)
    assert small.n_obs == 24
    assert abs(rna.X - before).sum() == 0
    for name in small.obs_names:
        rows = (rna.obs["metacell"] == name).to_numpy()
        np.testing.assert_allclose(small[name].X.toarray().ravel(), rna.X[rows].toarray().sum(axis=0))
        assert small.obs.loc[name, "n_cells"] == rows.sum()
        assert rna.obs["batch"][rows].unique().tolist() == [small.obs.loc[name, "batch"]]
        share = rna.obs["cell_type"][rows].value_counts(normalize=True)
        assert share[small.obs.loc[name, "cell_type"]] == share.max() == small.obs.loc[name, "cell_type_share"]


def test_groups_are_of_alike_cells():
    data = im.data.simulate(n_cells=600, n_genes=300, n_peaks=900, n_types=4, type_strength=2.0, seed=4)
    for adata in data.values():
        small = im.tl.metacells(adata, 60, labels_key="cell_type")
        adata.obs["mixed"] = np.random.default_rng(0).permutation(adata.obs["cell_type"])
        mixed = im.tl.metacells(adata, 60, labels_key="mixed")
        pure = [np.average(x.obs[f"{k}_share"], weights=x.obs["n_cells"]) for x, k in
                ((small, "cell_type"), (mixed, "mixed"))]  # fmt: skip
        assert pure[0] > pure[1] + 0.15


def test_the_representation_decides(data):
    rna = data["rna"]
    rna.obsm["X_own"] = np.repeat(np.arange(3.0), 80)[:, None]
    small = im.tl.metacells(rna, 3, use_rep="X_own")
    assert sorted(small.obs["n_cells"]) == [80, 80, 80]


def test_cells_without_a_representation_are_named(data):
    rna = data["rna"]
    rna.obsm["X_own"] = np.where(np.arange(240) == 7, np.nan, np.arange(240.0))[:, None]
    with pytest.raises(im.InputError, match=f"1 of 240 cells without finite numbers, such as '{rna.obs_names[7]}'"):
        im.tl.metacells(rna, 24, use_rep="X_own")
    assert "metacell" not in rna.obs


def test_the_column_gives_the_groups_their_names(data):
    rna = data["rna"]
    small = im.tl.metacells(rna, 24, batch_key="batch", key_added="rna_group")
    assert list(small.obs_names) == [f"rna_group_{i + 1}" for i in range(small.n_obs)]
    assert set(rna.obs["rna_group"]) == set(small.obs_names)


def test_batches_keep_their_kind(data):
    rna = data["rna"]
    rna.obs["number"] = rna.obs["batch"].cat.codes.astype("int16")
    for key in ("batch", "number"):
        small = im.tl.metacells(rna, 24, batch_key=key)
        assert small.obs[key].dtype == rna.obs[key].dtype


def test_missing_labels_do_not_vote(data):
    rna = data["rna"]
    rna.obs["known"] = rna.obs["cell_type"].astype(object).where(np.arange(240) < 5, None)
    small = im.tl.metacells(rna, 40, labels_key="known")
    assert small.obs["known"].notna().sum() <= 5
    assert small.obs.loc[small.obs["known"].isna(), "known_share"].isna().all()
    rna.obs["known"] = pd.Series(None, index=rna.obs_names, dtype=object)
    small = im.tl.metacells(rna, 40.0, labels_key="known")
    assert small.obs[["known", "known_share"]].isna().all(axis=None)


def test_floats_that_are_whole_numbers_are_labels_without_a_point(data):
    rna = data["rna"]
    rna.obs["kind"] = np.where(np.arange(240) % 4 == 0, np.nan, np.arange(240) % 3)
    small = im.tl.metacells(rna, 24, batch_key="batch", labels_key="kind")
    assert set(small.obs["kind"].dropna()) == {"0", "1", "2"}


@pytest.mark.parametrize(
    "known",
    [np.arange(240) % 3, np.arange(240) % 2 == 0, pd.Categorical(np.arange(240) % 3), np.full(240, "unknown")],
    ids=["integers", "truth values", "factor of integers", "none"],
)
def test_metacells_can_be_saved_whatever_the_labels(data, known, tmp_path):
    rna = data["rna"]
    rna.obs["kind"] = known
    small = im.tl.metacells(rna, 24, batch_key="batch", labels_key="kind")
    small.write_h5ad(tmp_path / "small.h5ad")
    found = ad.read_h5ad(tmp_path / "small.h5ad").obs["kind"]
    assert set(found.dropna()) <= set(rna.obs["kind"].astype(str)) - {"unknown"}
    for name in small.obs_names:
        shares = rna.obs["kind"][(rna.obs["metacell"] == name).to_numpy()].astype(str).value_counts(normalize=True)
        if "unknown" not in shares:
            assert shares[found[name]] == small.obs.loc[name, "kind_share"] == shares.max()
        else:
            assert pd.isna(found[name])


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_key": "n_cells"}, {"labels_key": "n_cells"}, {"batch_key": "batch", "labels_key": "batch"},
        {"batch_key": "cell_type_share", "labels_key": "cell_type"}, {"labels_key": "metacell"},
        {"labels_key": "cell_type", "key_added": "cell_type"}, {"batch_key": "batch", "key_added": "batch"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)  # fmt: skip
def test_a_column_does_not_replace_another(data, settings):
    rna = data["rna"]
    for name in ("n_cells", "cell_type_share", "metacell"):
        rna.obs[name] = rna.obs["batch"]
    before = rna.obs.copy()
    with pytest.raises(im.InputError, match=r"replace|for each column"):
        im.tl.metacells(rna, 24, **settings)
    pd.testing.assert_frame_equal(rna.obs, before)


def test_all_cells_are_projected_into_a_model_of_metacells(data):
    graph = im.genomics.guidance_graph(data, extend=50_000)
    small = {name: im.tl.metacells(adata, 60, batch_key="batch") for name, adata in data.items()}
    settings = {"n_latent": 4, "n_hidden": 8, "n_components": 8, "max_steps": 20, "n_models": 0}
    model = im.tl.glue(small, graph, progress="silent", **settings)
    z = model.project(data["atac"], "atac")
    assert z.shape == (240, 4)
    assert np.isfinite(z).all()


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"n_metacells": 240}, "240"), ({"n_metacells": 2, "batch_key": "batch"}, "2"),
        ({"n_metacells": 10, "use_rep": "X_none"}, "nothing"), ({"n_metacells": 10, "batch_key": "donor"}, "donor"),
    ],
    ids=["as many as cells", "fewer than batches", "representation", "batch"],
)  # fmt: skip
def test_mistakes_are_named(data, settings, found):
    with pytest.raises(im.InputError, match=found):
        im.tl.metacells(data["rna"], **settings)
    assert "metacell" not in data["rna"].obs

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import isthmus as im
from isthmus.tl import _impute


def decoded(model, z, code):
    """The decoder in plain words: log-normalised expression as one batch shows it."""
    network, norm = model.network, model.network.norm
    h = torch.from_numpy(z).double() @ network.decoder.weight.double().T
    h = (h - norm.running_mean[code]) / (norm.running_var[code] + norm.eps).sqrt() * norm.weight[code] + norm.bias[code]
    scale = model.pipeline.scale.largest
    return torch.sigmoid(h).detach().numpy() * scale[code if len(scale) > 1 else 0]


def test_values_are_the_decoders_averaged_over_batches(model, fitted_adata):
    out = model.impute(fitted_adata)
    expected = (decoded(model, model.latent, 0) + decoded(model, model.latent, 1)) / 2
    np.testing.assert_allclose(out.X, expected, rtol=1e-3, atol=1e-5)
    assert out.X.dtype == np.float32
    assert list(out.var_names) == list(model.pipeline.features)
    assert list(out.obs_names) == list(fitted_adata.obs_names)
    np.testing.assert_array_equal(model.impute(fitted_adata, batch="average").X, out.X)


def test_values_are_on_the_scale_of_the_input(model, fitted_adata):
    import scanpy as sc

    logged = fitted_adata.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    observed = logged[:, model.pipeline.features].X.toarray().mean(axis=0)
    imputed = model.impute(fitted_adata).X.mean(axis=0)
    assert np.corrcoef(observed, imputed)[0, 1] > 0.9
    assert 0.5 < imputed.sum() / observed.sum() < 2.0


@pytest.mark.parametrize("batch", ["batch2", ["batch2"], ["batch1", "batch2"]])
def test_batches_can_be_imitated(model, fitted_adata, batch):
    codes = [model.batches.names.index(name) for name in ([batch] if isinstance(batch, str) else batch)]
    expected = np.mean([decoded(model, model.latent, code) for code in codes], axis=0)
    np.testing.assert_allclose(model.impute(fitted_adata, batch=batch).X, expected, rtol=1e-3, atol=1e-5)


def test_one_scale_for_all_batches_is_used_too(reference, quick):
    model = im.tl.scalex(reference, "batch", **{**quick, "scaling": "global", "max_steps": 20})
    expected = (decoded(model, model.latent, 0) + decoded(model, model.latent, 1)) / 2
    np.testing.assert_allclose(model.impute(reference).X, expected, rtol=1e-3, atol=1e-5)


def test_named_features_come_in_the_order_asked(model, fitted_adata):
    names = list(model.pipeline.features[[7, 2, 30]])
    out = model.impute(fitted_adata, features=names)
    assert list(out.var_names) == names
    np.testing.assert_array_equal(out.X, model.impute(fitted_adata)[:, names].X)
    assert model.impute(fitted_adata, features=names[0]).shape[1] == 1


def test_small_values_may_be_left_out(model, fitted_adata):
    dense, out = model.impute(fitted_adata).X, model.impute(fitted_adata, least=0.5)
    assert sp.issparse(out.X)
    np.testing.assert_array_equal(out.X.toarray(), np.where(dense >= 0.5, dense, 0))
    assert 0 < out.X.nnz < dense.size


def test_a_file_holds_the_same_values(model, fitted_adata, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.tl._inference.CELLS_AT_ONCE", 70)
    dense = model.impute(fitted_adata).X
    out = model.impute(fitted_adata, file=tmp_path / "imputed.h5ad")
    assert out.isbacked
    np.testing.assert_array_equal(out.X[:], dense)
    out.file.close()
    back = ad.read_h5ad(tmp_path / "imputed.h5ad")
    np.testing.assert_array_equal(back.X, dense)
    assert list(back.obs_names) == list(fitted_adata.obs_names)
    assert list(back.var_names) == list(model.pipeline.features)
    assert [path.name for path in tmp_path.iterdir()] == ["imputed.h5ad"]


def test_a_file_leaves_out_what_memory_leaves_out(model, fitted_adata, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.tl._inference.CELLS_AT_ONCE", 70)  # several blocks
    names = list(model.pipeline.features[[7, 2, 30]])
    for settings in ({}, {"features": names}):
        expected = model.impute(fitted_adata, least=0.5, **settings)
        out = model.impute(fitted_adata, least=0.5, file=tmp_path / "i.h5ad", **settings)
        assert out.isbacked
        out.file.close()
        back = ad.read_h5ad(tmp_path / "i.h5ad")
        assert sp.issparse(back.X)
        assert (back.X.dtype, back.X.nnz) == (np.float32, expected.X.nnz)
        np.testing.assert_array_equal(back.X.toarray(), expected.X.toarray())
        assert list(back.var_names) == list(expected.var_names)
    none = model.impute(fitted_adata, least=1e9, file=tmp_path / "none.h5ad")
    assert none.X[:].nnz == 0


@pytest.mark.parametrize("least", [0.0, 0.5])
def test_a_file_has_the_columns_of_obs(model, fitted_adata, tmp_path, least):
    fitted_adata.obs["note"] = ["a", None] * (fitted_adata.n_obs // 2) + ["a"] * (fitted_adata.n_obs % 2)
    before = fitted_adata.obs.copy()
    model.impute(fitted_adata, least=least, file=tmp_path / "i.h5ad").file.close()
    pd.testing.assert_frame_equal(fitted_adata.obs, before)
    back = ad.read_h5ad(tmp_path / "i.h5ad").obs
    assert list(back) == list(before)
    pd.testing.assert_frame_equal(back.drop(columns="note"), before.drop(columns="note"), check_names=False)
    assert back["note"].isna().equals(before["note"].isna())


@pytest.mark.parametrize("least", [0.0, 0.5])
def test_an_unfinished_file_does_not_appear(model, fitted_adata, tmp_path, monkeypatch, least):
    def broken(*args):
        yield np.zeros((10, 120), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr("isthmus.tl._scalex.decode", broken)
    with pytest.raises(KeyboardInterrupt):
        model.impute(fitted_adata, least=least, file=tmp_path / "imputed.h5ad")
    assert not list(tmp_path.iterdir())


def test_a_layer_is_set_where_every_feature_was_imputed(model, fitted_adata):
    model.impute(fitted_adata)
    assert "scalex" not in fitted_adata.layers
    part = fitted_adata[:, model.pipeline.features[::-1]].copy()
    out = model.impute(part)
    np.testing.assert_array_equal(part.layers["scalex"], out[:, part.var_names].X)


def test_a_query_is_projected_first(model, query):
    out = model.impute(query)
    np.testing.assert_array_equal(query.obsm["X_scalex"], model.project(query.copy()))
    assert out.shape == (query.n_obs, 120)


def test_key_added_names_the_layer_and_the_projection_of_the_fits_key_is_used(model, query):
    query.obs["donor"] = np.where(np.arange(query.n_obs) % 2, "x", "y")
    model.project(query, "donor")
    part = query[:, model.pipeline.features].copy()
    expected = model.impute(part.copy()).X
    out = model.impute(part, key_added="mine")
    np.testing.assert_array_equal(out.X, expected)
    np.testing.assert_array_equal(part.layers["mine"], expected)
    assert (set(part.obsm), "mine" in part.uns, "scalex" in part.layers) == ({"X_scalex"}, False, False)
    np.testing.assert_array_equal(part.obsm["X_scalex"], query.obsm["X_scalex"])


def test_a_projection_under_key_added_comes_first(model, query):
    usual = model.impute(query).X
    z = model.project(query, statistics="running", key_added="mine").copy()
    found = model.impute(query, key_added="mine").X
    np.testing.assert_array_equal(query.obsm["X_mine"], z)
    assert not np.allclose(found, usual)
    np.testing.assert_array_equal(model.impute(query).X, usual)


def test_embeddings_of_other_models_or_some_cells_are_not_used(model, query):
    expected = model.impute(query.copy()).X
    z = model.project(query, statistics="running").copy()
    some = query.copy()
    some.obsm["X_scalex"][3:] = np.nan
    np.testing.assert_array_equal(model.impute(some, key_added="mine").X, expected)
    assert set(some.obsm) == {"X_scalex"}
    query.uns["scalex"]["id"] = "of another model"
    np.testing.assert_array_equal(model.impute(query, key_added="mine").X, expected)
    np.testing.assert_array_equal(query.obsm["X_scalex"], z)  # a key of its own was given: the other's is kept
    assert query.uns["mine"]["id"] == model.manifest.id


def test_bad_requests_are_refused(model, fitted_adata, refused, monkeypatch):
    with refused("1 others: 'nope'", "features among the 120", "fit with features="):
        model.impute(fitted_adata, features=["nope", model.pipeline.features[0]])
    with refused("none", "names of features to impute"):
        model.impute(fitted_adata, features=[])
    with refused("stand more than once", "unique feature names"):
        model.impute(fitted_adata, features=[model.pipeline.features[0]] * 2)
    with refused("'batch9'", "a batch that the model was trained with: 'batch1', 'batch2'"):
        model.impute(fitted_adata, batch="batch9")
    with refused("none", "at least one batch"):
        model.impute(fitted_adata, batch=[])
    with refused("-1", "least to be a number of at least 0"):
        model.impute(fitted_adata, least=-1)
    monkeypatch.setattr(_impute, "LARGEST_DENSE", 1000)
    with refused(
        f"{fitted_adata.n_obs} cells x 120 features", "in memory", "name a file, or fewer features, or a least value"
    ):
        model.impute(fitted_adata)
    assert model.impute(fitted_adata, least=0.5).n_vars == 120

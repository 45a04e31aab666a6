from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import isthmus as im


def close(a, b, atol=2e-5):
    np.testing.assert_allclose(a, b, atol=atol)


def test_embedding_the_reference_gives_the_fit_again(model, reference):
    close(model.embed(reference), model.latent)
    assert "X_scalex" not in reference.obsm


def test_embedding_a_subset_is_the_subset_of_the_embedding(model, reference, rng):
    for rows in ([17], [250, 3], rng.permutation(reference.n_obs), rng.permutation(reference.n_obs)[:40]):
        close(model.embed(reference[rows]), model.latent[rows])


def test_embedding_needs_a_known_batch_and_all_features(model, reference, query, refused):
    words = ("'batch3'", "a batch that the model was trained with: 'batch1', 'batch2'", "project cells of a new batch")
    with refused(*words):
        model.embed(query)
    fewer = reference[:, ~reference.var_names.isin(model.pipeline.features[:3])]
    with refused(
        "117 (97.5%)", "at least 100% of the model's 120 features", "project() takes missing features as unknown"
    ):
        model.embed(fewer)
    del reference.obs["batch"]
    with refused("no column 'batch'", "a column of obs"):
        model.embed(reference)


@pytest.mark.parametrize("statistics", ["exact", "running", "shrunk"])
def test_projection_writes_the_embedding_and_nothing_else(model, query, statistics):
    raw = query.copy()
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    z = model.project(query, statistics=statistics)
    assert z.shape == (query.n_obs, 5)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert np.array_equal(query.obsm.pop("X_scalex"), z)
    record = query.uns.pop("scalex")
    assert record["id"] == model.manifest.id
    assert record["projection"] == {"n_reference": 120, "n_found": 120, "share": 1.0, "weighted": 1.0}
    assert query.obs.equals(raw.obs)
    assert (query.X != raw.X).nnz == 0
    assert not query.obsm
    assert sorted(query.uns) == sorted(raw.uns)
    after = model.network.state_dict()
    assert all((after[name] == tensor).all() for name, tensor in before.items())  # no training, no running statistics


def test_projection_is_deterministic_and_knows_no_order(model, query, rng):
    z = model.project(query.copy())
    assert np.array_equal(model.project(query.copy()), z)
    order = rng.permutation(query.n_obs)
    close(model.project(query[order].copy()), z[order])
    columns = rng.permutation(query.n_vars)
    close(model.project(query[:, columns].copy()), z)


def test_with_one_scale_and_running_statistics_no_cell_depends_on_others(unscaled, query, rng):
    rows = rng.permutation(query.n_obs)[:9]
    z = unscaled.project(query.copy())
    close(unscaled.project(query[rows].copy()), z[rows])
    close(unscaled.project(query[[4]].copy()), z[[4]])


def test_one_batch_of_the_query_does_not_move_another(model, query, reference):
    both = ad.concat([query, reference[reference.obs["batch"] == "batch1"][:50]])
    close(model.project(both, "batch")[: query.n_obs], model.project(query, "batch"))


def test_the_reference_projected_by_batch_is_where_it_was(model, reference):
    close(model.project(reference, "batch"), model.latent)


def test_batches_of_one_cell_are_projected(model, unscaled, query):
    query.obs["donor"] = ["lone"] + ["rest"] * (query.n_obs - 1)
    z = model.project(query, "donor")
    assert np.isfinite(z).all()
    close(z[[0]], model.project(query[[0]].copy(), statistics="running"))
    query.obs["each"] = query.obs_names
    close(unscaled.project(query, "each", statistics="exact"), unscaled.project(query))


def test_types_of_the_query_lie_with_those_of_the_reference(model, query, fitted_adata):
    from sklearn.neighbors import KNeighborsClassifier

    known = KNeighborsClassifier(10).fit(model.latent, fitted_adata.obs["cell_type"].astype(str))
    assert known.score(model.project(query), query.obs["cell_type"].astype(str)) > 0.7


def test_missing_features_are_reported(model, query):
    fewer = query[:, ~query.var_names.isin(model.pipeline.features[::10])].copy()
    z = model.project(fewer)
    assert z.shape[0] == query.n_obs
    assert model.coverage.n_found == 108
    assert model.coverage.missing == tuple(model.pipeline.features[::10])
    assert fewer.uns["scalex"]["projection"]["n_found"] == 108


def test_missing_features_are_unknown_not_zero(unscaled, query):
    """Cells lie nearer to where all features put them than cells whose features read as not expressed."""
    hidden = unscaled.pipeline.features[::5]
    fewer, zeroed = query[:, ~query.var_names.isin(hidden)].copy(), query.copy()
    zeroed.X = (zeroed.X @ sp.diags((~zeroed.var_names.isin(hidden)).astype(np.float32))).tocsr()
    whole, unknown, zero = (unscaled.project(adata) for adata in (query, fewer, zeroed))
    assert np.abs(unknown - whole).mean() < 0.9 * np.abs(zero - whole).mean()


def test_additional_features_change_nothing(model, query, rng):
    z = model.project(query.copy())
    more = ad.AnnData(sp.csr_matrix(rng.poisson(3.0, (query.n_obs, 30)).astype(np.float32)), obs=query.obs)
    more.var_names = [f"novel{i}" for i in range(30)]
    close(model.project(ad.concat([more, query], axis=1, merge="first")), z)


def test_low_coverage_is_refused_and_nothing_written(model, query, refused):
    few = query[:, ~query.var_names.isin(model.pipeline.features[10:])].copy()
    with refused("10 (8.3%)", "at least 20% of the model's 120 features in the query", "lower min_coverage"):
        model.project(few)
    assert not few.obsm
    assert np.isfinite(model.project(few, min_coverage=0.05)).all()


def test_no_shared_gene_is_refused(model, query, refused):
    query.var_names = [f"ENSG{i:08d}" for i in range(query.n_vars)]
    with refused("0 (0.0%)", "120 features", "of the same kind (symbols or Ensembl ids"):
        model.project(query, min_coverage=0)
    assert not query.obsm


def test_a_query_never_loses_cells(model, query):
    dense = query.X.toarray()
    dense[0] = 0
    dense[0, ~query.var_names.isin(model.pipeline.features)] = 1  # nothing in the model's features
    dense[1] *= 1000  # deep
    dense[2] = 0
    dense[2, query.var_names.get_loc(model.pipeline.features[0])] = 1  # one single count
    odd = ad.AnnData(sp.csr_matrix(dense), obs=query.obs, var=query.var)
    z = model.project(odd)
    assert z.shape[0] == query.n_obs
    assert np.isfinite(z).all()


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_read_only_queries_of_other_types(model, query, dtype):
    z = model.project(query.copy())
    x = query.X.astype(dtype)
    for array in (x.data, x.indices, x.indptr):
        array.flags.writeable = False
    close(model.project(ad.AnnData(x, obs=query.obs, var=query.var)), z)


def test_bad_queries_are_refused(model, query, refused):
    with refused("no column 'donor'", "a column of obs"):
        model.project(query, "donor")
    with refused("'best'", "statistics to be"):
        model.project(query, statistics="best")
    with refused("2", "min_coverage to be a number from 0 to 1"):
        model.project(query, min_coverage=2)
    logged = query.copy()
    logged.X = logged.X.log1p()
    with refused("which looks normalised", "raw counts"):
        model.project(logged)
    with refused("a DataFrame", "an AnnData"):
        model.project(query.obs)
    assert not query.obsm


def test_the_layer_of_the_fit_is_taken_where_the_query_has_it(reference, query, quick):
    reference.layers["counts"] = reference.X.copy()
    reference.X = reference.X.log1p()
    model = im.tl.scalex(reference, "batch", layer="counts", **{**quick, "max_steps": 5})
    z = model.project(query.copy())  # counts in X
    query.layers["counts"] = query.X.copy()
    query.X = query.X.log1p()
    close(model.project(query), z)
    close(model.embed(reference), model.latent)

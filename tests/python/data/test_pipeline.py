from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

from isthmus.data import Pipeline, from_anndata, simulate, transforms


@pytest.fixture(scope="module")
def rna():
    return simulate(n_cells=300, n_genes=250, n_types=3, n_batches=2, modalities="rna", seed=4)["rna"]


@pytest.fixture(scope="module")
def fitted(rna):
    return Pipeline.fit(from_anndata(rna, "batch"), n_features=80)


def applied(pipe, adata, **settings):
    return pipe.apply(from_anndata(adata, "batch"), **settings)


def by_scanpy(adata, features):
    reference = adata.copy()
    sc.pp.normalize_total(reference, target_sum=1e4)
    sc.pp.log1p(reference)
    return reference[:, features].X.toarray()


def test_values_are_scanpys_scaled_by_the_largest(rna, fitted):
    pipe, prepared = fitted
    logged = by_scanpy(rna, pipe.features)
    np.testing.assert_allclose(prepared.x.toarray(), logged / logged.max(axis=0), rtol=1e-4, atol=1e-6)
    assert prepared.x.dtype == np.float32
    assert prepared.x.min() >= 0
    assert (prepared.x.max(axis=0).toarray() == 1).all()
    np.testing.assert_allclose(pipe.mean, prepared.x.toarray().mean(axis=0), rtol=1e-4)
    assert prepared.found.all()
    assert not prepared.fill.any()


def test_features_are_as_many_as_asked(fitted):
    assert len(fitted[0].features) == 80


def test_the_fitted_pipeline_gives_the_reference_again(rna, fitted):
    pipe, prepared = fitted
    again = applied(pipe, rna, batch=from_anndata(rna, "batch").batch)
    np.testing.assert_allclose(again.x.toarray(), prepared.x.toarray(), rtol=1e-6)


def test_cells_do_not_depend_on_each_other(rna, fitted, rng, monkeypatch):
    pipe, prepared = fitted
    rows = rng.permutation(300)[:70]
    monkeypatch.setattr(transforms, "CELLS_PER_BLOCK", 32)  # the query spans several blocks, the last one short
    np.testing.assert_allclose(applied(pipe, rna[rows]).x.toarray(), prepared.x[rows].toarray(), rtol=1e-6)


def test_permuted_and_additional_features_change_nothing(rna, fitted, rng):
    pipe, prepared = fitted
    more = ad.AnnData(sp.csr_matrix(rng.poisson(2.0, (300, 40))), obs=rna.obs)
    more.var_names = [f"novel{i}" for i in range(40)]
    query = ad.concat([rna, more], axis=1, merge="first")[:, rng.permutation(290)].copy()
    query.obs["batch"] = rna.obs["batch"]
    again = applied(pipe, query)
    np.testing.assert_allclose(again.x.toarray(), prepared.x.toarray(), rtol=1e-6)
    assert again.coverage.share == 1.0


def test_missing_features_do_not_move_the_others_where_they_carry_their_share(rng):
    """Half of each cell's counts lie in features that the query lacks, as in the reference."""
    half = rng.poisson(3.0, (60, 20)).astype(float)
    half[:, 0] += 1
    x = np.hstack([half, half[:, rng.permutation(20)]])  # the second half of every cell is as deep as the first
    study = ad.AnnData(sp.csr_matrix(x), obs={"batch": ["a", "b"] * 30})
    study.var_names = [f"g{i}" for i in range(40)]
    pipe, prepared = Pipeline.fit(from_anndata(study, "batch"), n_features=40)
    query = applied(pipe, study[:, :20])
    assert query.found.sum() == 20
    np.testing.assert_allclose(query.x.toarray()[:, :20], prepared.x.toarray()[:, :20], rtol=1e-5)


def test_missing_features_are_unknown_not_zero(rna, fitted):
    pipe, _ = fitted
    kept = pipe.features[::2]
    prepared = applied(pipe, rna[:, rna.var_names.isin(kept) | ~rna.var_names.isin(pipe.features)])
    found = pipe.features.isin(kept)
    assert np.array_equal(prepared.found, found)
    np.testing.assert_array_equal(prepared.fill, np.where(found, 0, pipe.mean))
    assert prepared.x[:, ~found].nnz == 0
    assert prepared.coverage.n_found == 40
    assert prepared.coverage.share == 0.5
    assert prepared.coverage.weighted == pytest.approx(pipe.mean[found].sum() / pipe.mean.sum(), rel=1e-5)
    assert set(prepared.coverage.missing) == set(pipe.features[~found])


def test_low_coverage_is_refused_with_the_numbers(rna, fitted, refused):
    pipe, _ = fitted
    kept = rna.var_names.isin(pipe.features[:8]) | ~rna.var_names.isin(pipe.features)
    with refused("8 (10.0%); missing are", "at least 20% of the model's 80 features", "min_coverage"):
        applied(pipe, rna[:, kept], min_coverage=0.2)
    assert applied(pipe, rna[:, kept], min_coverage=0.1).coverage.n_found == 8


def test_no_shared_gene_is_refused(rna, fitted, refused):
    stranger = rna.copy()
    stranger.var_names = [f"ENSG{i:011d}" for i in range(250)]
    with refused("0 (0.0%)", "80 features", "symbols or Ensembl ids"):
        applied(fitted[0], stranger)


def test_any_numbers_are_refused(rna, fitted, refused):
    with refused("'values'", "values to be 'counts' or 'lognorm'"):
        fitted[0].apply(from_anndata(rna, "batch", values="values"))


def test_a_cell_with_counts_in_unknown_features_only_is_kept(rna, fitted):
    pipe, _ = fitted
    dense = np.hstack([rna.X[:5].toarray(), np.ones((5, 1))])
    dense[0, :250] = 0
    query = ad.AnnData(sp.csr_matrix(dense), obs=rna.obs[:5])
    query.var_names = [*rna.var_names, "novel"]
    with pytest.warns(UserWarning, match="1 of 5 cells have no count in any of the model's features"):
        prepared = applied(pipe, query)
    assert prepared.x.shape[0] == 5
    assert prepared.x[0].nnz == 0


@pytest.mark.parametrize(
    "convert",
    [lambda x: x.astype(np.float64), lambda x: x.astype(np.int32), lambda x: x.tocsc(), lambda x: x.toarray()],
)
def test_any_kind_of_matrix_gives_the_same_input_and_stays_as_it_was(rna, fitted, convert):
    x = convert(rna.X.tocsr())
    before = x.copy()
    for array in [x] if isinstance(x, np.ndarray) else [x.data, x.indices, x.indptr]:
        array.flags.writeable = False
    adata = ad.AnnData(x, obs=rna.obs, var=rna.var)
    pipe, prepared = Pipeline.fit(from_anndata(adata, "batch"), n_features=80)
    assert list(pipe.features) == list(fitted[0].features)
    np.testing.assert_allclose(prepared.x.toarray(), fitted[1].x.toarray(), rtol=1e-6)
    np.testing.assert_allclose(applied(pipe, adata).x.toarray(), prepared.x.toarray(), rtol=1e-6)
    assert (x != before).sum() == 0


def test_stored_zeros_and_unsorted_entries_change_nothing(rna, fitted, rng):
    coo, extra = rna.X.tocoo(), (rng.integers(0, 300, 500), rng.integers(0, 250, 500))
    row, column = np.concatenate([coo.row, extra[0]]), np.concatenate([coo.col, extra[1]])
    value = np.concatenate([coo.data, np.zeros(500, np.float32)])
    order = np.lexsort((-column, row))  # columns of each row descending
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=300))])
    messy = sp.csr_matrix((value[order], column[order], indptr), shape=coo.shape)
    assert (messy.data == 0).any()
    assert not messy.has_sorted_indices
    adata = ad.AnnData(messy, obs=rna.obs, var=rna.var)
    pipe, prepared = Pipeline.fit(from_anndata(adata, "batch"), n_features=80)
    assert list(pipe.features) == list(fitted[0].features)
    np.testing.assert_allclose(prepared.x.toarray(), fitted[1].x.toarray(), rtol=1e-6)


def test_log_normalised_values_are_scaled_only(rna, fitted):
    logged = rna.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    pipe, prepared = Pipeline.fit(from_anndata(logged, "batch", values="lognorm"), n_features=80)
    assert list(pipe.features) == list(fitted[0].features)
    np.testing.assert_allclose(prepared.x.toarray(), fitted[1].x.toarray(), rtol=1e-4, atol=1e-6)
    counted = pipe.apply(from_anndata(rna, "batch"))  # a query may bring counts to such a model
    np.testing.assert_allclose(counted.x.toarray(), prepared.x.toarray(), rtol=1e-3, atol=1e-5)


def test_each_batch_may_have_its_own_scale(rna):
    study = from_anndata(rna, "batch")
    pipe, prepared = Pipeline.fit(study, n_features=80, scaling="batch")
    logged = by_scanpy(rna, pipe.features)
    for code in (0, 1):
        back = prepared.x[study.batch == code].toarray() * pipe.largest([code])
        np.testing.assert_allclose(back, logged[study.batch == code], rtol=1e-4, atol=1e-5)
    assert not np.allclose(*pipe.largest([0, 1]))
    np.testing.assert_allclose(pipe.apply(study, study.batch).x.toarray(), prepared.x.toarray(), rtol=1e-6)
    # as batches that are new, the same cells bring the same scale
    np.testing.assert_allclose(pipe.apply(study).x.toarray(), prepared.x.toarray(), rtol=1e-5)


def test_known_batches_keep_the_references_scale_beside_new_ones(rna):
    """A few cells of a batch say little of its largest values, and their code says all."""
    study = from_anndata(rna, "batch")
    pipe, prepared = Pipeline.fit(study, n_features=80, scaling="batch")
    few = np.flatnonzero(study.batch == 0)[:6]
    other = np.flatnonzero(study.batch == 1)[:20]
    both = from_anndata(rna[np.concatenate([few, other])], "batch")
    code = np.where(both.batch == 0, 0, -1)
    mixed = pipe.apply(both, code).x.toarray()
    np.testing.assert_allclose(mixed[:6], prepared.x[few].toarray(), rtol=1e-5)
    np.testing.assert_allclose(mixed[6:], pipe.apply(both).x[6:].toarray(), rtol=1e-5)
    assert not np.allclose(mixed[6:], prepared.x[other].toarray(), rtol=1e-3)


def test_a_new_batchs_scale_does_not_depend_on_the_other_new_ones(rna):
    pipe, _ = Pipeline.fit(from_anndata(rna, "batch"), n_features=80, scaling="batch")
    alone, first = rna[rna.obs["batch"] == "batch1"], (rna.obs["batch"] == "batch1").to_numpy()
    np.testing.assert_allclose(applied(pipe, alone).x.toarray(), applied(pipe, rna).x[first].toarray(), rtol=1e-5)


def test_scaled_values_go_back_to_the_logarithm(rna, fitted):
    pipe, prepared = fitted
    assert pipe.largest([0, 1]).shape == (2, 80)
    np.testing.assert_allclose(
        prepared.x.toarray() * pipe.largest([1]), by_scanpy(rna, pipe.features), rtol=1e-4, atol=1e-5
    )


def test_technical_and_rare_genes_are_not_chosen_unless_named(rna):
    renamed = rna.copy()
    names = list(rna.var_names)
    names[:3] = ["MT-CO1", "mt-Nd1", "ERCC-00002"]
    renamed.var_names = names
    x = renamed.X.tolil()
    x[:, 3] = 0
    x[:2, 3] = 5  # two cells only
    renamed.X = x.tocsr()
    pipe, _ = Pipeline.fit(from_anndata(renamed, "batch"), n_features=250)
    assert not {*names[:4]} & {*pipe.features}
    assert len(pipe.features) > 150
    named, _ = Pipeline.fit(from_anndata(renamed, "batch"), features=[names[0], names[3]])
    assert list(named.features) == [names[0], names[3]]


def test_nothing_to_choose_from_is_refused(refused):
    lonely = ad.AnnData(sp.csr_matrix(np.eye(6)), obs={"batch": ["a"] * 6})
    with refused("none", "features with counts in at least 3 cells", "name the features"):
        Pipeline.fit(from_anndata(lonely, "batch"))


def test_peaks_are_chosen_by_how_often_they_are_open():
    atac = simulate(n_cells=200, n_genes=100, n_peaks=500, modalities="atac", seed=1)["atac"]
    pipe, prepared = Pipeline.fit(from_anndata(atac, "batch"), profile="atac", n_features=100)
    open_in = np.asarray((atac.X > 0).sum(axis=0)).ravel()
    chosen = atac.var_names.isin(pipe.features)
    assert chosen.sum() == 100
    assert open_in[chosen].min() >= open_in[~chosen].max()
    logged = by_scanpy(atac, pipe.features)
    np.testing.assert_allclose(prepared.x.toarray(), logged / logged.max(axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_batches_of_one_cell_can_be_fitted(rna):
    obs = rna.obs.copy()
    obs["batch"] = ["a"] * 149 + ["lone"] + ["b"] * 150
    prepared = Pipeline.fit(from_anndata(ad.AnnData(rna.X, obs=obs, var=rna.var), "batch"), n_features=80)[1]
    assert prepared.x.shape == (300, 80)
    tiny = obs[:41].assign(batch=[f"b{i % 8}" for i in range(40)] + ["lone"])
    for column in (tiny["batch"], tiny.index):  # eight of five cells and a lone one; lone ones only
        few = ad.AnnData(rna.X[:41], obs=tiny.assign(batch=column), var=rna.var)
        assert Pipeline.fit(from_anndata(few, "batch"), n_features=80)[1].x.shape == (41, 80)


@pytest.mark.parametrize("scaling", ["global", "batch", "double-log"])
def test_state_is_the_whole_pipeline(rna, scaling):
    pipe, _ = Pipeline.fit(from_anndata(rna, "batch"), n_features=80, scaling=scaling)
    plain, arrays = pipe.state()
    again = applied(Pipeline.from_state(plain, arrays), rna)
    np.testing.assert_array_equal(again.x.toarray(), applied(pipe, rna).x.toarray())


@pytest.mark.parametrize("values", ["counts", "lognorm"])
@pytest.mark.parametrize("profile", ["rna", "atac"])
def test_blocks_of_few_cells_fit_the_same(rna, monkeypatch, values, profile):
    cells = rna.copy()
    if values == "lognorm":
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
    study = from_anndata(cells, "batch", values=values)
    one, prepared = Pipeline.fit(study, profile=profile, n_features=80)
    monkeypatch.setattr(transforms, "CELLS_PER_BLOCK", 7)  # the last block is short
    few, again = Pipeline.fit(study, profile=profile, n_features=80)
    assert one.features.equals(few.features)
    np.testing.assert_array_equal(one.depth.share, few.depth.share)
    np.testing.assert_array_equal(one.scale.largest, few.scale.largest)
    assert (prepared.x != again.x).nnz == 0

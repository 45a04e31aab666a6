from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

from isthmus.data import Lsi, Pca, reductions
from isthmus.data.reductions import reduction_from_state


def blocks_of_types(rng, n_cells, n_features, n_types=4, rate=0.4):
    """Counts of cells whose types differ in every feature, so that the leading components stand apart."""
    level = rng.gamma(1.0, rate, (n_types, n_features))
    depth = rng.gamma(4.0, 0.25, (n_cells, 1))
    return sp.csr_matrix(rng.poisson(depth * level[rng.integers(n_types, size=n_cells)]).astype(np.float32))


@pytest.fixture
def counts(rng):
    return blocks_of_types(rng, 250, 400)


@pytest.fixture
def logged(rng):
    x = blocks_of_types(rng, 300, 120, rate=2.0).log1p()
    keep = np.ones(120)
    keep[7] = 0  # a gene without counts
    return sp.csr_matrix(x @ sp.diags(keep.astype(np.float32)))


def lsi_by_hand(x, n_components):
    """GLUE's formula, dense and in its own order."""
    x = x.toarray().astype(float)
    tf = x / x.sum(axis=1, keepdims=True)
    y = tf * (len(x) / x.sum(axis=0))
    y = np.log1p(1e4 * y / y.sum(axis=1, keepdims=True))
    u = np.linalg.svd(y, full_matrices=False)[0]
    u *= np.sign(u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])])
    u = u[:, :n_components]
    return (u - u.mean(axis=1, keepdims=True)) / u.std(axis=1, ddof=1, keepdims=True)


@pytest.mark.parametrize("n_components", [5, 20, 90], ids=["few", "some", "most: computed whole"])
def test_lsi_is_the_formula(counts, n_components):
    lsi = Lsi.fit(counts, n_components)
    mine = lsi.apply(counts)
    assert mine.shape == (250, n_components)
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine, lsi_by_hand(counts, n_components), atol=1e-4)
    np.testing.assert_allclose(lsi.vectors.T @ lsi.vectors, np.eye(n_components), atol=1e-5)
    assert (np.diff(lsi.singular) <= 0).all()


def test_lsi_of_tall_and_of_wide_matrices(rng):
    for shape in ((400, 60), (60, 400)):
        x = blocks_of_types(rng, *shape)
        x = x[np.diff(x.indptr) > 0][:, x.getnnz(axis=0) > 0]
        for n_components in (8, 40):
            np.testing.assert_allclose(Lsi.fit(x, n_components).apply(x), lsi_by_hand(x, n_components), atol=1e-4)


def test_neither_the_order_of_the_cells_nor_the_seed_shows(counts, rng):
    order = rng.permutation(250)
    mine = Lsi.fit(counts, 20).apply(counts)
    np.testing.assert_allclose(Lsi.fit(counts[order], 20).apply(counts), mine, atol=1e-4)
    np.testing.assert_allclose(Lsi.fit(counts, 20, seed=9).apply(counts), mine, atol=1e-4)


def test_the_order_of_the_features_does_not_show(counts, logged, rng):
    order = rng.permutation(400)
    moved = counts[:, order]
    np.testing.assert_allclose(Lsi.fit(moved, 20).apply(moved), Lsi.fit(counts, 20).apply(counts), atol=1e-4)
    order = rng.permutation(120)
    moved = logged[:, order]
    np.testing.assert_allclose(Pca.fit(moved, 10).apply(moved), Pca.fit(logged, 10).apply(logged), atol=1e-4)


def test_cells_do_not_depend_on_each_other(counts, logged, rng, monkeypatch):
    rows = rng.permutation(250)[:70]
    for reduction, x in ((Lsi.fit(counts, 20), counts), (Pca.fit(logged, 20, clip=2), logged)):
        whole = reduction.apply(x)
        monkeypatch.setattr(reductions, "CELLS_PER_BLOCK", 32)  # several blocks, the last one short
        np.testing.assert_allclose(reduction.apply(x), whole, atol=1e-5)
        np.testing.assert_allclose(reduction.apply(x[rows]), whole[rows], atol=1e-5)


def test_a_peak_that_was_not_measured_is_absent_from_its_cells(counts):
    lsi = Lsi.fit(counts, 20)
    found = np.arange(400) % 3 != 0
    part = sp.csr_matrix(counts @ sp.diags(found.astype(np.float32)))
    y = part.toarray() * lsi.idf
    y = np.log1p(1e4 * y / y.sum(axis=1, keepdims=True))
    u = y @ lsi.vectors / lsi.singular
    expected = (u - u.mean(axis=1, keepdims=True)) / u.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_allclose(lsi.apply(part, found), expected, atol=1e-4)


def test_a_cell_without_known_peaks_is_zero_not_nan(counts):
    dense = counts.toarray()
    dense[:, 0] = 0  # a peak that the reference shows nowhere
    lsi = Lsi.fit(sp.csr_matrix(dense), 10)
    query = np.zeros((2, 400), np.float32)
    query[0, 0] = 5
    assert not lsi.apply(sp.csr_matrix(query)).any()
    dense[:, 0] = 3  # nor does it touch the cells that show it
    before = lsi.apply(counts)[:, 1:]
    np.testing.assert_allclose(lsi.apply(sp.csr_matrix(dense))[:, 1:], before, atol=1e-5)


def by_scanpy(x, n_components, clip):
    table = ad.AnnData(x.copy())
    sc.pp.scale(table, max_value=clip)
    sc.pp.pca(table, n_components, svd_solver="full")
    return table.obsm["X_pca"]


@pytest.mark.parametrize("clip", [None, 1.5])
@pytest.mark.parametrize("n_components", [10, 100])
def test_components_are_scanpys_up_to_sign(logged, clip, n_components):
    mine = Pca.fit(logged, n_components, clip=clip).apply(logged)
    theirs = by_scanpy(logged, n_components, clip)
    np.testing.assert_allclose(mine * np.sign((mine * theirs).sum(axis=0)), theirs, atol=2e-4)
    assert mine.dtype == np.float32
    assert (mine[np.abs(mine).argmax(axis=0), np.arange(n_components)] > 0).all()


def test_a_gene_that_does_not_vary_takes_no_part(logged):
    dense = logged.toarray()
    dense[:, 3] = 0.3  # not a sum of powers of two: its deviation is rounding, not zero
    pca = Pca.fit(sp.csr_matrix(dense), 10)
    assert not pca.scale[[3, 7]].any()
    assert np.abs(pca.loadings[[3, 7]]).max() < 1e-6
    dense[:, [3, 7]] += 9
    query = pca.apply(sp.csr_matrix(dense))
    dense[:, [3, 7]] -= 9
    np.testing.assert_allclose(query, pca.apply(sp.csr_matrix(dense)), atol=1e-4)


@pytest.mark.parametrize("clip", [None, 1.5])
def test_a_missing_gene_counts_as_its_mean(logged, clip):
    pca = Pca.fit(logged, 10, clip=clip)
    found = np.arange(120) % 4 != 0
    z = (logged.toarray() - pca.mean) * pca.scale
    z = np.clip(z, -pca.clip, pca.clip) - pca.center
    expected = np.where(found, z, 0) @ pca.loadings
    np.testing.assert_allclose(pca.apply(logged, found), expected, atol=1e-4)
    stranger = sp.csr_matrix(logged @ sp.diags(found.astype(np.float32)))
    np.testing.assert_allclose(pca.apply(stranger, found), expected, atol=1e-4)


def test_no_more_components_than_the_data_have(counts, logged):
    assert Pca.fit(logged[:6], 50).n_components == 5  # centring takes one
    assert Lsi.fit(counts[:6], 50).n_components == 6
    twice = sp.vstack([logged[:4]] * 5).tocsr()
    pca = Pca.fit(twice, 50)
    assert pca.n_components == 3
    np.testing.assert_allclose(pca.apply(twice)[:4], pca.apply(twice)[16:], atol=1e-6)


def test_what_is_stored_gives_the_same_reduction(counts, logged):
    for reduction, x in ((Lsi.fit(counts, 9), counts), (Pca.fit(logged, 9), logged), (Pca.fit(logged, 9, 2), logged)):
        plain, arrays = reduction.state()
        again = reduction_from_state(json.loads(json.dumps(plain)), {name: a.copy() for name, a in arrays.items()})
        assert type(again) is type(reduction)
        assert np.array_equal(again.apply(x), reduction.apply(x))


def test_whole_numbers_of_any_type_and_read_only_ones_are_taken(counts):
    for array in (counts.data, counts.indices, counts.indptr):
        array.flags.writeable = False
    expected = Lsi.fit(counts, 9).apply(counts)
    for kind in (np.int32, np.uint8, np.float64):
        other = counts.astype(kind)
        np.testing.assert_allclose(Lsi.fit(other, 9).apply(other), expected, atol=1e-5)


@pytest.mark.slow
def test_real_peaks_as_the_formula_says(shared_data):
    x = sp.csr_matrix(ad.read_h5ad(shared_data("scicar_a549_atac.h5ad")).X)[:300]
    x = x[:, x.getnnz(axis=0) > 5]
    np.testing.assert_allclose(Lsi.fit(x, 50).apply(x), lsi_by_hand(x, 50), atol=1e-3)

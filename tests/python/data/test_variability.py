"""Variable features, against scanpy."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from isthmus.data import from_anndata, transforms
from isthmus.data.variability import CELLS_FOR_VARIABILITY, moments, variability, variable_features


@pytest.mark.parametrize("n_features", [50, 120])
def test_variable_features_are_scanpys(three_batches, logged, n_features):
    study = from_anndata(three_batches, "batch")
    mine = variable_features(logged.X.tocsr(), study, np.ones(300, bool), n_features)
    seen = logged[:, logged.X.getnnz(axis=0) > 0].copy()
    table = sc.pp.highly_variable_genes(seen, n_top_genes=n_features, flavor="seurat", batch_key="batch", inplace=False)
    assert set(three_batches.var_names[mine]) == set(table.index[table["highly_variable"]])
    assert (np.diff(mine) > 0).all()


def test_variable_features_of_one_batch_are_scanpys(three_batches, logged):
    study = from_anndata(three_batches)
    mine = variable_features(logged.X.tocsr(), study, np.ones(300, bool), 60)
    seen = logged[:, logged.X.getnnz(axis=0) > 0].copy()
    table = sc.pp.highly_variable_genes(seen, n_top_genes=60, flavor="seurat", inplace=False)
    assert set(three_batches.var_names[mine]) == set(table.index[table["highly_variable"]])


def test_small_batches_are_not_asked_unless_all_are_small(three_batches, logged):
    small = three_batches.obs["batch"].astype(str).to_numpy()
    large = np.flatnonzero(small != "batch3")
    few = np.flatnonzero(small == "batch3")[: CELLS_FOR_VARIABILITY - 1]
    rows = np.sort(np.concatenate([large, few]))
    everything = np.ones(300, bool)
    with_few = variable_features(logged.X[rows].tocsr(), from_anndata(three_batches[rows], "batch"), everything, 50)
    without = variable_features(logged.X[large].tocsr(), from_anndata(three_batches[large], "batch"), everything, 50)
    assert np.array_equal(with_few, without)
    handful = np.concatenate([np.flatnonzero(small == name)[:20] for name in np.unique(small)])
    chosen = variable_features(logged.X[handful].tocsr(), from_anndata(three_batches[handful], "batch"), everything, 50)
    assert len(chosen) == 50


def test_only_candidates_are_chosen_and_all_where_there_are_no_more(three_batches, logged):
    study, candidates = from_anndata(three_batches, "batch"), np.arange(300) % 3 == 0
    chosen = variable_features(logged.X.tocsr(), study, candidates, 40)
    assert candidates[chosen].all()
    assert len(chosen) == 40
    assert np.array_equal(variable_features(logged.X.tocsr(), study, candidates, 100), np.flatnonzero(candidates))


@pytest.mark.parametrize("whole", [True, False])
def test_variability_is_scanpys_where_values_are_odd(three_batches, logged, whole):
    x, batch = logged.X[:, :40].toarray(), three_batches.obs["batch"].astype(str)
    x[:, 0], x[:, 1], x[:, 2] = 0, 1, 9  # never there, constant, alone with its mean
    x[5, 2] = 8
    x[batch == "batch2", 3] = 0
    table = ad.AnnData(sp.csr_matrix(x), obs=pd.DataFrame(index=logged.obs_names))
    for part in [table] if whole else [table[batch == name] for name in batch.unique()]:
        occurs = np.asarray(part.X.sum(axis=0)).ravel() > 0
        theirs = sc.pp.highly_variable_genes(part[:, occurs].copy(), n_top_genes=9, flavor="seurat", inplace=False)
        sums, squares, _ = moments(part.X.tocsr(), np.zeros(part.n_obs, int), 1)
        mine = variability(sums[0], squares[0], part.n_obs)
        assert (mine[~occurs] == 0).all()
        assert mine[2] == 1 or not whole
        np.testing.assert_allclose(mine[occurs], theirs["dispersions_norm"], rtol=1e-4, atol=1e-6)


def test_blocks_of_few_cells_give_the_same(three_batches, logged, monkeypatch):
    x, study = logged.X.tocsr(), from_anndata(three_batches, "batch")
    group = np.where(np.arange(400) % 5 == 0, -1, study.batch)  # some cells are left out
    several = {key: from_anndata(three_batches, key) for key in ("batch", None)}
    whole = moments(x, group, 3)
    chosen = {key: variable_features(x, study, np.ones(300, bool), 50) for key, study in several.items()}
    monkeypatch.setattr(transforms, "CELLS_PER_BLOCK", 7)  # the last block is short
    for one, few in zip(whole, moments(x, group, 3), strict=True):
        np.testing.assert_array_equal(one, few)
    for key, study in several.items():
        assert np.array_equal(variable_features(x, study, np.ones(300, bool), 50), chosen[key])


def test_moments_are_of_each_groups_values_before_the_logarithm(logged):
    group = np.arange(400) % 4 - 1  # -1: left out
    sums, squares, seen = moments(logged.X.tocsr(), group, 3)
    linear = np.expm1(logged.X.toarray().astype(float))
    for code in range(3):
        mine = linear[group == code]
        np.testing.assert_allclose(sums[code], mine.sum(axis=0), rtol=1e-5)
        np.testing.assert_allclose(squares[code], (mine**2).sum(axis=0), rtol=1e-5)
        assert np.array_equal(seen[code], (mine > 0).any(axis=0))

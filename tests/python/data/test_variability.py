"""Variable features, against scanpy."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from isthmus.data import from_anndata
from isthmus.data.variability import CELLS_FOR_VARIABILITY, variability, variable_features


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
        mine = variability(part.X)
        assert (mine[~occurs] == 0).all()
        assert mine[2] == 1 or not whole
        np.testing.assert_allclose(mine[occurs], theirs["dispersions_norm"], rtol=1e-4, atol=1e-6)

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pytest
import scanpy as sc

import isthmus.metrics as metrics
from isthmus import InputError
from isthmus.metrics import _neighbors, _summary

LABEL = {"nmi", "ari", "resolution", "silhouette_label", "overcorrection", "graph_connectivity"}
BATCH = {"ilisi", "silhouette_batch", "batch_entropy_mixing"}


def one_by_one(z, label, batch):
    scores = metrics.leiden_sweep(z, label)._asdict()
    for score in (metrics.silhouette_label, metrics.overcorrection, metrics.graph_connectivity):
        scores[score.__name__] = score(z, label)
    for score in (metrics.ilisi, metrics.batch_entropy_mixing):
        scores[score.__name__] = score(z, batch)
    return scores | {"silhouette_batch": metrics.silhouette_batch(z, batch, label)}


def test_the_same_as_one_by_one_with_one_search(clumps, monkeypatch):
    z, label, batch = clumps(150, shift=1.0)
    expected = one_by_one(z, label, batch)
    searches = []

    def count(*args, **kwargs):
        searches.append(args)
        return metrics.nearest(*args, **kwargs)

    monkeypatch.setattr(_summary, "nearest", count)
    monkeypatch.setattr(_neighbors, "nearest", count)
    found = metrics.summary(z, label, batch)
    assert len(searches) == 1
    assert found == pytest.approx(expected | {"cells": 150, "unlabelled": 0})


def test_only_what_applies(clumps):
    z, label, batch = clumps(80)
    counts = {"cells", "unlabelled"}
    assert set(metrics.summary(z, label)) == counts | LABEL
    assert set(metrics.summary(z, batches=batch)) == counts | BATCH
    assert set(metrics.summary(z, label, np.zeros(80))) == counts | LABEL
    assert set(metrics.summary(z, np.zeros(80), batch)) == counts | BATCH
    assert set(metrics.summary(z, label, label)) == counts | LABEL | BATCH - {"silhouette_batch"}


def test_cells_without_label_are_counted_quietly(clumps):
    z, label, batch = clumps(150)
    some = [None if i % 5 == 0 else t for i, t in enumerate(label)]
    known = np.arange(150) % 5 > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scores = metrics.summary(z, some, batch)
    assert scores["unlabelled"] == 30
    alone = metrics.summary(z[known], label[known])
    assert {k: scores[k] for k in LABEL} == pytest.approx({k: alone[k] for k in LABEL})
    assert scores["ilisi"] == metrics.ilisi(z, batch)


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_hardly_any_cells(rng, n):
    scores = metrics.summary(rng.normal(size=(n, 2)), [i % 2 for i in range(n)], [i // 2 % 2 for i in range(n)])
    assert all(np.isfinite(value) for value in scores.values())


def test_bad_input(clumps):
    z, label, batch = clumps(30)
    with pytest.raises(InputError, match="labels, batches or both"):
        metrics.summary(z)
    with pytest.raises(InputError, match="as many values in labels"):
        metrics.summary(z, label[:-1], batch)
    with pytest.raises(InputError, match="a batch for every cell"):
        metrics.summary(z, label, [None, *batch[1:]])
    with pytest.raises(InputError, match="only finite values"):
        metrics.summary(np.where(z > 2, np.nan, z), label, batch)


def test_real_cells_before_any_integration(shared_data):
    adata = anndata.read_h5ad(shared_data("pbmc_3tech_rna.h5ad"))
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=20, random_state=0)
    found = metrics.summary(adata.obsm["X_pca"], adata.obs["cell_type"], adata.obs["batch"])
    # An independent program gave these on the same PCA (scikit-learn, scanpy, scib-metrics 0.5.10). Leiden
    # depends on ties and versions, hence the wider margins.
    assert found["nmi"] == pytest.approx(0.6551, abs=0.03)
    assert found["ari"] == pytest.approx(0.3778, abs=0.08)
    expected = {"silhouette_label": 0.5958, "silhouette_batch": 0.7412, "overcorrection": 0.2152}
    expected |= {"ilisi": 0.0342, "graph_connectivity": 0.8832}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.01), name

"""Simulated cells, and how well labels can be told from their counts."""

from __future__ import annotations

from collections.abc import Callable

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sklearn.metrics import balanced_accuracy_score
from sklearn.naive_bayes import MultinomialNB

from isthmus.data.simulate import simulate


@pytest.fixture(scope="session")
def multiome() -> dict[str, ad.AnnData]:
    """Enough cells to find again what was planted."""
    return simulate(n_cells=2000, n_genes=1000, n_peaks=5000, negative_links=0.3, seed=3)


@pytest.fixture(scope="session")
def separability() -> Callable[..., float]:
    """Balanced accuracy of multinomial naive Bayes, trained on the even and tested on the odd cells."""

    def measure(study: ad.AnnData, labels: pd.Series, keep: np.ndarray | None = None) -> float:
        keep = np.arange(study.n_obs) if keep is None else np.flatnonzero(keep)
        train, test = keep[::2], keep[1::2]
        model = MultinomialNB(fit_prior=False).fit(study.X[train], labels.iloc[train])
        return balanced_accuracy_score(labels.iloc[test], model.predict(study.X[test]))

    return measure


@pytest.fixture(scope="session")
def three_batches() -> ad.AnnData:
    """RNA of three types in three batches."""
    return simulate(n_cells=400, n_genes=300, n_types=3, n_batches=3, modalities="rna", seed=2)["rna"]


@pytest.fixture
def logged(three_batches: ad.AnnData) -> ad.AnnData:
    """The same cells by scanpy's own normalisation."""
    reference = three_batches.copy()
    sc.pp.normalize_total(reference, target_sum=1e4)
    sc.pp.log1p(reference)
    return reference

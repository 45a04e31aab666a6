"""A small study, a model fitted to it once, and what each test may change of them."""

from __future__ import annotations

import warnings

import pytest

import isthmus as im

# all that decides the numbers is named here: the defaults may change, the tests stay
QUICK = {
    "max_steps": 100, "n_features": 120, "n_hidden": 32, "n_latent": 5, "batch_size": 64, "learning_rate": 5e-3,
    "weight_decay": 0.0, "schedule": "constant", "feature_dropout": 0.0, "scaling": "batch", "statistics": "exact",
    "progress": "silent", "compile": False,
}  # fmt: skip


@pytest.fixture(scope="session")
def whole():
    """Cells of four types in three batches; the third is kept for queries."""
    return im.data.simulate(
        n_cells=450,
        n_genes=250,
        n_types=4,
        n_batches=3,
        modalities="rna",
        type_strength=2.5,
        rna_only_pairs=0,
        atac_only_pairs=0,
        seed=8,
    )["rna"]


@pytest.fixture
def reference(whole):
    """Cells of two batches, raw."""
    return whole[whole.obs["batch"] != "batch3"].copy()


@pytest.fixture
def query(whole):
    """Cells of the third batch."""
    return whole[whole.obs["batch"] == "batch3"].copy()


@pytest.fixture
def quick():
    """Arguments that make a fit take a moment."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def trained(whole):
    """A fitted model and the cells it was fitted to; shared, so not to be changed."""
    adata = whole[whole.obs["batch"] != "batch3"].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return im.tl.scalex(adata, "batch", **QUICK), adata


@pytest.fixture
def model(trained):
    """The fitted model."""
    return trained[0]


@pytest.fixture(scope="session")
def unscaled(whole):
    """A model with one scale for all batches and the running statistics: each cell is a matter of its own."""
    adata = whole[whole.obs["batch"] != "batch3"].copy()
    return im.tl.scalex(adata, "batch", **{**QUICK, "scaling": "global", "statistics": "running", "max_steps": 20})


@pytest.fixture
def fitted_adata(trained):
    """A copy of the cells with what the fit wrote."""
    return trained[1].copy()

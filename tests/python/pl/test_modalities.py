from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import numpy as np
import pytest

import isthmus as im

mpl.use("Agg")


@pytest.fixture
def data(rng):
    out = {}
    for name, n in (("rna", 40), ("atac", 30)):
        out[name] = ad.AnnData(rng.poisson(1.0, (n, 5)).astype(np.float32))
        out[name].obsm["X_glue"] = rng.normal(size=(n, 2)).astype(np.float32)
    out["rna"].obs["cell_type"] = ["B", "T"] * 20
    return out


def legend(ax):
    return {text.get_text().split(" (")[0] for text in ax.get_legend().get_texts()}


def test_all_cells_are_drawn_by_modality(data):
    ax = im.pl.modalities(data)
    assert {"rna", "atac"} <= legend(ax)
    assert sum(len(points.get_offsets()) for points in ax.collections) == 70


def test_cells_without_the_column_are_drawn_too(data):
    ax = im.pl.modalities(data, "cell_type")
    assert {"B", "T"} <= legend(ax)
    assert sum(len(points.get_offsets()) for points in ax.collections) == 70
    assert list(data["atac"].obs.columns) == []


def test_bad_input_is_refused(data, refused):
    with refused("class AnnData", "a mapping from the names of modalities"):
        im.pl.modalities(data["rna"])
    with refused("none in"):
        im.pl.modalities(data, "nothing")
    del data["atac"].obsm["X_glue"]
    with refused("none in 'atac'"):
        im.pl.modalities(data)

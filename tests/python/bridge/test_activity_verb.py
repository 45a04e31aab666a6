"""The verb for gene activity: what Python's method gives, from the tables that another language sends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.bridge import verbs

BED = ["chrom", "chromStart", "chromEnd", "strand"]
pytestmark = pytest.mark.filterwarnings("ignore:.*have no position:UserWarning")


@pytest.fixture(scope="module")
def data():
    return im.data.simulate(n_cells=60, n_genes=60, n_peaks=200, n_types=3, seed=1)


@pytest.fixture(scope="module")
def model(data):
    copies = {name: one.copy() for name, one in data.items()}
    return im.tl.sailerx(
        copies, n_latent=4, n_hidden=8, max_steps=10, batch_size=32, precision="32-true", batch_key="batch"
    )


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "sailerx"
    model.save(path)
    return str(path)


def activity(study, **settings):
    return verbs.VERBS["gene_activity"](study, **settings)


def assert_same(out, expected):
    """The verb's result is that of the method, whatever the order of the genes."""
    assert sorted(out["features"]) == sorted(expected.var_names)
    assert out["cells"] == list(expected.obs_names)
    np.testing.assert_allclose(out["values"], expected[:, out["features"]].X, rtol=1e-4, atol=1e-6)


def test_the_table_of_the_rna_gives_what_the_method_gives(data, model, folder):
    graph = im.genomics.guidance_graph(data["rna"], data["atac"], region="promoter", upstream=5000, extend=20_000)
    expected = model.gene_activity(data["atac"].copy(), graph, batch="batch1", depth=30.0)
    said = {"region": "promoter", "upstream": 5000, "extend": 20_000, "batch": "batch1", "depth": 30.0}
    # a study of the whole cells, or of the embedding alone; peaks placed by a table or by their names
    bare = data["atac"][:, :0].copy()
    bare.obsm["embedding"] = model.latent
    for study in (data["atac"].copy(), {"atac": bare}):
        for peaks in (None, data["atac"].var[BED[:3]]):
            out = activity(study, folder=folder, rna=data["rna"].var[BED], peaks=peaks, **said)
            assert_same(out, expected)


def test_genes_come_as_a_table_or_a_file_and_all_or_some_are_wanted(data, model, folder, tmp_path):
    genes = data["rna"].var[BED].assign(gene_name=data["rna"].var_names)
    genes.index = [str(i) for i in range(len(genes))]
    path = tmp_path / "genes.bed"
    genes.assign(score=0)[[*BED[:3], "gene_name", "score", "strand"]].to_csv(path, sep="\t", header=False, index=False)
    expected = model.gene_activity(data["atac"].copy(), im.genomics.guidance_graph(data["rna"], data["atac"]))
    for given in (genes, str(path)):
        assert_same(activity(data["atac"].copy(), folder=folder, genes=given), expected)
    some = list(expected.var_names[:5])
    out = activity(data["atac"].copy(), folder=folder, genes=genes, rna=pd.DataFrame(index=some))
    assert_same(out, expected[:, some])


def test_peaks_that_the_table_lacks_are_placed_by_their_names(data, model, folder):
    expected = model.gene_activity(data["atac"].copy(), im.genomics.guidance_graph(data["rna"], data["atac"]))
    half = data["atac"].var[BED[:3]].iloc[::2]
    assert_same(activity(data["atac"].copy(), folder=folder, rna=data["rna"].var[BED], peaks=half), expected)


@pytest.mark.filterwarnings("ignore:Peaks have no positions")
def test_peaks_without_any_position_are_left_out_with_a_warning(data, tmp_path):
    named = {name: one.copy() for name, one in data.items()}
    var = named["atac"].var
    named["atac"].var_names = [f"peak{i}" for i in range(len(var))]
    small = {"n_latent": 4, "n_hidden": 8, "max_steps": 2, "batch_size": 32, "precision": "32-true"}
    model = im.tl.sailerx(named, **small)
    model.save(tmp_path / "m")
    half = named["atac"].var[BED[:3]].iloc[::2]
    with pytest.warns(UserWarning, match="of the model's [0-9]+ peaks have no position and are left out"):
        out = activity(named["atac"].copy(), folder=str(tmp_path / "m"), rna=data["rna"].var[BED], peaks=half)
    graph = im.genomics.guidance_graph(data["rna"], named["atac"][:, ::2])
    assert_same(out, model.gene_activity(named["atac"].copy(), graph))


def test_what_cannot_be_summed_is_refused(data, folder, tmp_path, refused):
    with refused("NoneType", "genes as a path"):
        activity(data["atac"].copy(), folder=folder)
    with refused("'exon'", "region"):
        activity(data["atac"].copy(), folder=folder, rna=data["rna"].var[BED], region="exon")
    small = {"n_features": 40, "n_latent": 3, "n_hidden": 8, "max_steps": 5, "batch_size": 32, "compile": False}
    other = str(tmp_path / "scalex")
    verbs.fit(data["rna"].copy(), folder=other, batch_key="batch", **small)
    with refused("'scalex'", "'sailerx'"):
        activity(data["rna"].copy(), folder=other, rna=data["rna"].var[BED])

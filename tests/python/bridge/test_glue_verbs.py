"""The verbs of GLUE that other languages call: several studies and tables in, plain results out."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.bridge import verbs

BRIEF = {
    "extend": 20_000, "n_latent": 4, "n_hidden": 16, "n_components": 10, "max_steps": 20, "link_steps": 5,
    "batch_size": 32, "precision": "32-true",
}  # fmt: skip


@pytest.fixture(scope="module")
def studies():
    return im.data.simulate(n_cells=80, n_genes=80, n_peaks=200, n_types=3, seed=1, pairing="unpaired")


@pytest.fixture(scope="module")
def fitted(studies, tmp_path_factory):
    """Result of a fit, and the folder of its model."""
    folder = str(tmp_path_factory.mktemp("models") / "glue")
    copies = {name: one.copy() for name, one in studies.items()}
    return verbs.VERBS["fit_glue"](copies, folder=folder, batch_key={"rna": "batch"}, **BRIEF), folder


def test_a_fit_describes_every_modality(studies, fitted):
    result, folder = fitted
    assert result["modalities"] == ["rna", "atac"]
    for name, one in studies.items():
        assert result["embeddings"][name].shape == (one.n_obs, 4)
        assert result["cells"][name] == list(one.obs_names)
    assert result["feature_embedding"].shape == (len(result["features"]), 4)
    told = verbs.info(folder=folder)
    assert told["manifest"]["id"] == result["manifest"]["id"]
    for part in ("modalities", "cells", "features"):
        assert told[part] == result[part]


@pytest.mark.parametrize("named", [False, True], ids=["columns", "names"])
def test_the_graph_of_a_fit_is_a_table(studies, named):
    tables = {name: one.var.copy() for name, one in studies.items()}
    if named:  # peaks are placed by their names
        tables["atac"] = tables["atac"][[]]
    features = pd.concat(
        table.rename_axis("feature").reset_index().assign(modality=name) for name, table in reversed(tables.items())
    )
    made = verbs.VERBS["guidance"](features=features, modalities=["rna", "atac"], extend=20_000, signs={"atac": -1})
    graph = im.genomics.guidance_graph(studies, extend=20_000, signs={"atac": -1})
    pd.testing.assert_frame_equal(made["edges"], graph.to_frame())


def test_links_are_those_of_the_loaded_model(fitted):
    table = verbs.VERBS["links"](folder=fitted[1])["links"]
    pd.testing.assert_frame_equal(table, im.load(fitted[1]).links())


def test_with_labels_a_fit_names_every_cell_and_its_model_names_others(studies, fitted, tmp_path, refused):
    folder, copies = str(tmp_path / "taught"), {name: one.copy() for name, one in studies.items()}
    result = verbs.VERBS["fit_glue"](copies, folder=folder, labels_key={"rna": "cell_type"}, **BRIEF, n_models=0)
    assert result["labels"] == verbs.info(folder=folder)["labels"] == sorted(set(studies["rna"].obs["cell_type"]))
    for name, one in copies.items():
        assert result["label"][name] == list(one.obs["glue_label"])
        np.testing.assert_array_equal(result["confidence"][name], one.obs["glue_confidence"])
    query = studies["atac"][:30].copy()
    said = verbs.predict(query.copy(), folder=folder, modality="atac")
    expected = im.load(folder).predict_labels(query, modality="atac")
    assert said["label"] == list(expected.idxmax(axis=1))
    np.testing.assert_array_equal(said["confidence"], expected.max(axis=1))
    assert "label" not in fitted[0]
    with refused("'glue' without", "a model that was fitted with labels"):
        verbs.predict(query, folder=fitted[1], modality="atac")


def test_consistency_is_that_of_the_loaded_model(studies, fitted):
    table = verbs.VERBS["consistency"](studies, folder=fitted[1], n_metacells=[5, 10])["consistency"]
    pd.testing.assert_frame_equal(table, im.load(fitted[1]).consistency(studies, [5, 10]))


def test_a_map_is_the_umap_of_the_embedding(fitted):
    z = fitted[0]["embeddings"]["rna"]
    study = ad.AnnData(obsm={"embedding": z})
    made = verbs.VERBS["umap"](study, seed=3, n_neighbors=8)["umap"]
    np.testing.assert_array_equal(made, im.pl.umap(z, seed=3, n_neighbors=8))


def test_another_model_has_no_links_and_no_consistency(studies, tmp_path, refused):
    folder = str(tmp_path / "scalex")
    small = {"n_features": 40, "n_latent": 3, "n_hidden": 8, "max_steps": 5, "compile": False}
    verbs.fit(studies["rna"].copy(), folder=folder, batch_key="batch", **small)
    with refused("'scalex'", "'glue'"):
        verbs.VERBS["links"](folder=folder)
    with refused("'scalex'", "'glue'"):
        verbs.VERBS["consistency"](studies, folder=folder)


def test_genes_may_be_a_table_and_give_the_graph_that_columns_give(studies, fitted, tmp_path):
    rna = studies["rna"]
    genes = rna.var[["chrom", "chromStart", "chromEnd", "strand"]].assign(gene_name=rna.var_names)
    genes.index = [str(i) for i in range(len(genes))]
    bare = {"rna": rna.copy(), "atac": studies["atac"].copy()}
    bare["rna"].var = pd.DataFrame(index=rna.var_names)
    result = verbs.VERBS["fit_glue"](
        bare, folder=str(tmp_path / "glue"), genes=genes, batch_key={"rna": "batch"}, **BRIEF
    )
    np.testing.assert_allclose(result["embeddings"]["atac"], fitted[0]["embeddings"]["atac"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("placed", [True, False])
def test_edges_of_the_users_own_keep_the_positions_that_are_known(studies, tmp_path, placed):
    edges = pd.DataFrame(studies["rna"].uns["links"])[["gene", "peak"]].rename(
        columns={"gene": "source", "peak": "target"}
    )
    given = {name: one.copy() for name, one in studies.items()}
    if not placed:
        given["rna"].var = pd.DataFrame(index=given["rna"].var_names)
    folder = str(tmp_path / "glue")
    verbs.VERBS["fit_glue"](given, folder=folder, edges=edges.drop_duplicates(), n_features=80, **BRIEF)
    table = verbs.VERBS["links"](folder=folder)["links"]
    assert set(zip(table["gene"], table["peak"], strict=True)) <= set(
        zip(edges["source"], edges["target"], strict=True)
    )
    assert table["peak_start"].notna().all()
    assert table["tss"].notna().all() == placed


def test_genes_of_another_style_are_on_the_chromosomes_of_the_peaks(studies, tmp_path):
    rna, edges = studies["rna"].copy(), studies["rna"].uns["links"][["gene", "peak"]].drop_duplicates()
    edges = edges.rename(columns={"gene": "source", "peak": "target"})
    genes = rna.var[["chrom", "chromStart", "chromEnd", "strand"]].assign(gene_name=rna.var_names)
    genes["chrom"] = genes["chrom"].astype(str).str.removeprefix("chr")
    rna.var = pd.DataFrame(index=rna.var_names)
    folder, given = str(tmp_path / "glue"), {"rna": rna, "atac": studies["atac"].copy()}
    verbs.VERBS["fit_glue"](given, folder=folder, edges=edges, genes=genes, n_features=80, **BRIEF)
    table = verbs.VERBS["links"](folder=folder)["links"]
    assert table["chrom"].str.startswith("chr").all()
    assert table["distance"].notna().all()


def test_values_of_another_modality_are_predicted(studies, fitted):
    atac = studies["atac"].copy()
    gene = fitted[0]["features"][0]
    result = verbs.impute(atac, folder=fitted[1], modality="atac", target="rna", features=[gene], batch="average")
    assert result["features"] == [gene]
    assert result["values"].shape == (atac.n_obs, 1)


def test_an_embedding_that_comes_with_the_cells_is_used(studies, fitted):
    straight, turned = (studies["atac"][:, :0].copy() for _ in range(2))  # no values that could be projected
    straight.obsm["embedding"] = im.load(fitted[1]).latent_of("atac")
    turned.obsm["embedding"] = straight.obsm["embedding"][::-1]
    asked = {"folder": fitted[1], "modality": "atac"}
    votes = {"labels": list(studies["rna"].obs["cell_type"]), "source": "rna", **asked}
    one, other = (verbs.labels(x.copy(), **votes) for x in (straight, turned))
    assert other["label"] == one["label"][::-1]
    np.testing.assert_array_equal(other["confidence"], one["confidence"][::-1])
    wanted = {"target": "rna", "features": fitted[0]["features"][:2], **asked}
    one, other = (verbs.impute(x.copy(), **wanted)["values"] for x in (straight, turned))
    np.testing.assert_array_equal(other, one[::-1])
    assert np.ptp(one, axis=0).min() > 0


def test_genes_of_a_file_are_a_table(tmp_path):
    path = tmp_path / "genes.bed"
    path.write_text("chr1\t10\t20\tA\t0\t-\nchr1\t10\t40\tA\t0\t-\nchr2\t0\t5\tB\t0\t+\n")
    table = verbs.VERBS["genes"](path=str(path))["genes"]
    assert table["gene_name"].tolist() == ["A", "B"]
    assert table[["chromStart", "chromEnd"]].to_numpy().tolist() == [[10, 40], [0, 5]]


def test_genes_of_an_annotation_have_their_names_and_ids(tmp_path):
    path = tmp_path / "genes.gtf"
    lines = ('gene_id "ENSG1.2"; gene_name "A";', 'gene_id "ENSG2";')
    path.write_text("".join(f"chr1\tx\tgene\t11\t20\t.\t-\t.\t{line}\n" for line in lines))
    table = verbs.VERBS["genes"](path=str(path))["genes"]
    assert table[["gene_name", "gene_id"]].to_numpy().tolist() == [["A", "ENSG1.2"], ["", "ENSG2"]]
    assert table[["chrom", "chromStart", "chromEnd", "strand"]].to_numpy().tolist() == [["chr1", 10, 20, "-"]] * 2

"""The report of several modalities: what it says of the fit, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.report import write_report
from isthmus.report._joint import joint_of
from isthmus.report._joint_sections import FDR, SHOWN, _drawn, _verdict
from isthmus.report._tables import links_table

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fitted():
    data = im.data.simulate(n_cells=150, n_genes=80, n_peaks=200, n_types=3, seed=1, pairing="unpaired")
    graph = im.genomics.guidance_graph(data, extend=20_000)
    model = im.tl.glue(data, graph, max_steps=80, n_latent=8, n_hidden=32, n_components=20, progress="silent")
    model.transfer_labels(data["atac"], data["rna"].obs["cell_type"], source="rna", modality="atac")
    return model, data


def test_the_page_shows_the_fit(fitted, tmp_path, read):
    model, data = fitted
    file = write_report(tmp_path / "page.html", model, data, labels_key="cell_type", facts={"who": "a < b"})
    page = read(file.read_text(encoding="utf-8"))
    assert page.headings == [
        "GLUE: modalities aligned", "Modalities", "Can it be trusted?", "Scores", "Labels given to atac", "Links",
        "Training", "How it was made",
    ]  # fmt: skip
    assert not page.elsewhere
    assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in page.images)
    links = [row for row in page.rows if len(row) == 6][1:]
    best = model.links().head(SHOWN)
    assert [row[:2] for row in links] == [[row.gene, row.peak] for row in best.itertuples()]
    assert ["who", "a < b"] in page.rows
    text = file.read_text(encoding="utf-8")
    for words in ("<b>150</b>cells with rna", f"<b>{model.graph.n_edges:,}</b>edges", "modalities meet"):
        assert words in text
    assert "batches meet" not in text


def test_without_labels_and_links_the_page_is_shorter(fitted, tmp_path, read):
    _, data = fitted
    bare = {name: one.copy() for name, one in data.items()}
    for one in bare.values():
        one.obs = one.obs[[]]
    graph = im.genomics.guidance_graph(bare, extend=20_000)
    model = im.tl.glue(bare, graph, max_steps=5, n_latent=8, n_hidden=16, n_models=0, progress="silent")
    page = read(write_report(tmp_path / "page.html", model, bare).read_text(encoding="utf-8"))
    assert "Links" not in page.headings
    assert not any(heading.startswith("Labels") for heading in page.headings)


def test_cells_are_those_of_the_fit_whatever_their_order(fitted):
    model, data = fitted
    turned = {"atac": data["atac"][::-1].copy(), "rna": data["rna"]}
    cells, joint = joint_of(model, turned, "cell_type")
    np.testing.assert_array_equal(cells.z, np.concatenate([model.latent_of("rna"), model.latent_of("atac")]))
    assert list(cells.batch) == ["rna"] * 150 + ["atac"] * 150
    own = [label for name in ("rna", "atac") for label in data[name].obs["cell_type"].astype(str)]
    assert list(cells.label.astype(str)) == own
    assert list(joint.named) == ["atac"]
    assert list(joint.named["atac"].label.astype(str)) == list(data["atac"].obs["glue_label"].astype(str))
    pd.testing.assert_frame_equal(joint.consistency, model.consistency(data, list(joint.consistency["n_metacells"])))


def test_labels_in_other_words_give_way_to_those_of_the_model(fitted):
    model, data = fitted
    other = data["atac"].copy()
    other.obs["cell_type"] = other.obs["cell_type"].astype(str) + " of the atac"
    cells, _ = joint_of(model, {"rna": data["rna"], "atac": other}, "cell_type")
    assert list(cells.label[150:].astype(str)) == list(other.obs["glue_label"].astype(str))
    del other.obs["glue_label"]
    cells, _ = joint_of(model, {"rna": data["rna"], "atac": other}, "cell_type")
    assert list(cells.label[150:]) == list(other.obs["cell_type"])
    del other.obs["cell_type"]
    cells, _ = joint_of(model, {"rna": data["rna"], "atac": other}, "cell_type")
    assert cells.label[150:].isna().all()


def test_what_the_curve_says():
    def verdict(*scores):
        return _verdict(pd.DataFrame({"n_metacells": [10, 20, 50], "consistency": scores}))

    assert "stays above" in verdict(0.3, 0.1, 0.05)
    assert "with 10, 20 groups and below it with 50:" in verdict(0.3, 0.1, 0.01)
    assert "with 20 groups and below it with 10, 50:" in verdict(0.01, 0.1, 0.01)
    assert "Do not trust" in verdict(0.04, 0.02, 0.01)


def test_the_gene_with_the_most_links_is_drawn():
    def table(**links):
        rows = [(gene, q) for gene, qs in links.items() for q in qs]
        return pd.DataFrame(rows, columns=["gene", "qvalue"]).sort_values("qvalue", kind="stable")

    strong, weak = FDR / 2, 0.9
    assert _drawn(table(a=[strong / 2, weak], b=[strong, strong])) == "b"
    assert _drawn(table(a=[weak], b=[weak, weak])) == "b"
    assert _drawn(table(a=[strong], b=[weak] * 50)) == "a"


def test_a_link_without_a_place_has_no_distance(read):
    row = {"gene": "<g>", "peak": "p", "distance": np.nan, "score": 0.5, "pvalue": 0.01, "qvalue": 0.02}
    cells = read(links_table(pd.DataFrame([row]))).rows[1]
    assert cells == ["<g>", "p", "–", "0.500", "1.0e-02", "0.020"]


def test_bad_input_is_refused(fitted, tmp_path, refused):
    model, data = fitted
    file = tmp_path / "page.html"
    with refused("cell_type", "column 'celltype'", "labels_key"):
        write_report(file, model, data, labels_key="celltype")
    with refused("query=", "without a query", "leave query out"):
        write_report(file, model, data, data["atac"])
    with refused("before=", "without a query"):
        write_report(file, model, data, before=np.zeros((150, 2)))
    with refused("missing", "that the model was fitted to"):
        write_report(file, model, {"rna": data["rna"]})
    with refused("missing", "that the model was fitted to"):
        write_report(file, model, {"rna": data["rna"][1:], "atac": data["atac"]})
    assert not list(tmp_path.iterdir())

"""The report: its numbers against direct computation, its page as a browser would read it."""

from __future__ import annotations

import base64

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import isthmus as im
from isthmus.report import _verbs, baseline, choose_markers, write_report
from isthmus.report._baseline import log_normalised
from isthmus.report._cells import Cells
from isthmus.report._tables import truth_table

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def fitted():
    study = im.data.simulate(n_cells=420, modalities=("rna",), n_batches=3, seed=3)["rna"]
    is_query = (study.obs["batch"] == study.obs["batch"].iloc[0]).to_numpy()
    reference, query = study[~is_query].copy(), study[is_query][:, 50:].copy()
    reference.obs["cell_type"] = reference.obs["cell_type"].cat.remove_unused_categories()
    model = im.tl.scalex(reference, "batch", max_steps=40, n_features=300, n_hidden=32, progress="silent")
    model.project(query)
    model.transfer_labels(query, reference.obs["cell_type"])
    return model, reference, query


@pytest.fixture(scope="module")
def page(fitted, tmp_path_factory):
    model, reference, query = fitted
    file = write_report(
        tmp_path_factory.mktemp("report") / "page.html", model, reference, query, labels_key="cell_type"
    )
    return file.read_text(encoding="utf-8")


def row_of(page: str, start: str, read) -> list[str]:
    (row,) = [row for row in read(page).rows if row and row[0].startswith(start)]
    return row


def test_the_page_stands_alone_and_says_its_pictures_in_words(page, read):
    seen = read(page)
    assert seen.headings[0] == "SCALEX: batches integrated, new cells projected"
    for section in ("Batches", "Labels", "Scores", "Query", "Training", "How it was made"):
        assert section in seen.headings
    assert seen.elsewhere == []
    assert len(seen.images) == 5 + 3  # maps, and a curve for the loss and each of its terms
    assert len({image["alt"] for image in seen.images}) == 8
    for image in seen.images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data, validate=True)[:8] == b"\x89PNG\r\n\x1a\n"


def test_scores_labels_and_coverage_are_those_of_the_objects(fitted, page, read):
    model, reference, query = fitted
    obs = reference.obs
    expected = im.metrics.summary(reference.obsm["X_scalex"], obs["cell_type"], obs["batch"])
    before = im.metrics.summary(baseline(model, reference), obs["cell_type"], obs["batch"])
    for key, start in (("nmi", "Do clusters"), ("overcorrection", "Do different"), ("ilisi", "How many batches")):
        assert row_of(page, start, read)[1:3] == [f"{before[key]:.3f}", f"{expected[key]:.3f}"]
    for label, n in query.obs["scalex_label"].value_counts().items():
        shown = [row[1] for row in read(page).rows if row[0] == label and len(row) == 4]
        assert shown == [str(n)] * (n > 0)
    cover = query.uns["scalex"]["projection"]
    assert f"{cover['n_found']} of the model's {cover['n_reference']} features" in page
    assert 0 < cover["n_found"] < cover["n_reference"]


def test_the_same_cells_give_the_same_bytes_also_through_the_bridge(fitted, page, tmp_path):
    model, reference, query = fitted
    model.save(tmp_path / "model")
    found = _verbs.report_inputs(
        reference, folder=tmp_path / "model", labels=list(reference.obs["cell_type"]), among=list(query.var_names)
    )
    study = stacked(reference, query, found)
    cover = {name: float(value) for name, value in query.uns["scalex"]["projection"].items()}
    _verbs.report(
        study, folder=tmp_path / "model", file=tmp_path / "page.html", markers=found["markers"], coverage=cover
    )
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def stacked(reference: AnnData, query: AnnData, found: dict) -> AnnData:
    """Reference and query below each other, as R sends them."""
    genes = [gene for group in found["markers"].values() for gene in group]
    x = [log_normalised(side, "counts")[:, side.var_names.get_indexer(genes)] for side in (reference, query)]
    label = [*reference.obs["cell_type"], *query.obs["scalex_label"]]
    names = [*reference.obs["cell_type"].cat.categories, "unknown"]
    nothing = np.full(query.n_obs, np.nan)
    obs = pd.DataFrame(
        {
            "role": ["reference"] * reference.n_obs + ["query"] * query.n_obs,
            "batch": pd.Categorical([*reference.obs["batch"], *nothing], sorted(reference.obs["batch"].unique())),
            "label": pd.Categorical(label, names),
            "confidence": [*np.full(reference.n_obs, np.nan), *query.obs["scalex_confidence"]],
            "truth": pd.Categorical([*np.full(reference.n_obs, np.nan), *query.obs["cell_type"]]),
        },
        index=[f"cell{row}" for row in range(len(label))],
    )
    before = np.full((len(obs), found["before"].shape[1]), np.nan)
    before[: reference.n_obs] = found["before"]
    obsm = {"embedding": np.vstack([reference.obsm["X_scalex"], query.obsm["X_scalex"]]), "before": before}
    return AnnData(sp.vstack(x).toarray(), obs=obs, var=pd.DataFrame(index=genes), obsm=obsm)


def test_the_query_is_compared_with_its_own_labels(read):
    query = Cells(
        z=np.zeros((300, 2)),
        label=pd.Categorical(["A"] * 150 + ["B"] * 49 + ["unknown"] * 101),
        truth=pd.Categorical(["one"] * 199 + ["other"] * 1 + ["one"] * 100),
    )
    rows = {row[0]: row[1:] for row in read(truth_table(query)).rows}
    assert rows["own label cells"] == ["A", "B", "unknown"]
    assert rows["one 299"] == ["50", "16", "33"]
    assert rows["other 1"] == ["", "", "100"]
    rare = Cells(z=np.zeros((300, 2)), label=pd.Categorical(["A"] * 299 + ["B"]), truth=pd.Categorical(["one"] * 300))
    assert {row[0]: row[1:] for row in read(truth_table(rare)).rows}["one 300"] == ["100", "<1"]


def test_names_cannot_become_markup(fitted, tmp_path, read):
    model, reference, query = (part if index == 0 else part.copy() for index, part in enumerate(fitted))
    evil = '<script>alert("1")</script>'
    first = reference.obs["cell_type"].cat.categories[0]
    reference.obs["cell_type"] = reference.obs["cell_type"].cat.rename_categories({first: evil})
    query.obs["scalex_label"] = query.obs["scalex_label"].astype(str).replace({first: evil})
    file = write_report(
        tmp_path / "page.html", model, reference, query, labels_key="cell_type", title=evil, notes={"query": evil},
        facts={evil: evil}, before=np.asarray(reference.obsm["X_scalex"]),
    )  # fmt: skip
    seen = read(file.read_text(encoding="utf-8"))
    assert "script" not in seen.tags
    assert seen.headings[0] == evil


def test_without_labels_batches_or_query_the_rest_is_there(fitted, tmp_path, read):
    model, reference, _ = fitted
    file = write_report(tmp_path / "page.html", model, reference, before=reference.obsm["X_scalex"][:, :2])
    seen = read(file.read_text(encoding="utf-8"))
    assert "Labels" not in seen.headings
    assert "Query" not in seen.headings
    assert {"Batches", "Scores", "Training"} <= set(seen.headings)
    assert not any(row[0].startswith("Do clusters") for row in seen.rows)


def test_what_is_missing_is_refused_and_an_older_page_stays(fitted, tmp_path, refused):
    model, reference, query = fitted
    file = tmp_path / "page.html"
    file.write_text("older")
    with refused("batch", "a column 'celltype' in obs", "labels_key"):
        write_report(file, model, reference, labels_key="celltype", before=reference.obsm["X_scalex"])
    bare = query.copy()
    del bare.obsm["X_scalex"]
    with refused("only", 'obsm["X_scalex"]', "project"):
        write_report(file, model, reference, bare, before=reference.obsm["X_scalex"])
    assert file.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_model_of_two_modalities_is_refused(tmp_path, refused):
    cells = im.data.simulate(n_cells=60, n_genes=40, n_peaks=60, n_types=2, seed=2)
    model = im.tl.sci2cl(cells, max_steps=2, n_latent=8, n_hidden=8, progress="silent")
    with refused("'sci2cl'", "SCALEX, scDREAMER or GLUE", "your usual plots"):
        write_report(tmp_path / "page.html", model, cells["rna"])
    assert not list(tmp_path.iterdir())


def test_a_sample_keeps_what_belongs_together(rng):
    n = 50
    rows = np.arange(n)
    cells = Cells(
        z=rows[:, None] * np.ones((1, 3)), batch=pd.Categorical(rows.astype(str)), confidence=rows / n,
        before=rows[:, None] * np.ones((1, 2)), markers=pd.DataFrame({"gene": rows}),
    )  # fmt: skip
    some = cells.sample(20, seed=0)
    kept = some.z[:, 0].astype(int)
    assert len(set(kept)) == 20
    assert some.n_all == n
    assert list(some.batch) == [str(row) for row in kept]
    assert np.array_equal(some.confidence, kept / n)
    assert np.array_equal(some.before[:, 1], kept)
    assert list(some.markers["gene"]) == list(kept)
    assert some.label is None
    assert cells.sample(n, seed=0).n_all == n


def test_markers_have_the_largest_difference_of_means(rng):
    x = rng.poisson(1.0, (60, 20)).astype(float)
    label = np.array(["b", "a", "c"])[rng.integers(0, 3, 60)]
    label[:3] = ["a", "b", "c"]
    features = pd.Index([f"g{j}" for j in range(20)])
    among = features[:15]
    chosen = choose_markers(sp.csr_matrix(x), features, label, among)
    taken: set[str] = set()
    for name in (
        pd.Series(label)
        .value_counts(sort=False)
        .reindex(["a", "b", "c"])
        .sort_values(ascending=False, kind="stable")
        .index
    ):
        here = label == name
        difference = pd.Series(x[here].mean(axis=0) - x[~here].mean(axis=0), features)[among].drop(list(taken))
        assert chosen[name] == list(difference.nlargest(2).index)
        taken |= set(chosen[name])
    assert list(chosen) == ["a", "b", "c"]


def test_markers_with_few_labels_or_features():
    x, features = sp.csr_matrix(np.eye(4)), pd.Index(list("wxyz"))
    assert choose_markers(x, features, ["a"] * 4) == {}
    assert choose_markers(x, features, list("aabb"), among=["not there"]) == {}
    assert choose_markers(x, features, ["a", "b", None, np.nan]) == {"a": ["w"], "b": ["x"]}
    assert choose_markers(x, features, list("abcd"), most=2) == {"a": ["w"], "b": ["x"]}
    assert choose_markers(x, features, [1.0, 2.0, np.nan, np.nan]) == {"1": ["w"], "2": ["x"]}  # as the page has them


def test_before_is_the_pca_of_the_log_normalised_features(fitted):
    model, reference, _ = fitted
    z = baseline(model, reference)
    counts = reference.X.toarray().astype(float)
    dense = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    dense = dense[:, reference.var_names.get_indexer(model.pipeline.features)]
    dense -= dense.mean(axis=0)
    u, s, _ = np.linalg.svd(dense, full_matrices=False)
    expected = u[:, :5] * s[:5]
    for j in range(5):  # up to the sign of an axis
        assert abs(np.corrcoef(z[:, j], expected[:, j])[0, 1]) == pytest.approx(1, abs=1e-3)
    assert z.shape == (reference.n_obs, 30)
    assert z.std(axis=0)[:5] == pytest.approx(expected.std(axis=0), rel=1e-2)


def test_before_needs_the_features_of_the_model(fitted, refused):
    model, reference, _ = fitted
    with refused(f"1 missing: '{model.pipeline.features[3]}'", "features of the model"):
        baseline(model, reference[:, reference.var_names != model.pipeline.features[3]].copy())


def test_log_normalised_leaves_what_is_log_normalised(rng):
    counts = rng.poisson(2.0, (5, 8)).astype(np.float32)
    counts[2] = 0
    adata = AnnData(sp.csr_matrix(counts))
    depth = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    assert log_normalised(adata, "counts").toarray() == pytest.approx(np.log1p(counts / depth * 1e4), rel=1e-5)
    assert np.array_equal(log_normalised(adata, "lognorm").toarray(), counts)


def test_the_page_names_its_system_and_what_it_learnt_from(tmp_path, read):
    cells = im.data.simulate(n_cells=200, n_genes=80, n_types=3, n_batches=2, modalities="rna", seed=2)["rna"]
    for labels_key, title, seen in (
        (None, "scDREAMER", "the model never saw"),
        ("cell_type", "scDREAMER-Sup", "the model has learnt"),
    ):
        model = im.tl.scdreamer(
            cells, "batch", labels_key=labels_key, max_steps=5, n_hidden=8, batch_size=64, progress="silent"
        )
        page = write_report(tmp_path / f"{title}.html", model, cells, labels_key="cell_type")
        text = page.read_text(encoding="utf-8")
        assert read(text).headings[0].startswith(f"{title}:")
        assert f"after {title} of" in text
        assert seen in text
        assert "SCALEX" not in text


def test_layers_are_picked_as_projection_picks_them(fitted, page, tmp_path, read):
    _, reference, query = fitted
    reference, query = reference.copy(), query.copy()
    reference.layers["counts"] = reference.X.copy()
    reference.X = reference.X * 0 + 7.0 * (reference.X > 0)
    settings = {"max_steps": 40, "n_features": 300, "n_hidden": 32, "progress": "silent"}
    model = im.tl.scalex(reference, "batch", layer="counts", **settings)
    model.project(query)
    model.transfer_labels(query, reference.obs["cell_type"])
    file = write_report(tmp_path / "page.html", model, reference, query, labels_key="cell_type")
    start = "How many batches"
    assert row_of(file.read_text(encoding="utf-8"), start, read) == row_of(page, start, read)
    images = [[image["src"] for image in read(text).images] for text in (file.read_text(encoding="utf-8"), page)]
    assert images[0] == images[1]


def test_a_reference_on_disk_gives_the_same_page(fitted, page, tmp_path):
    model, reference, query = fitted
    reference.write_h5ad(tmp_path / "reference.h5ad")
    backed = ad.read_h5ad(tmp_path / "reference.h5ad", backed="r")
    file = write_report(tmp_path / "page.html", model, backed, query, labels_key="cell_type")
    backed.file.close()
    assert file.read_text(encoding="utf-8") == page


def test_before_is_any_matrix_of_the_right_length(fitted, tmp_path, refused):
    model, reference, _ = fitted
    z = np.asarray(reference.obsm["X_scalex"])
    pages = [write_report(tmp_path / "page.html", model, reference, before=b).read_bytes() for b in (z, z.tolist())]
    assert pages[0] == pages[1]
    with refused(f"{len(z) - 1} rows", f"{len(z)} cells", "leave before out"):
        write_report(tmp_path / "other.html", model, reference, before=z[1:])
    with refused("shape", "two dimensions"):
        write_report(tmp_path / "other.html", model, reference, before=z[:, 0])
    assert not (tmp_path / "other.html").exists()

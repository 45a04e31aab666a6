from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr
from sklearn.cluster import KMeans

from isthmus.genomics import GuidanceGraph
from isthmus.metrics import _consistency, integration_consistency


@pytest.fixture
def study(rng):
    """Genes and peaks that follow one latent position, half of the peaks against it."""
    n = {"rna": 300, "atac": 260}
    z = {k: rng.normal(size=(size, 3)) for k, size in n.items()}
    sign = np.where(np.arange(20) % 2 == 0, 1, -1)
    weights = rng.normal(size=(3, 20))
    counts = {
        "rna": sp.csr_matrix(rng.poisson(np.exp(0.8 * z["rna"] @ weights + 1))),
        "atac": sp.csr_matrix(rng.poisson(np.exp(0.8 * z["atac"] @ (weights * sign) + 0.5))),
    }
    features = {"rna": [f"g{i}" for i in range(20)], "atac": [f"p{i}" for i in range(20)]}
    edges = {"source": features["rna"], "target": features["atac"], "sign": sign, "weight": rng.uniform(0.2, 1, 20)}
    extra = pd.DataFrame({"source": ["g0", "g3"], "target": ["p5", "p4"], "sign": 1, "weight": 0.5})
    graph = GuidanceGraph.from_frame(pd.concat([pd.DataFrame(edges), extra]), features)
    return {"latents": z, "counts": counts, "features": features, "graph": graph}


def by_hand(latents, counts, features, graph, k, seed=0):
    """Dense, one edge after the other."""
    names = list(latents)
    group = KMeans(k, n_init=1, random_state=seed).fit_predict(np.concatenate([latents[name] for name in names]))
    group = dict(zip(names, np.split(group, [len(latents[names[0]])]), strict=True))
    both = sorted(set(group[names[0]]) & set(group[names[1]]))
    profile = {}
    for name in names:
        summed = np.array([counts[name].toarray()[group[name] == m].sum(axis=0) for m in both]).astype(float)
        depth = summed.sum(axis=1, keepdims=True)
        profile[name] = pd.DataFrame(np.log1p(summed / depth * np.median(depth)), columns=features[name])
    table, total = graph.to_frame(), 0.0
    for edge in table.itertuples():
        rho = spearmanr(profile["rna"][edge.source], profile["atac"][edge.target]).statistic
        total += edge.weight * edge.sign * np.nan_to_num(rho)
    return total / table["weight"].sum(), len(both)


@pytest.mark.parametrize("k", [5, 40, 150])
def test_it_is_the_mean_of_the_correlations(study, k):
    table = integration_consistency(**study, n_metacells=k)
    score, shared = by_hand(**study, k=k)
    assert table["n_metacells"].tolist() == [k]
    assert table["consistency"].item() == pytest.approx(score, abs=1e-6)
    assert table["n_shared"].item() == shared


def test_matching_data_are_above_the_line_and_strangers_are_not(study, rng):
    table = integration_consistency(**study)
    assert table["n_metacells"].tolist() == [10, 20, 50, 100, 200]
    assert (table["consistency"] > 0.3).all()
    strangers = {**study["latents"], "atac": rng.permutation(study["latents"]["atac"])}
    mixed = integration_consistency(**{**study, "latents": strangers}, n_metacells=(50, 100))
    assert (mixed["consistency"].abs() < 0.15).all()


def test_neither_edges_in_parts_nor_reverse_edges_and_loops_show(study, monkeypatch):
    expected = integration_consistency(**study, n_metacells=(10, 30))
    closed = {**study, "graph": study["graph"].with_reverse_and_loops()}
    pd.testing.assert_frame_equal(integration_consistency(**closed, n_metacells=(10, 30)), expected, atol=1e-6)
    monkeypatch.setattr(_consistency, "_EDGES", 7)
    pd.testing.assert_frame_equal(integration_consistency(**study, n_metacells=(10, 30)), expected, atol=1e-6)


def test_the_order_of_features_and_edges_does_not_show_and_a_seed_repeats(study, rng):
    expected = integration_consistency(**study, n_metacells=30, seed=3)
    order = rng.permutation(20)
    moved = {
        **study,
        "counts": {**study["counts"], "atac": study["counts"]["atac"][:, order].tocsc()},
        "features": {**study["features"], "atac": pd.Index(study["features"]["atac"])[order]},
        "graph": GuidanceGraph.from_frame(study["graph"].to_frame().sample(frac=1, random_state=1)),
    }
    pd.testing.assert_frame_equal(integration_consistency(**moved, n_metacells=30, seed=3), expected, atol=1e-6)


def test_a_deeper_cell_weighs_by_its_counts_and_values_are_averaged(study):
    score = integration_consistency(**study, n_metacells=30)["consistency"].item()
    doubled = {**study, "counts": {**study["counts"], "rna": study["counts"]["rna"] * 2}}
    assert integration_consistency(**doubled, n_metacells=30)["consistency"].item() == pytest.approx(score)
    values = {k: sp.csr_matrix(np.log1p(x.toarray()) - 1.5) for k, x in study["counts"].items()}
    scored = integration_consistency(**{**study, "counts": values}, n_metacells=30, values="values")
    assert scored["consistency"].item() > 0.3


def test_many_cells_are_placed_by_centres_of_some(study, monkeypatch):
    monkeypatch.setattr(_consistency, "_CELLS", 200)
    table = integration_consistency(**study, n_metacells=(10, 50))
    assert (table["consistency"] > 0.3).all()


def test_a_feature_that_never_varies_correlates_zero(study):
    constant = study["counts"]["rna"].toarray()
    constant[:, :] = 1  # the same share of every cell's depth
    table = integration_consistency(**{**study, "counts": {**study["counts"], "rna": sp.csr_matrix(constant)}})
    np.testing.assert_allclose(table["consistency"], 0, atol=1e-12)


def test_modalities_apart_have_no_score(study):
    apart = {**study["latents"], "atac": study["latents"]["atac"] + 100}
    with pytest.warns(UserWarning, match="Only 0 of the 10 metacells have cells of both modalities"):
        table = integration_consistency(**{**study, "latents": apart}, n_metacells=10)
    assert np.isnan(table["consistency"].item())
    assert table["n_shared"].item() == 0


@pytest.mark.parametrize(
    ("changes", "found", "expected"),
    [
        (lambda s: {"counts": {"rna": s["counts"]["rna"]}}, "'rna', 'atac'; 'rna'; 'rna', 'atac'", "same modalities"),
        (lambda s: {"latents": {**s["latents"], "atac": np.ones((260, 4))}}, "'atac': 4} dimensions", "one space"),
        (lambda s: {"counts": {**s["counts"], "atac": s["counts"]["rna"]}}, "300 x 20", "260 cells x 20 features"),
        (lambda s: {"features": {k: [f"x{n}" for n in v] for k, v in s["features"].items()}}, "none; the graph has",
         "edges between the features, such as 'xg0', 'xp0'"),
        (lambda s: {"features": dict.fromkeys(s["features"], s["features"]["rna"])}, "'g0' in 'rna' and in 'atac'",
         "each linked feature in one modality"),
        (lambda s: {"n_metacells": (10, 561)}, "561", "from 3 to 560"),
        (lambda s: {"n_metacells": 2}, "2", "from 3 to 560"),
        (lambda s: {"values": "logs"}, "'logs'", "values to be 'counts'"),
        (lambda s: {"latents": {**s["latents"], "rna": np.full((300, 3), np.nan)}}, "300 of 300", "embedding of 'rna'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(study, refused, changes, found, expected):
    with refused(found, expected):
        integration_consistency(**{**study, **changes(study)})

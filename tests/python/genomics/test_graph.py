from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import GuidanceGraph

EDGES = pd.DataFrame(
    {
        "source": ["A", "A", "B", "C"],
        "target": ["p1", "p2", "p2", "m1"],
        "sign": [1, 1, 1, -1],
        "weight": [1.0, 0.5, 0.25, 1.0],
    }
)
FEATURES = {"rna": ["A", "B", "C", "D"], "atac": ["p1", "p2", "p3"], "meth": ["m1"]}


@pytest.fixture
def graph() -> GuidanceGraph:
    return GuidanceGraph.from_frame(EDGES, FEATURES)


def large(rng, n_genes: int = 60, n_peaks: int = 200, n_edges: int = 400) -> GuidanceGraph:
    pair = rng.choice(n_genes * n_peaks, n_edges, replace=False)
    return GuidanceGraph(
        pd.Index([f"g{i}" for i in range(n_genes)] + [f"p{i}" for i in range(n_peaks)]),
        np.repeat(["rna", "atac"], [n_genes, n_peaks]),
        pair // n_peaks,
        n_genes + pair % n_peaks,
        rng.choice([-1, 1], n_edges),
        rng.uniform(0.01, 1, n_edges),
    )


def as_set(graph: GuidanceGraph) -> set[tuple]:
    return set(graph.to_frame().itertuples(index=False, name=None))


def test_a_table_becomes_a_graph_and_a_table_again(graph):
    assert graph.to_frame().equals(EDGES.astype({"sign": "int8", "weight": "float32"}))
    assert graph.features.tolist() == ["A", "B", "C", "D", "p1", "p2", "p3", "m1"]
    assert graph.modality.tolist() == ["rna"] * 4 + ["atac"] * 3 + ["meth"]
    assert (graph.source.dtype, graph.sign.dtype, graph.weight.dtype) == (np.int64, np.int8, np.float32)
    again = GuidanceGraph.from_frame(graph.to_frame(), graph.by_modality())
    assert again.features.equals(graph.features)
    assert again.to_frame().equals(graph.to_frame())


def test_sign_and_weight_may_be_left_out():
    graph = GuidanceGraph.from_frame(EDGES[["source", "target"]])
    assert graph.sign.tolist() == [1] * 4
    assert graph.weight.tolist() == [1.0] * 4
    assert set(graph.modality) == {""}
    assert graph.n_features == 6


def test_the_training_graph_is_symmetric_with_a_loop_on_every_feature(graph):
    closed = graph.with_reverse_and_loops()
    assert closed.n_edges == 2 * graph.n_edges + graph.n_features
    dense = np.zeros((closed.n_features, closed.n_features))
    dense[closed.source, closed.target] = closed.sign * closed.weight
    assert np.array_equal(dense, dense.T)
    assert np.array_equal(np.diag(dense), np.ones(closed.n_features))
    assert closed.with_reverse_and_loops() is closed
    assert closed.features.equals(graph.features)


def test_subset_keeps_the_edges_between_the_chosen(graph):
    part = graph.subset(["p2", "D", "A"])
    assert part.features.tolist() == ["p2", "D", "A"]
    assert part.modality.tolist() == ["atac", "rna", "rna"]
    assert as_set(part) == {("A", "p2", 1, 0.5)}


def test_subset_then_close_is_close_then_subset(graph):
    names = ["m1", "A", "C", "p1", "p3"]
    one, other = graph.subset(names).with_reverse_and_loops(), graph.with_reverse_and_loops().subset(names)
    assert as_set(one) == as_set(other)
    assert one.features.equals(other.features)


def test_merge_unites_features_and_keeps_parallel_edges(graph):
    hic = GuidanceGraph.from_frame(pd.DataFrame({"source": ["A", "E"], "target": ["p1", "p9"]}))
    merged = graph.merge(hic)
    assert merged.features.tolist() == [*graph.features, "E", "p9"]
    assert merged.modality.tolist() == [*graph.modality, "", ""]
    assert merged.n_edges == 6
    assert (merged.to_frame()[["source", "target"]] == ["A", "p1"]).all(axis=1).sum() == 2
    assert hic.merge(graph).modality[0] == "rna"  # what one graph does not know, the other does
    assert as_set(hic.merge(graph)) == as_set(merged)
    with pytest.warns(UserWarning, match="1 of 6 edges repeat another one, such as 'A' to 'p1'"):
        GuidanceGraph.from_frame(merged.to_frame())


def test_neighbors_are_what_forward_edges_lead_to(graph):
    assert graph.neighbors_of(["A", "C"]).tolist() == ["p1", "p2", "m1"]
    assert graph.neighbors_of(["D"]).tolist() == []
    assert graph.neighbors_of(["p2"]).tolist() == []
    chain = GuidanceGraph.from_frame(pd.DataFrame({"source": ["a", "b", "c"], "target": ["b", "c", "a"]}))
    assert chain.neighbors_of(["a"]).tolist() == ["b", "c"]


def test_neighbors_agree_with_networkx(rng):
    import networkx

    graph = large(rng)
    names = [f"g{i}" for i in range(0, 60, 7)]
    expected = set().union(*(networkx.descendants(graph.to_networkx(), name) for name in names))
    assert set(graph.neighbors_of(names)) == expected


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_corruption_replaces_a_share_and_keeps_what_edges_carry(rng, share):
    graph = large(rng)
    corrupted = graph.corrupted(share, seed=3)
    changed = (graph.source != corrupted.source) | (graph.target != corrupted.target)
    assert changed.sum() == round(share * graph.n_edges)
    assert np.array_equal(graph.sign, corrupted.sign)
    assert np.array_equal(graph.weight, corrupted.weight)
    before = set(zip(graph.source, graph.target, strict=True))
    after = list(zip(corrupted.source, corrupted.target, strict=True))
    assert len(set(after)) == graph.n_edges
    assert not before & {pair for pair, moved in zip(after, changed, strict=True) if moved}
    assert set(graph.modality[corrupted.source]) == {"rna"}
    assert set(graph.modality[corrupted.target]) == {"atac"}


def test_corruption_follows_its_seed(rng):
    graph = large(rng)
    assert as_set(graph.corrupted(0.5, seed=1)) == as_set(graph.corrupted(0.5, seed=1))
    assert as_set(graph.corrupted(0.5, seed=1)) != as_set(graph.corrupted(0.5, seed=2))


def test_corruption_needs_room(refused, graph):
    full = pd.DataFrame([(g, p) for g in "ABC" for p in "xyz"], columns=["source", "target"])
    with refused("edges that found none", "pairs without an edge", "lower share"):
        GuidanceGraph.from_frame(full).corrupted(0.5)
    with refused("1.5", "share"):
        graph.corrupted(1.5)
    with refused("reverse edges and loops", "forward edges", "corrupt the graph first"):
        graph.with_reverse_and_loops().corrupted(0.5)


def test_networkx_and_back(rng, graph):
    for one in (graph, large(rng)):
        back = GuidanceGraph.from_networkx(one.to_networkx())
        assert back.features.equals(one.features)
        assert back.modality.tolist() == one.modality.tolist()
        assert as_set(back) == as_set(one)


def test_a_closed_or_undirected_networkx_graph_gives_its_forward_edges(graph):
    import networkx

    closed = graph.with_reverse_and_loops().to_networkx()
    assert as_set(GuidanceGraph.from_networkx(closed)) == as_set(graph)
    assert as_set(GuidanceGraph.from_networkx(closed, FEATURES)) == as_set(graph)
    undirected = networkx.Graph()
    undirected.add_edge("p1", "A", sign=-1, weight=0.5)  # the peak comes first: no direction is meant
    assert as_set(GuidanceGraph.from_networkx(undirected, FEATURES)) == {("A", "p1", -1, 0.5)}
    typed = networkx.MultiDiGraph()
    typed.add_edge("A", "p1", type="fwd")
    typed.add_edge("p1", "A", type="rev")
    typed.add_edge("A", "A", type="loop")
    assert as_set(GuidanceGraph.from_networkx(typed)) == {("A", "p1", 1, 1.0)}


@pytest.mark.parametrize("weight", [0.0, -0.5, 1.5, np.inf, 1e-60])
def test_weights_outside_their_range_are_refused(refused, weight):
    with refused("1 of 4 others, such as", "weights above 0 and at most 1", "largest weight"):
        GuidanceGraph.from_frame(EDGES.assign(weight=[1, weight, 1, 1]))


@pytest.mark.parametrize("sign", [0, 2, -1.5])
def test_other_signs_are_refused(refused, sign):
    with refused(f"1 of 4 others, such as {sign:g} between 'A' and 'p1'", "signs of 1 or -1", "weight"):
        GuidanceGraph.from_frame(EDGES.assign(sign=[sign, 1, 1, 1]))


def test_bad_tables_are_refused(refused, graph):
    with refused("no 'source' among 'gene', 'target'", "'source' and 'target'", "rename"):
        GuidanceGraph.from_frame(EDGES.rename(columns={"source": "gene"}))
    with refused("1 edges at 1 unknown ones, such as 'm1'", "known features", "same kind"):
        GuidanceGraph.from_frame(EDGES, {"rna": FEATURES["rna"], "atac": FEATURES["atac"]})
    with refused("none between 8 features", "at least one edge", "extend=150000"):
        GuidanceGraph.from_frame(EDGES[:0], FEATURES)
    with refused("1 from a feature to itself, such as 'A'", "different features", "loops"):
        GuidanceGraph.from_frame(EDGES.assign(target=["A", "p2", "p2", "m1"]))
    with refused("2 edges that stand in both", "one direction", "keep one"):
        GuidanceGraph.from_frame(pd.DataFrame({"source": ["A", "p1"], "target": ["p1", "A"]}))
    with refused("nan", "a number in every row as weight", "column weight"):
        GuidanceGraph.from_frame(EDGES.assign(weight=[1, np.nan, 1, 1]))
    with refused("such as 'A'", "unique feature names"):
        GuidanceGraph.from_frame(EDGES, {"rna": ["A", "B", "C"], "atac": ["A", "p1", "p2", "m1"]})
    with refused("an edge at feature 9", "the 8 features", "positions"):
        GuidanceGraph(graph.features, graph.modality, [0], [9], [1], [1.0])
    with refused("lengths [1, 2]", "of one length", "one value each"):
        GuidanceGraph(graph.features, graph.modality, [0], [4], [1], [1.0, 1.0])


def test_bad_choices_are_refused(refused, graph):
    with refused("none between 2 features", "at least one edge"):
        graph.subset(["A", "p3"])
    with refused("1 of 2 names that it lacks, such as 'Z'", "features of the graph", "build the graph"):
        graph.subset(["A", "Z"])
    with refused("1 of 1 names that it lacks, such as 'Z'"):
        graph.neighbors_of(["Z"])
    with refused("'D' in 'rna' and in 'protein'", "one modality", "names"):
        graph.merge(GuidanceGraph.from_frame(pd.DataFrame({"source": ["D"], "target": ["A"]}), {"protein": ["D", "A"]}))
    with refused("reverse edges and loops", "forward edges", "merge first"):
        graph.merge(graph.with_reverse_and_loops())


def test_the_graph_shows_what_it_holds(graph):
    assert repr(graph) == "GuidanceGraph(8 features (rna: 4, atac: 3, meth: 1), 4 forward edges)"
    assert "self loops" in repr(graph.with_reverse_and_loops())
    with pytest.raises(ValueError, match="read-only"):
        graph.weight[0] = 0.1

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import GuidanceGraph
from isthmus.genomics._strata import cuts, strata
from isthmus.genomics.decoys import FAR


def pairs(graph: GuidanceGraph, rows: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(graph.source[rows].tolist(), graph.target[rows].tolist(), strict=True))


def is_near(graph: GuidanceGraph, s: int, t: int) -> bool:
    a, b = graph.positions.iloc[s], graph.positions.iloc[t]
    return bool(a.chrom == b.chrom and max(b.start - a.end, a.start - b.end) <= FAR)


def check(graph: GuidanceGraph, union: GuidanceGraph, is_decoy: np.ndarray) -> None:
    """Everything that is promised of decoys, looked at one by one."""
    n, n_decoys = graph.n_edges, int(is_decoy.sum())
    assert is_decoy.tolist() == [False] * n + [True] * n_decoys
    real, decoys = pairs(union, ~is_decoy), pairs(union, is_decoy)
    assert Counter(real) == Counter(pairs(graph, np.arange(n)))
    for part in ("source", "sign", "weight"):
        assert np.array_equal(getattr(union, part)[is_decoy], getattr(union, part)[:n_decoys])
    assert len(set(decoys)) == len(set(real[:n_decoys]))  # no decoy twice, but for parallel edges
    assert not set(decoys) & set(real)
    if graph.positions is not None:
        assert not any(is_near(graph, s, t) for s, t in decoys)
    assert np.array_equal(graph.modality[union.target[:n_decoys]], graph.modality[union.target[is_decoy]])


def test_every_edge_gets_a_decoy_of_the_same_gene_and_degree(linked_graph):
    graph = linked_graph()
    union, is_decoy = graph.with_decoys(seed=1)
    check(graph, union, is_decoy)
    assert is_decoy.sum() == graph.n_edges
    degree = np.bincount(graph.target, minlength=graph.n_features)
    assert np.array_equal(np.bincount(union.target, minlength=graph.n_features), 2 * degree)
    assert union.features.equals(graph.features)
    pd.testing.assert_frame_equal(union.positions, graph.positions)


def test_targets_stay_in_their_stratum(linked_graph):
    graph = linked_graph(n_genes=600, n_peaks=4000)
    union = graph.with_decoys()[0]
    n = graph.n_edges
    stratum = strata(np.zeros(n, np.int64), union.distance[:n], union.weight[:n], least=500, most=50)
    assert stratum.max() >= 5
    for one in range(stratum.max() + 1):
        here = np.flatnonzero(stratum == one)
        assert Counter(union.target[here].tolist()) == Counter(union.target[n + here].tolist())


def test_decoys_follow_their_seed(linked_graph):
    graph = linked_graph()
    one, again, other = (graph.with_decoys(seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(one.target, again.target)
    assert not np.array_equal(one.target, other.target)


def test_a_crowded_chromosome_leaves_edges_without_a_decoy(linked_graph):
    graph = linked_graph(n_genes=60, n_peaks=500, chroms=("chr1", "chr1", "chr1", "chr2"), length=4_000_000)
    with pytest.warns(UserWarning, match=f"of {graph.n_edges} edges have no decoy"):
        union, is_decoy = graph.with_decoys()
    check(graph, union, is_decoy)
    chrom = graph.positions["chrom"].to_numpy()[graph.source]
    on_second = int((chrom == "chr2").sum())
    assert is_decoy.sum() > 1.8 * on_second  # each target of the second is one for the first, and the other way round


def test_the_graph_need_not_know_positions(rng):
    chosen = rng.choice(40 * 60, 300, replace=False)
    frame = pd.DataFrame({"source": [f"g{i // 60}" for i in chosen], "target": [f"p{i % 60}" for i in chosen]})
    graph = GuidanceGraph.from_frame(frame.assign(weight=rng.uniform(0.1, 1, 300)))
    union, is_decoy = graph.with_decoys()
    check(graph, union, is_decoy)
    assert is_decoy.sum() == 300


def test_parallel_edges_move_together(linked_graph, rng):
    graph = linked_graph()
    some = graph.to_frame().iloc[rng.choice(graph.n_edges, 200, replace=False)].assign(weight=0.5, sign=-1)
    merged = graph.merge(GuidanceGraph.from_frame(some))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        union, is_decoy = merged.with_decoys()
    check(merged, union, is_decoy)
    count = Counter(pairs(union, is_decoy))
    assert sum(n == 2 for n in count.values()) == 200
    which = Counter(zip(pairs(union, ~is_decoy), pairs(union, is_decoy), strict=True))
    assert len(which) == len(count)


def test_signs_and_modalities_are_kept(linked_graph):
    graph = linked_graph()
    sites = np.arange(graph.n_features) % 3 == 0
    modality = np.where(sites & (graph.modality != "rna"), "meth", graph.modality)
    sign = np.where(modality[graph.target] == "meth", -1, 1)
    three = GuidanceGraph(
        graph.features, modality, graph.source, graph.target, sign, graph.weight, positions=graph.positions
    )
    check(three, *three.with_decoys())


def test_where_no_decoy_can_be_there_is_an_error(refused, graph_of_one_pair):
    with refused("no decoy for any of 1 edges", "several chromosomes", "null='shuffled'"):
        graph_of_one_pair.with_decoys()
    with refused("reverse edges and loops", "forward edges", "with_decoys() first"):
        graph_of_one_pair.with_reverse_and_loops().with_decoys()


@pytest.fixture
def graph_of_one_pair() -> GuidanceGraph:
    return GuidanceGraph.from_frame(pd.DataFrame({"source": ["A"], "target": ["p"]}))


@pytest.mark.parametrize("ties", [False, True])
def test_bins_are_even_and_large_enough(rng, ties):
    values = rng.integers(0, 8, 5000).astype(float) if ties else rng.normal(size=5000)
    limits = cuts(values, least=400, most=10)
    size = np.bincount(np.searchsorted(limits, values, side="right"))
    assert size.min() >= 400
    assert len(size) == 8 if ties else len(size) == 10
    assert len(cuts(values[:799], least=400, most=10)) == 0
    assert len(cuts(np.ones(5000), least=400, most=10)) == 0

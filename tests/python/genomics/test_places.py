from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from isthmus._errors import ModelFileError
from isthmus.genomics import GuidanceGraph, guidance_graph
from isthmus.tl import _store

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr2"],
        "start": [1000, 9000, 500],
        "end": [2000, 9500, 700],
        "strand": ["+", "-", "."],
    },
    index=["A", "B", "C"],
)
PEAKS = ["chr1:1000-1100", "chr1:400-500", "chr1:9600-9701", "chr2:500-600"]


def known(graph: GuidanceGraph) -> dict:
    return {name: tuple(row) for name, *row in graph.positions.dropna().itertuples(name=None)}


@pytest.fixture
def graph() -> GuidanceGraph:
    return guidance_graph(GENES, PEAKS, region="gene_body", extend=10_000)


def by_pair(graph: GuidanceGraph) -> dict[tuple[str, str], float]:
    edges = graph.to_frame()
    return dict(zip(zip(edges["source"], edges["target"], strict=True), graph.distance, strict=True))


def slow_distance(graph: GuidanceGraph) -> list[float]:
    out = []
    for s, t in zip(graph.source, graph.target, strict=True):
        gene, peak = graph.positions.iloc[s], graph.positions.iloc[t]
        middle = (peak.start + peak.end) // 2
        if gene.strand == ".":
            out.append(np.nan)
        else:
            out.append(middle - gene.start if gene.strand == "+" else gene.end - 1 - middle)
    return out


def test_the_graph_knows_where_its_features_lie(graph):
    assert graph.positions.index.equals(graph.features)
    assert known(graph) == {
        "A": ("chr1", 1000, 2000, "+"),
        "B": ("chr1", 9000, 9500, "-"),
        "C": ("chr2", 500, 700, "."),
        **{name: (name[:4], *(int(x) for x in name[5:].split("-")), ".") for name in PEAKS},
    }


def test_distances_run_along_the_strand_of_the_gene(graph, linked_graph):
    by_pair = {
        (row.source, row.target): d for row, d in zip(graph.to_frame().itertuples(), graph.distance, strict=True)
    }
    assert by_pair["A", "chr1:1000-1100"] == 50
    assert by_pair["A", "chr1:400-500"] == -550
    assert by_pair["B", "chr1:9600-9701"] == -151
    assert np.isnan(by_pair["C", "chr2:500-600"])
    for one in (graph, linked_graph()):
        np.testing.assert_array_equal(one.distance, slow_distance(one))


def test_positions_survive_what_is_done_to_the_graph(graph):
    whole = known(graph)
    assert known(graph.with_reverse_and_loops()) == whole
    assert known(graph.corrupted(0.5)) == whole
    names = [PEAKS[1], "A", "C"]
    assert list(known(graph.subset(names)).items()) == [(name, whole[name]) for name in names]
    hic = GuidanceGraph.from_frame(pd.DataFrame({"source": ["A", "E"], "target": [PEAKS[0], "p9"]}))
    for merged in (graph.merge(hic), hic.merge(graph)):
        assert merged.positions.index.equals(merged.features)
        assert known(merged) == whole
        assert merged.positions.loc["E"].isna()[["chrom", "start", "end"]].all()
        d = dict(
            zip(zip(*merged.to_frame()[["source", "target"]].to_numpy().T, strict=True), merged.distance, strict=True)
        )
        assert d["A", PEAKS[0]] == 50
        assert np.isnan(d["E", "p9"])
    assert hic.merge(hic.subset(["E", "p9"])).positions is None
    assert np.isnan(hic.distance).all()


def test_an_edge_between_chromosomes_has_no_distance(graph):
    trans = GuidanceGraph(graph.features, graph.modality, [0, 0], [3, 6], [1, 1], [1, 1], positions=graph.positions)
    np.testing.assert_array_equal(trans.distance, [50, np.nan])


def test_chromosomes_of_all_modalities_are_written_alike():
    bare = GENES.assign(chrom=["1", "1", "2"])
    with pytest.warns(UserWarning, match="'chr' was added or dropped"):
        graph = guidance_graph(bare, PEAKS, ["1:1500-1501"], region="gene_body", extend=10_000)
    assert set(graph.positions["chrom"]) == {"chr1", "chr2"}
    assert np.isfinite(graph.distance[graph.target == graph.n_features - 1]).all()


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("placed", [False, True])
def test_a_graph_comes_back_from_a_model_folder(graph, tmp_path, closed, placed):
    one = graph.merge(GuidanceGraph.from_frame(pd.DataFrame({"source": ["A"], "target": ["p9"]})))
    one = one if placed else GuidanceGraph.from_frame(one.to_frame(), one.by_modality())
    one = one.with_reverse_and_loops() if closed else one
    names, arrays = one.state()
    manifest = _store.Manifest(system="glue", id="x", settings={}, facts={}, environment={})
    _store.write(tmp_path / "model", manifest, {**names, "more": ["a"]}, {**arrays, "more": np.zeros(2)})
    _, names, arrays = _store.read(tmp_path / "model")
    again = GuidanceGraph.from_state(names, arrays)
    assert again.features.equals(one.features)
    assert again.modality.tolist() == one.modality.tolist()
    assert again.to_frame().equals(one.to_frame())
    assert again.closed == closed
    assert (again.positions is None) == (not placed)
    if placed:
        pd.testing.assert_frame_equal(again.positions, one.positions)


def test_bad_positions_are_refused(refused, graph):
    def with_positions(table: pd.DataFrame) -> GuidanceGraph:
        return GuidanceGraph(graph.features, graph.modality, [0], [3], [1], [1], positions=table)

    table = graph.positions
    with refused("6 rows, 6 of them", "one row for each of the 7 features", "reindex"):
        with_positions(table[:6])
    with refused("none for 'chrom' among 'start', 'end', 'strand'", "columns for chromosome", "rename"):
        with_positions(table.drop(columns="chrom"))
    with refused("1 others, such as 1000 to 1000 ('A')", "end after their start", "leave them missing"):
        with_positions(table.assign(end=[1000, *table["end"][1:]]))
    with refused("reverse edges and loops", "forward edges", "before with_reverse"):
        _ = graph.with_reverse_and_loops().distance
    with refused("none called 'graph.weight'", "guidance graph", "state()", kind=ModelFileError):
        names, arrays = graph.state()
        GuidanceGraph.from_state(names, {name: x for name, x in arrays.items() if name != "graph.weight"})


@pytest.mark.parametrize("kind", [int, float, object])
def test_chromosomes_that_were_read_as_numbers_are_those_of_the_peaks(kind):
    plain = GENES.assign(chrom=["1", "1", "2"])
    read = GENES.assign(chrom=pd.array([1, 1, 2]).astype(kind))
    asked = {"region": "gene_body", "extend": 10_000}
    graph, same = (guidance_graph(genes, [name[3:] for name in PEAKS], **asked) for genes in (plain, read))
    pd.testing.assert_frame_equal(same.positions, graph.positions)
    assert by_pair(same) == pytest.approx(by_pair(graph), nan_ok=True)
    missing = plain.assign(chrom=[1, None, 2]).astype({"chrom": float if kind is int else kind})
    own = guidance_graph(
        missing, [name[3:] for name in PEAKS], genes=plain.rename_axis("gene_name").reset_index(), **asked
    )
    assert by_pair(own) == pytest.approx(by_pair(graph), nan_ok=True)


def test_positions_of_a_graph_that_were_read_as_numbers_are_text(graph):
    places = graph.positions.assign(chrom=graph.positions["chrom"].astype(str).str[3:])
    expected = replace(graph, positions=places).positions
    some = places.assign(chrom=places["chrom"].astype(int))
    mixed = places.assign(chrom=[*places["chrom"].astype(int)[:3], *places["chrom"][3:]])
    for form in (some, some.astype({"chrom": float}), mixed):
        pd.testing.assert_frame_equal(replace(graph, positions=form).positions, expected)
    lacking = some["chrom"].astype(float).where(np.arange(len(some)) > 0)
    assert replace(graph, positions=places.assign(chrom=lacking)).positions["chrom"].tolist()[1:] == [
        *places["chrom"][1:]
    ]

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import isthmus as im
from isthmus.genomics import GuidanceGraph, Intervals, guidance_graph

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr2"],
        "start": [10_000, 50_000, 10_000],
        "end": [20_000, 60_000, 20_000],
        "strand": ["+", "-", "+"],
    },
    index=["A", "B", "C"],
)
PEAKS = ["chr1:9000-9500", "chr1:15000-15500", "chr1:20000-20500", "chr1:61000-61500", "chr2:100000-100500"]


def table(features: pd.DataFrame | list) -> ad.AnnData:
    var = features if isinstance(features, pd.DataFrame) else pd.DataFrame(index=features)
    return ad.AnnData(sp.csr_matrix((2, len(var)), dtype=np.float32), var=var)


def edges(graph: GuidanceGraph) -> set[tuple[str, str]]:
    frame = graph.to_frame()
    return set(zip(frame["source"], frame["target"], strict=True))


def by_hand(genes: pd.DataFrame, peaks: Intervals, region: str, upstream: int, extend: int) -> dict[tuple, float]:
    """Weight of every edge, looked for one by one."""
    out = {}
    for gene in genes.itertuples():
        start, end = gene.chromStart, gene.chromEnd
        if region == "promoter":
            start, end = (start, start + 1) if gene.strand == "+" else (end - 1, end)
        before = 0 if region == "gene_body" else upstream
        start, end = (max(0, start - before), end) if gene.strand == "+" else (start, end + before)
        for name, chrom, left, right in zip(peaks.names, peaks.chrom, peaks.start, peaks.end, strict=True):
            gap = max(left - end, start - right)
            distance = 0 if gap < 0 else gap + 1
            if chrom == gene.chrom and distance <= extend:
                out[gene.Index, name] = ((distance + 1000) / 1000) ** -0.75
    return out


@pytest.fixture(scope="module")
def multiome():
    return im.data.simulate(n_cells=60, n_genes=150, n_peaks=600, n_batches=1, seed=5)


def ours(seen):
    """Warnings for users, not those between libraries."""
    return [one for one in seen if issubclass(one.category, UserWarning)]


@pytest.mark.parametrize(
    ("region", "upstream", "extend"),
    [
        ("combined", 2000, 0),
        ("promoter", 2000, 0),
        ("gene_body", 2000, 0),
        ("promoter", 500, 150_000),
        ("combined", 0, 1),
    ],
)
def test_edges_and_weights_are_those_of_a_double_loop(multiome, region, upstream, extend):
    rna, atac = multiome["rna"], multiome["atac"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        graph = guidance_graph(rna, atac, region=region, upstream=upstream, extend=extend)
    expected = by_hand(rna.var, Intervals.from_frame(atac.var), region, upstream, extend)
    found = dict(zip(edges_in_order(graph), graph.weight.tolist(), strict=True))
    assert found == pytest.approx(expected, rel=1e-6)
    assert set(graph.sign) == {1}
    assert graph.features.tolist() == [*rna.var_names, *atac.var_names]
    flat = guidance_graph(rna, atac, region=region, upstream=upstream, extend=extend, decay=False)
    assert edges(flat) == set(expected)
    assert set(flat.weight) == {1.0}


def edges_in_order(graph: GuidanceGraph) -> list[tuple[str, str]]:
    frame = graph.to_frame()
    return list(zip(frame["source"], frame["target"], strict=True))


def test_weights_decay_as_published():
    graph = guidance_graph(GENES[:1], ["chr1:170000-170100"], region="gene_body", extend=150_001)
    assert graph.weight[0] == pytest.approx(151.001**-0.75)
    assert graph.weight[0] == pytest.approx(0.023, abs=5e-4)


def test_features_may_come_in_any_form(tmp_path):
    bed = tmp_path / "genes.bed.gz"
    GENES.assign(name=GENES.index, score=0)[["chrom", "start", "end", "name", "score", "strand"]].to_csv(
        bed, sep="\t", header=False, index=False
    )
    expected = {("A", PEAKS[0]), ("A", PEAKS[1]), ("B", PEAKS[3])}
    intervals = Intervals.from_frame(GENES)
    columns = Intervals.from_names(PEAKS).to_frame()
    names = ["A", "B", "C"]
    with_positions = [(table(GENES), None), (GENES, None), (intervals, None)]
    with_annotation = [(names, bed), (names, str(bed)), (pd.Index(names), GENES), (table(names), intervals)]
    for rna, genes in with_positions + with_annotation:
        for atac in (table(PEAKS), PEAKS, pd.Index(PEAKS), Intervals.from_names(PEAKS), columns, table(columns)):
            assert edges(guidance_graph(rna, atac, genes=genes)) == expected


def test_the_order_of_features_changes_only_the_order_of_nodes(rng, multiome):
    rna, atac = multiome["rna"], multiome["atac"]
    shuffled = rna[:, rng.permutation(rna.n_vars)].copy(), atac[:, rng.permutation(atac.n_vars)].copy()
    one, other = guidance_graph(rna, atac, extend=5000), guidance_graph(*shuffled, extend=5000)
    key = ["source", "target"]
    tables = [graph.to_frame().sort_values(key).reset_index(drop=True) for graph in (one, other)]
    assert tables[0].equals(tables[1])


def test_three_modalities_with_their_signs_and_names():
    sites = ["chr1:9100-9101", "chr2:15000-15001"]
    graph = guidance_graph({"rna": GENES, "atac": PEAKS, "meth": sites}, signs={"meth": -1})
    frame = graph.to_frame()
    assert frame["sign"].tolist() == [-1 if name in sites else 1 for name in frame["target"]]
    assert edges(graph) >= {("A", sites[0]), ("C", sites[1])}
    assert {name: len(part) for name, part in graph.by_modality().items()} == {"rna": 3, "atac": 5, "meth": 2}
    unnamed = guidance_graph(GENES, PEAKS, sites, signs=[1, -1])
    assert unnamed.to_frame().equals(frame)
    assert list(unnamed.by_modality()) == ["rna", "other1", "other2"]
    assert list(guidance_graph(GENES, PEAKS, modalities=["genes", "peaks"]).by_modality()) == ["genes", "peaks"]


GTF = """chr1\tx\tgene\t10001\t20000\t.\t+\t.\tgene_id "ENSG00000000001.5"; gene_name "A";
chr1\tx\tgene\t50001\t60000\t.\t-\t.\tgene_id "ENSG00000000002.11"; gene_name "B.1";
chr9\tx\tgene\t1\t200\t.\t-\t.\tgene_id "ENSG00000000003.1"; gene_name "A";
"""


def test_genes_are_found_by_name_then_by_id(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text(GTF)
    for names in (["A", "B.1"], ["ENSG00000000001", "ENSG00000000002.7"], ["ENSG00000000001.5", "B.1"]):
        graph = guidance_graph(names, PEAKS, genes=path)  # of the two genes A, the longer one
        assert edges(graph) == {(names[0], PEAKS[0]), (names[0], PEAKS[1]), (names[1], PEAKS[3])}
    old = table(pd.DataFrame({"gene_ids": ["ENSG00000000001", "ENSG00000000002"]}, index=["A", "OLD"]))
    assert ("OLD", PEAKS[3]) in edges(guidance_graph(old, PEAKS, genes=path))


def test_genes_without_a_position_are_left_out_with_one_warning():
    with pytest.warns(
        UserWarning, match="2 of 5 genes have no position and are left out of the graph: 'Y', 'Z'"
    ) as seen:
        graph = guidance_graph(["Y", "A", "B", "Z", "C"], PEAKS, genes=GENES)
    own = ours(seen)
    assert len(own) == 1
    assert own[0].filename == __file__
    assert graph.by_modality()["rna"].tolist() == ["A", "B", "C"]
    missing = GENES.astype({"start": float})
    missing.loc["B", "start"] = np.nan
    with pytest.warns(UserWarning, match="1 of 3 genes"):
        assert edges(guidance_graph(missing, PEAKS)) == {("A", PEAKS[0]), ("A", PEAKS[1])}


def test_chromosome_styles_are_matched_or_refused(refused):
    bare = [name.removeprefix("chr") for name in PEAKS]
    with pytest.warns(UserWarning, match=r"the genes and 'other' are written in different ways \('chr1' and '1'\)"):
        graph = guidance_graph(GENES, bare)
    assert edges(graph) == {("A", bare[0]), ("A", bare[1]), ("B", bare[3])}
    with refused("'chr1', 'chr2' in the one, '1', '2' in the other", "'other' share", "harmonise=True"):
        guidance_graph(GENES, bare, harmonise=False)


def test_peaks_of_another_build_are_warned_of(rng):
    chrom, start = np.full(400, "chr1"), np.sort(rng.integers(10_000, 200_000_000, 400))
    genes = pd.DataFrame({"chrom": chrom, "start": start, "end": start + 9000, "strand": "+"})
    genes.index = [f"g{i}" for i in range(400)]
    place = np.concatenate([start, rng.integers(10_000, 200_000_000, 1200)])
    peaks = [f"chr1:{x}-{x + 400}" for x in place]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        guidance_graph(genes, peaks)
        guidance_graph(genes.assign(start=start + 700_000, end=start + 709_000), peaks[:999])  # too few to tell
    moved = genes.assign(start=start + 700_000, end=start + 709_000)
    with pytest.warns(UserWarning, match="same genome build"):
        guidance_graph(moved, peaks)
    bins = [f"chr1:{x}-{x + 200_000}" for x in range(0, 200_000_000, 100_000)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        guidance_graph(genes, bins)  # wide bins meet starts of any build


@pytest.mark.parametrize(
    ("rna", "atac"), [("scicar_a549_rna", "scicar_a549_atac"), ("pbmc_facs_rna", "bmmc_granja_atac")]
)
def test_real_peaks_give_a_graph_and_the_wrong_build_a_warning(shared_data, rna, atac):
    tables = [ad.read_h5ad(shared_data(f"{name}.h5ad"), backed="r") for name in (rna, atac)]
    with pytest.warns(UserWarning, match="no position") as seen:
        right = guidance_graph(*tables, genes=shared_data("genes_hg19.bed.gz"))
    assert len(ours(seen)) == 1
    with pytest.warns(UserWarning, match="no position|same genome build") as seen:
        wrong = guidance_graph(*tables, genes=shared_data("genes_hg38.bed.gz"))
    assert [("same genome build" in str(one.message)) for one in ours(seen)] == [False, True]
    assert right.n_edges > 1.3 * wrong.n_edges > 1000


def test_bad_calls_are_refused(refused):
    with refused("one modality", "at least one other", "guidance_graph(rna, atac)"):
        guidance_graph(GENES)
    with refused("1 of 3 without one, such as 'C'", "a strand, + or -"):
        guidance_graph(GENES.assign(strand=["+", "-", "."]), PEAKS)
    guidance_graph(GENES.drop(columns="strand"), PEAKS, region="gene_body")  # needs none
    with refused("no genes= and no columns", "positions for the genes of 'rna'", "genes.gtf"):
        guidance_graph(["A", "B"], PEAKS)
    with refused("none for any of 2 genes, such as 'X', 'Y'", "positions for the genes", "same kind"):
        guidance_graph(["X", "Y"], PEAKS, genes=GENES)
    with refused("1 of 2 others, such as 'p1'", "peak names", "chromStart"):
        guidance_graph(GENES, ["chr1:1-2", "p1"])
    with refused("none within 0 bp", "features of 'other' at genes", "extend=150000"):
        guidance_graph(GENES, ["chr1:1-2"])
    with refused("'C' in 'rna', 'other'", "different names", "CD4_protein"):
        guidance_graph(GENES, GENES[2:])
    with refused("'exon'", "region to be 'combined' or 'promoter' or 'gene_body'"):
        guidance_graph(GENES, PEAKS, region="exon")
    with refused("-5", "extend"):
        guidance_graph(GENES, PEAKS, extend=-5)
    with refused("{'meth': -1}", "signs 1 or -1 for 'other'", "mapping by name"):
        guidance_graph(GENES, PEAKS, signs={"meth": -1})
    with refused("[0]", "signs 1 or -1"):
        guidance_graph(GENES, PEAKS, signs=[0])
    with refused("['a', 'a']", "2 different names", "genes first"):
        guidance_graph(GENES, PEAKS, modalities=["a", "a"])
    with refused("int", "genes as a path", "one of these"):
        guidance_graph(GENES, PEAKS, genes=5)
    with refused("int", "features of 'other'", "one of these"):
        guidance_graph(GENES, 5)
    with refused("such as 'A'", "unique feature names"):
        guidance_graph(pd.concat([GENES, GENES]), PEAKS)

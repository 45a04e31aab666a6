from __future__ import annotations

import dataclasses
import gzip

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from isthmus.genomics import GuidanceGraph, link_table, write_bedpe
from isthmus.genomics._links_null import Links, NullBlock, _crossed, against_null, weighted_fdr
from isthmus.genomics._places import Places
from isthmus.genomics._strata import cuts, strata
from isthmus.genomics.links import ALTERNATIVES, COLUMNS, NULLS


def embed(rng: np.random.Generator, graph: GuidanceGraph, models: int = 3, latent: int = 20) -> np.ndarray:
    return rng.normal(size=(models, graph.n_features, latent))


def planted(rng: np.random.Generator, graph: GuidanceGraph, edges: np.ndarray, noise: float) -> np.ndarray:
    """Random embeddings in which the ends of these edges lie near each other."""
    out = embed(rng, graph)
    for rows in out:
        rows[graph.target[edges]] = rows[graph.source[edges]]
        rows[graph.target[edges]] += noise * rng.normal(size=(len(edges), rows.shape[1]))
    return out


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def by_hand(graph: GuidanceGraph, embeddings: np.ndarray, is_decoy: np.ndarray, alternative: str) -> pd.DataFrame:
    """Score, p-value and z-score of every edge, one by one."""
    n = int((~is_decoy).sum())
    score = np.array([
        sign * np.mean([cosine(rows[s], rows[t]) for rows in embeddings])
        for s, t, sign in zip(graph.source, graph.target, graph.sign, strict=True)
    ])  # fmt: skip
    d = np.abs(graph.distance[:n])
    n_decoys = int(is_decoy.sum())
    of_null = strata(np.zeros(n, np.int64), d, graph.weight[:n], least=1000, most=50, learn=np.arange(n) < n_decoys)
    null, null_stratum, rows = score[n:], of_null[:n_decoys], []
    for edge in range(n):
        here = null[null_stratum == of_null[edge]]
        k = {"greater": (here >= score[edge]).sum(), "less": (here <= score[edge]).sum()}
        p = {side: (count + 1) / (len(here) + 1) for side, count in k.items()}
        p["two-sided"] = min(1.0, 2 * min(p.values()))
        rows.append((score[edge], (score[edge] - here.mean()) / here.std(ddof=1), p[alternative], len(here)))
    return pd.DataFrame(rows, columns=["score", "zscore", "pvalue", "n_null"])


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    q, least = np.empty(len(p)), 1.0
    for rank in range(len(p), 0, -1):
        least = min(least, p[order[rank - 1]] * len(p) / rank)
        q[order[rank - 1]] = least
    return q


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_the_table_is_that_of_a_loop(linked_graph, rng, alternative):
    graph, is_decoy = linked_graph(n_genes=300, n_peaks=4000).with_decoys()
    embeddings = embed(rng, graph)
    table = link_table(graph, embeddings, is_decoy, alternative=alternative)
    expected = by_hand(graph, embeddings, is_decoy, alternative)
    assert expected["n_null"].max() < is_decoy.sum()
    pd.testing.assert_frame_equal(table[list(expected)], expected)
    weight = weights_by_hand(table["pvalue"].to_numpy(), table["distance"].abs().to_numpy())
    expected = benjamini_hochberg(np.minimum(table["pvalue"].to_numpy() / weight, 1))
    np.testing.assert_allclose(table["qvalue"], expected)


def far_pairs(graph: GuidanceGraph, n: int) -> list[tuple[int, int]]:
    """The gene of one of n links with the peak of another, for all that mean nothing together; a row for each."""
    where = graph.positions.loc[graph.features]
    chrom, start, end = (where[name].to_numpy() for name in ("chrom", "start", "end"))
    edges = set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    return [
        (gene, peak)
        for gene in graph.source[:n].tolist()
        for peak in graph.target[:n].tolist()
        if (gene, peak) not in edges
        and (chrom[gene] != chrom[peak] or max(start[gene] - end[peak], start[peak] - end[gene]) > 5_000_000)
    ]


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_links_stand_beside_all_far_pairs_of_their_genes_and_peaks(linked_graph, rng, alternative):
    graph, is_decoy = linked_graph(n_genes=40, n_peaks=1000).with_decoys()
    n_links = int((~is_decoy).sum())
    near = np.concatenate([np.arange(0, n_links, 7), np.flatnonzero(is_decoy)[::5]])  # decoys are edges, too
    embeddings = planted(rng, graph, near, 1.0)
    table = link_table(graph, embeddings, is_decoy, null="trans", alternative=alternative)
    pairs = far_pairs(graph, n_links)
    null = np.array([np.mean([cosine(rows[a], rows[b]) for rows in embeddings]) for a, b in pairs])
    # genes with many links stand in many pairs, but a pair that stands there twice is one and the same
    count = len(set(graph.source[:n_links])) * len(set(graph.target[:n_links])) / n_links**2
    n = count * len(null)
    for row in table.itertuples():
        more, less = (
            ((null >= row.score - 1e-9).sum() * count + 1) / (n + 1),
            ((null <= row.score + 1e-9).sum() * count + 1) / (n + 1),
        )
        expected = {"greater": more, "less": less, "two-sided": min(1.0, 2 * min(more, less))}
        assert row.pvalue == pytest.approx(expected[alternative])
        assert row.zscore == pytest.approx((row.score - null.mean()) / null.std(), rel=0.01)
    assert table["n_null"].unique().tolist() == [np.ceil(n)]
    few = link_table(graph, embeddings, is_decoy, null="trans", alternative=alternative, n_null=20 * n_links)
    assert few["n_null"].iloc[0] < 25 * n_links
    assert np.abs(few["pvalue"] - table["pvalue"]).max() < 0.07


def test_parts_of_a_null_add_up(rng):
    score, stratum = rng.normal(size=300), rng.integers(0, 3, 300)
    values = [rng.normal(size=1000) for _ in range(3)]
    whole = [NullBlock(one, values[one]) for one in range(3)]
    parts = [NullBlock(one, part) for cut in range(7) for one in range(3) for part in [values[one][cut::7]]]
    for alternative in ALTERNATIVES:
        a, b = (against_null(score, stratum, null, alternative) for null in (whole, parts))
        for of_a, of_b in zip(a, b, strict=True):
            np.testing.assert_allclose(of_a, of_b)


@pytest.mark.parametrize(("n", "wanted"), [(7, 7), (1000, 3000), (1000, 150_000), (1000, 10**9), (300, 90_000)])
def test_every_row_is_crossed_about_as_often(rng, n, wanted):
    seen = np.zeros((n, n), dtype=int)
    for one, other in _crossed(n, wanted, rng):
        for a, b in zip(one, other, strict=True):
            seen[np.ix_(a, b)] += 1
    assert seen.max() == 1
    assert seen.sum() == pytest.approx(min(wanted, n * n), rel=0.5)
    for share in (seen.sum(axis=0), seen.sum(axis=1)):
        assert len(set(share[share > 0])) == 1
        assert (share == 0).mean() < 0.01


def weights_by_hand(p, distance):
    """Odds of meaning something in each bin of the distance, where pairs enough have p above one half."""
    edges = cuts(distance, 1000, 25)
    bins, weight = [np.sum(edges <= d) for d in distance], np.empty(len(p))
    for one in set(bins):
        here = np.array(bins) == one
        n = here.sum()
        nothing = min(2 * ((p[here] > 0.5).sum() + 1) / n + np.sqrt(1 / n), 1)
        weight[here] = (1 - nothing + 0.005) / nothing
    return weight / weight.mean()


def pairs(distance):
    n = len(distance)
    zeros = np.zeros(n, dtype=np.int64)
    return Links(np.arange(n), np.arange(n), np.ones(n), np.ones(n), zeros, distance)


def test_pairs_of_a_distance_with_many_links_weigh_more(rng):
    """20,000 pairs, a tenth of the nearest of which is real: more of them are found, and few that are not."""
    n = 20_000
    found, wrong, plain = 0, 0, 0
    for _ in range(20):
        distance = rng.uniform(0, 150_000, n)
        real = (distance < 15_000) & (rng.random(n) < 0.1)
        p = np.where(real, 10 ** -rng.uniform(1, 5, n), rng.random(n))
        called = weighted_fdr(p, pairs(distance)) < 0.05
        found, wrong = found + (called & real).sum(), wrong + (called & ~real).sum()
        plain += ((benjamini_hochberg(p) < 0.05) & real).sum()
    assert found > 1.3 * plain
    assert wrong / (found + wrong) < 0.06


def test_pairs_that_mean_nothing_are_seldom_called(rng):
    n = 5000
    tries = [(weighted_fdr(rng.random(n), pairs(rng.uniform(0, 1e5, n))) < 0.05).any() for _ in range(200)]
    assert np.mean(tries) < 0.11


def test_columns_say_what_and_where(linked_graph, rng):
    graph, is_decoy = linked_graph().with_decoys()
    table = link_table(graph, embed(rng, graph), is_decoy)
    n = len(table)
    assert tuple(table.columns) == COLUMNS
    assert n == (~is_decoy).sum()
    edges = graph.to_frame()[:n]
    assert table["gene"].tolist() == edges["source"].tolist()
    assert table["peak"].tolist() == edges["target"].tolist()
    assert table["weight"].tolist() == edges["weight"].tolist()
    np.testing.assert_array_equal(table["distance"], graph.distance[:n])
    where = graph.positions
    peak, gene = where.loc[table["peak"]], where.loc[table["gene"]]
    assert table["chrom"].tolist() == peak["chrom"].tolist() == gene["chrom"].tolist()
    assert table["peak_start"].tolist() == peak["start"].tolist()
    assert table["peak_end"].tolist() == peak["end"].tolist()
    assert table["strand"].tolist() == gene["strand"].tolist()
    first = np.where(gene["strand"] == "+", gene["start"], gene["end"] - 1)
    assert table["tss"].tolist() == first.tolist()


@pytest.mark.parametrize("null", NULLS)
def test_random_embeddings_give_uniform_p(linked_graph, rng, null):
    graph, is_decoy = linked_graph(n_genes=500, n_peaks=8000).with_decoys()
    table = link_table(graph, embed(rng, graph), is_decoy, null=null, n_null=100_000)
    assert kstest(table["pvalue"], "uniform").pvalue > 0.01
    assert table["zscore"].mean() == pytest.approx(0, abs=0.05)
    assert table["zscore"].std() == pytest.approx(1, abs=0.05)
    assert (table["qvalue"] < 0.05).mean() < 0.01


@pytest.mark.parametrize("null", NULLS)
def test_planted_links_are_found_and_few_others(linked_graph, rng, null):
    graph, is_decoy = linked_graph(n_genes=400, n_peaks=6000).with_decoys()
    n = int((~is_decoy).sum())
    real = np.zeros(n, dtype=bool)
    # One planted gene for each peak, else one link would undo the other.
    first = np.unique(graph.target[:n], return_index=True)[1]
    real[rng.choice(first, n // 6, replace=False)] = True
    table = link_table(graph, planted(rng, graph, np.flatnonzero(real), 1.0), is_decoy, null=null, n_null=1_000_000)
    called = (table["qvalue"] < 0.05).to_numpy()
    assert called[real].mean() > 0.9
    assert (called & ~real).sum() / called.sum() < 0.08


def test_decoys_know_the_pull_of_an_edge_and_shuffling_does_not(linked_graph, rng):
    graph, is_decoy = linked_graph(n_genes=400, n_peaks=6000).with_decoys()
    embeddings = embed(rng, graph)
    pulled = embeddings.copy()
    for rows, pull in zip(embeddings, pulled, strict=True):  # every edge, decoys too, moves its ends together
        np.add.at(pull, graph.source, 0.4 * rows[graph.target])
        np.add.at(pull, graph.target, 0.4 * rows[graph.source])
    tables = {null: link_table(graph, pulled, is_decoy, null=null, n_null=1_000_000) for null in NULLS}
    called = {null: (table["qvalue"] < 0.05).mean() for null, table in tables.items()}
    assert called["decoy"] < 0.01
    assert min(called["shuffled"], called["trans"]) > 0.2


def test_the_order_of_edges_and_features_does_not_matter(linked_graph, rng):
    graph, is_decoy = linked_graph().with_decoys()
    embeddings = embed(rng, graph)
    new = rng.permutation(graph.n_features)
    n, n_decoys = int((~is_decoy).sum()), int(is_decoy.sum())
    first = rng.permutation(n_decoys)
    edges = np.concatenate([first, np.arange(n_decoys, n), n + first])
    moved = graph.subset(graph.features[new])
    moved = GuidanceGraph(
        moved.features,
        moved.modality,
        *(getattr(moved, part)[edges] for part in ("source", "target", "sign", "weight")),
        positions=moved.positions,
    )
    key = ["gene", "peak"]
    tables = [
        link_table(*args).sort_values(key).reset_index(drop=True)
        for args in ((graph, embeddings, is_decoy), (moved, embeddings[:, new], is_decoy))
    ]
    pd.testing.assert_frame_equal(*tables)


def test_signs_turn_the_score_and_parallel_edges_are_one_row(rng):
    frame = pd.DataFrame(
        {"source": ["A", "A", "A"], "target": ["p", "q", "q"], "sign": [-1, 1, -1], "weight": [1, 0.2, 0.9]}
    )
    graph = GuidanceGraph.from_frame(frame)
    embeddings = embed(rng, graph, models=2)
    table = link_table(graph, embeddings, null="shuffled", n_null=3000)
    a, p, q = (graph.features.get_loc(name) for name in "Apq")
    assert table[["gene", "peak", "sign"]].to_numpy().tolist() == [["A", "p", -1], ["A", "q", -1]]
    assert table["weight"].tolist() == pytest.approx([1, 0.9])
    expected = [-np.mean([cosine(rows[a], rows[x]) for rows in embeddings]) for x in (p, q)]
    np.testing.assert_allclose(table["score"], expected)
    assert table["n_null"].between(1000, 3000).all()  # of three features, some are drawn with themselves
    assert table["chrom"].isna().all()
    assert table["tss"].isna().all()


def test_a_link_between_chromosomes_keeps_its_peak_and_loses_its_start(linked_graph, rng):
    graph = linked_graph()
    union, is_decoy = graph.with_decoys()
    table = link_table(
        GuidanceGraph(
            graph.features, graph.modality, union.source[is_decoy], union.target[is_decoy], union.sign[is_decoy],
            union.weight[is_decoy], positions=graph.positions,
        ),
        embed(rng, graph), null="shuffled", n_null=1000,
    )  # fmt: skip
    places = Places.of(graph.positions, graph.n_features)
    trans = ~places.on_one_chromosome(union.source[is_decoy], union.target[is_decoy])
    assert table["tss"].isna().tolist() == trans.tolist()
    assert table["peak_start"].notna().all()


@pytest.mark.parametrize("name", ["links.bedpe", "links.bedpe.gz"])
def test_bedpe_tells_what_the_table_tells(linked_graph, rng, tmp_path, name):
    graph = linked_graph()
    hic = pd.DataFrame({"source": [graph.features[0], "nowhere"], "target": ["p9", "elsewhere"]})
    graph = graph.merge(GuidanceGraph.from_frame(hic))
    table = link_table(graph, embed(rng, graph), null="shuffled", n_null=1000)
    write_bedpe(table, tmp_path / name)
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "rt") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    assert lines[0][:7] == ["#chrom1", "start1", "end1", "chrom2", "start2", "end2", "name"]
    assert len(lines) == len(table) + 1
    for line, row in zip(lines[1:], table.itertuples(), strict=True):
        known = pd.notna(row.tss)
        peak = [row.chrom, str(row.peak_start), str(row.peak_end)] if pd.notna(row.peak_start) else [".", "-1", "-1"]
        gene = [row.chrom, str(row.tss), str(row.tss + 1)] if known else [".", "-1", "-1"]
        assert line[:3] == peak
        assert line[3:6] == gene
        assert line[6:10] == [f"{row.gene}|{row.peak}", f"{row.score:.6g}", ".", row.strand]
    assert lines[-1][:6] == [".", "-1", "-1"] * 2


def test_bedpe_of_links_that_were_written_and_read_is_the_same(linked_graph, rng, tmp_path):
    graph = linked_graph()
    places = graph.positions.assign(chrom=graph.positions["chrom"].astype(str).str.removeprefix("chr"))
    graph = dataclasses.replace(graph, positions=places)
    hic = pd.DataFrame({"source": [graph.features[0], "nowhere"], "target": ["p9", "elsewhere"]})
    graph = graph.merge(GuidanceGraph.from_frame(hic))
    table = link_table(graph, embed(rng, graph), null="shuffled", n_null=1000)
    for some, kind in ((table, float), (table[table["chrom"].notna()], int)):
        some.to_csv(tmp_path / "links.csv", index=False)
        back = pd.read_csv(tmp_path / "links.csv")
        assert back["chrom"].dtype == kind
        write_bedpe(some, tmp_path / "a.bedpe")
        write_bedpe(back, tmp_path / "b.bedpe")
        assert (tmp_path / "a.bedpe").read_text() == (tmp_path / "b.bedpe").read_text()
        assert back["chrom"].dtype == kind  # the user's table is as it was


def test_bad_input_is_refused(refused, linked_graph, rng, tmp_path):
    graph, is_decoy = linked_graph().with_decoys()
    embeddings = embed(rng, graph)
    with refused(f"shape ({graph.n_features}, 20)", "(models, nodes, latent)", "embedding[None]"):
        link_table(graph, embeddings[0], is_decoy)
    with refused("model 1 for 'g3'", "finite embeddings", "leave it out"):
        broken = embeddings.copy()
        broken[1, 3, 0] = np.nan
        link_table(graph, broken, is_decoy)
    with refused("none", "decoys among the edges", "null='trans'"):
        link_table(graph, embeddings)
    with refused("int64 of shape", "true or false for each", "with_decoys()"):
        link_table(graph, embeddings, is_decoy.astype(int))
    with refused("decoys of other genes", "in the order of the edges", "take subset() before"):
        link_table(graph, embeddings, rng.permutation(is_decoy))
    with refused("'random'", "null"):
        link_table(graph, embeddings, is_decoy, null="random")
    with refused("'up'", "alternative"):
        link_table(graph, embeddings, is_decoy, alternative="up")
    with refused("0", "n_null"):
        link_table(graph, embeddings, null="trans", n_null=0)
    with refused("reverse edges and loops", "forward edges"):
        link_table(graph.with_reverse_and_loops(), embeddings, null="shuffled")
    table = link_table(graph, embeddings, is_decoy)
    with refused("no 'tss' among 'peak'", "table with the columns", "link_table()"):
        write_bedpe(table.drop(columns="tss"), tmp_path / "x.bedpe")
    assert not (tmp_path / "x.bedpe").exists()
    pair = GuidanceGraph.from_frame(pd.DataFrame({"source": ["A"], "target": ["p"]}))
    with refused("near or linked", "several chromosomes", "null='shuffled'"):
        link_table(pair, embed(rng, pair), null="trans")

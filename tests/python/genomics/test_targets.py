from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import binom, kstest, rankdata

from isthmus.genomics import Intervals, tf_rankings, tf_targets
from isthmus.genomics._motifs import alike
from isthmus.genomics._names import as_spelled

TFS = ["GATA1", "SPI1", "CTCF"]


def peaks_of(n: int = 400) -> Intervals:
    """Narrow and wide peaks."""
    start = 2000 * np.arange(n)
    width = np.where(np.arange(n) % 2 == 0, 200, 1000)
    names = pd.Index([f"chr1:{s}-{s + w}" for s, w in zip(start, width, strict=True)])
    return Intervals(names, pd.Categorical(["chr1"] * n), start, start + width, np.full(n, "."))


@pytest.fixture
def peaks() -> Intervals:
    return peaks_of()


@pytest.fixture
def motifs(rng, peaks) -> pd.DataFrame:
    """Wide peaks hold a motif three times as often."""
    share = np.where(peaks.width > 500, 0.3, 0.1)[:, None] * [1, 1.2, 0.6]
    return pd.DataFrame((rng.random(share.shape) < share).astype(int), index=peaks.names, columns=TFS)


@pytest.fixture
def links(rng, peaks) -> pd.DataFrame:
    rows = rng.choice(len(peaks), 300, replace=False)
    return pd.DataFrame({"peak": peaks.names[rows], "gene": [f"g{i}" for i in rng.integers(0, 40, 300)]})


def slow(links: pd.DataFrame, motifs: pd.DataFrame, n_draws: int, rng: np.random.Generator) -> pd.DataFrame:
    """Counts and p-values, one gene, TF and draw at a time, other peaks of the same width class."""
    wide = np.array([int(b) - int(a) > 500 for a, b in (name[5:].split("-") for name in motifs.index)])
    rows = []
    for gene, part in links.drop_duplicates().groupby("gene"):
        own = motifs.index.get_indexer(part["peak"])
        draws = np.array([
            [rng.choice(np.flatnonzero(wide == wide[peak])) for peak in own] for _ in range(n_draws)
        ])  # fmt: skip
        for tf in motifs.columns:
            held = motifs[tf].to_numpy()
            n = held[own].sum()
            if n:
                rows.append((tf, gene, n, (1 + (held[draws].sum(axis=1) >= n).sum()) / (n_draws + 1)))
    return pd.DataFrame(rows, columns=["tf", "gene", "n_peaks", "pvalue"])


def by_pair(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["tf", "gene"]).reset_index(drop=True)


def test_counts_and_p_values_are_those_of_a_loop(rng, links, motifs):
    expected = by_pair(slow(links, motifs, 300, rng))
    for n_draws, within in ((2000, 0.11), (None, 0.1)):
        table = by_pair(tf_targets(links, motifs, n_draws=n_draws))
        pd.testing.assert_frame_equal(
            table[["tf", "gene", "n_peaks"]], expected[["tf", "gene", "n_peaks"]], check_dtype=False
        )
        np.testing.assert_allclose(table["pvalue"], expected["pvalue"], atol=within)
        assert (table["pvalue"] - expected["pvalue"]).mean() == pytest.approx(0, abs=0.01)


def test_draws_approach_the_exact_probabilities(links, motifs):
    exact, drawn = tf_targets(links, motifs), tf_targets(links, motifs, n_draws=5000)
    both = exact.merge(drawn, on=["tf", "gene"])
    assert len(both) == len(exact) == len(drawn)
    spread = np.sqrt(both["pvalue_x"] * (1 - both["pvalue_x"]) / 5000)
    assert (np.abs(both["pvalue_x"] - both["pvalue_y"]) < 5 * spread + 2 / 5000).all()


def test_equal_peaks_follow_the_binomial(rng):
    names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(200)]
    held = (np.arange(200) < 30).astype(float)[:, None]
    links = pd.DataFrame({"gene": "A", "peak": names[25:35]})
    table = tf_targets(links, (held, names, ["CTCF"]))
    assert table["n_peaks"].tolist() == [5]
    assert table["pvalue"].tolist() == pytest.approx([binom.sf(4, 10, 0.15)])


def test_ranks_and_q_values(links, motifs):
    table = tf_targets(links, motifs, n_draws=200, seed=1)
    n_tests = links["gene"].nunique() * motifs.shape[1]
    full = np.concatenate([table["pvalue"], np.ones(n_tests - len(table))])
    order = np.argsort(full)
    q = np.minimum.accumulate((full[order] * n_tests / np.arange(1, n_tests + 1))[::-1])[::-1]
    expected = np.empty(n_tests)
    expected[order] = q
    np.testing.assert_allclose(table["qvalue"], expected[: len(table)])
    for _, part in table.groupby("tf"):
        assert part["rank"].tolist() == rankdata(part["pvalue"]).tolist()
        assert part["rank"].is_monotonic_increasing
    assert list(pd.unique(table["tf"])) == TFS


def test_the_ranking_is_whole(links, motifs):
    table = tf_targets(links, motifs, n_draws=200)
    genes = sorted([*links["gene"].unique(), "unlinked"])
    ranks = tf_rankings(table, genes, [*TFS, "none"])
    assert ranks.shape == (len(genes), 4)
    assert (ranks.sum() == len(genes) * (len(genes) + 1) / 2).all()
    for row in table.itertuples():
        assert ranks.at[row.gene, row.tf] == row.rank
    last = ranks.loc["unlinked"]
    assert (ranks.max() == last).all()
    assert ranks["none"].nunique() == 1


def test_a_planted_target_is_found_first(rng, links, motifs, peaks):
    holders = peaks.names[motifs["CTCF"].to_numpy() == 1]
    planted = pd.DataFrame({"peak": rng.choice(holders, 12, replace=False), "gene": "target"})
    table = tf_targets(pd.concat([links, planted]), motifs, n_draws=1000)
    first = table[table["tf"] == "CTCF"].iloc[0]
    assert (first["gene"], first["rank"]) == ("target", 1)
    assert first["pvalue"] == pytest.approx(1 / 1001)
    assert first["qvalue"] < 0.2
    exact = tf_targets(pd.concat([links, planted]), motifs)
    assert exact.set_index(["tf", "gene"]).loc[("CTCF", "target"), "qvalue"] < 1e-3


def test_wide_peaks_are_no_evidence(rng):
    """Genes linked to wide peaks alone hold more motifs than an average peak, yet no more than wide peaks."""
    peaks = peaks_of(3000)
    wide = peaks.width > 500
    share = np.where(wide, 0.5, 0.05)[:, None]
    motifs = pd.DataFrame((rng.random((3000, 20)) < share).astype(int), index=peaks.names)
    motifs.columns = [f"T{i}" for i in range(20)]
    links = pd.DataFrame({"peak": peaks.names[wide][:1200], "gene": np.repeat([f"g{i}" for i in range(60)], 20)})
    table = tf_targets(links, motifs)
    assert kstest(table["pvalue"], "uniform", alternative="greater").pvalue > 0.01  # discrete: only too large
    assert (table["qvalue"] < 0.05).mean() < 0.01


def test_motifs_come_in_any_form(links, motifs, peaks):
    expected = by_pair(tf_targets(links, motifs))
    sparse = sp.csc_matrix(motifs.to_numpy() * 2.5)
    long = motifs.stack()
    long = long[long > 0].rename_axis(["peak", "tf"]).reset_index()
    forms = [
        (motifs.astype(bool), None),
        ((sparse, motifs.index, TFS), None),
        (ad.AnnData(sparse.tocsr(), obs=pd.DataFrame(index=motifs.index), var=pd.DataFrame(index=TFS)), None),
        (long, peaks),
        (pd.concat([long, long]), list(peaks.names)),
        (motifs, peaks.to_frame()),
        (motifs.astype(float).where(motifs != 0), None),  # scores that were made wide
    ]
    for form, among in forms:
        pd.testing.assert_frame_equal(by_pair(tf_targets(links, form, among)), expected)


def test_a_peak_is_the_same_in_any_spelling(links, motifs, peaks):
    expected = tf_targets(links, motifs)
    dashed = links.assign(peak=links["peak"].str.replace(":", "-"))
    mixed = dashed.assign(peak=dashed["peak"].where(np.arange(len(links)) % 2 == 0, links["peak"]))
    bare = links.assign(peak=links["peak"].str.removeprefix("chr"))
    under = motifs.set_axis(motifs.index.str.replace("[:-]", "_", regex=True))
    for form, held, among in (
        (dashed, motifs, None), (bare, motifs, None), (bare, under, None), (links, under, None),
        (mixed, motifs, None), (pd.concat([dashed, links]), motifs, None), (dashed, under, peaks),
        (links, motifs, list(under.index)),
    ):  # fmt: skip
        pd.testing.assert_frame_equal(tf_targets(form, held, among), expected)


def test_spellings_that_could_be_several_names_are_left_alone():
    names = pd.Index(["a-1", "b-1", "c:1", "chrd:1", "KI270728.1-1,000-2000"], dtype=object)
    known = pd.Index(["a-1", "a:1", "b_1", "b.1", "c_1", "d-1", "chrd_1", "KI270728.1:1000-2000"], dtype=object)
    assert list(as_spelled(names, known)) == ["a-1", "b-1", "c_1", "chrd:1", "KI270728.1:1000-2000"]
    assert as_spelled(known, known) is known
    assert list(as_spelled(known, known[:0])) == list(known)


def test_the_order_of_rows_does_not_matter(rng, links, motifs):
    expected = tf_targets(links, motifs)
    shuffled = links.iloc[rng.permutation(len(links))], motifs.iloc[rng.permutation(len(motifs))]
    pd.testing.assert_frame_equal(tf_targets(*shuffled), expected)
    twice = pd.concat([links, links])
    pd.testing.assert_frame_equal(tf_targets(twice, motifs), expected)
    pd.testing.assert_frame_equal(tf_targets(links, motifs, seed=3), tf_targets(links, motifs, seed=3))


def test_peaks_are_matched_by_columns_too(rng, peaks):
    gc = rng.normal(size=len(peaks))
    table = peaks.to_frame().assign(gc=gc)
    code = alike(table, peaks.names, ["gc"])
    wide = peaks.width > 500
    assert all(len({*wide[code == one]}) == 1 for one in np.unique(code))
    assert np.bincount(code).min() >= 50
    limits = [(gc[code == one].min(), gc[code == one].max()) for one in np.unique(code[wide])]
    assert len(limits) == 2
    assert sorted(limits)[0][1] < sorted(limits)[1][0]


def test_bad_input_is_refused(refused, links, motifs, peaks):
    with refused("none", "at least one link", "q-value"):
        tf_targets(links[:0], motifs)
    with refused("no 'gene' among 'peak'", "'peak', 'gene'"):
        tf_targets(links[["peak"]], motifs)
    with refused("such as 'chr9:1-2'", "every peak among the 400 known", "same kind"):
        tf_targets(links.assign(peak="chr9:1-2"), motifs)
    with refused("list", "motifs as AnnData"):
        tf_targets(links, [1, 2])
    with refused("shape (3, 400) with 400 names of peaks and 3 of TFs", "a row for each peak", "transpose"):
        tf_targets(links, (motifs.to_numpy().T, motifs.index, TFS))
    with refused("none", "does not tell which peaks hold no motif", "peaks="):
        tf_targets(links, pd.DataFrame({"peak": links["peak"], "tf": "CTCF"}))
    with refused("others alone, such as 'chr9:1-2'", "motifs of the peaks", "same kind"):
        tf_targets(links, pd.DataFrame({"peak": ["chr9:1-2"], "tf": "CTCF"}), peaks)
    with refused("none", "linked peaks that hold a motif", "belong together"):
        tf_targets(links, motifs * 0)
    with refused("0", "n_draws"):
        tf_targets(links, motifs, n_draws=0)
    with refused("no columns", "a column 'gc'", "leave it out of match"):
        tf_targets(links, motifs, peaks, match=["gc"])
    with refused("nan for", "numbers in the column 'gc'", "fill them in"):
        tf_targets(links, motifs, peaks.to_frame().assign(gc=np.nan), match=["gc"])
    with refused("1 others, such as 'g", "every gene among the 1 known", "leave the others out"):
        table = tf_targets(links, motifs, n_draws=1)
        tf_rankings(table[table["gene"] == table["gene"][0]], ["other"])

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import Intervals, overlap_join

STYLES = {
    "chr1:100-200": ("chr1", 100, 200, "."),
    "chr1-100-200": ("chr1", 100, 200, "."),
    "chr1_100_200": ("chr1", 100, 200, "."),
    "chr1.100.200": ("chr1", 100, 200, "."),
    "1:100-200": ("1", 100, 200, "."),
    "chr1:1,000,100-1,000,200": ("chr1", 1_000_100, 1_000_200, "."),
    "chrUn_gl000220_1_2": ("chrUn_gl000220", 1, 2, "."),
    "chrUn_gl000220:1-2": ("chrUn_gl000220", 1, 2, "."),
    "chr6_GL000250v2_alt-1-2": ("chr6_GL000250v2_alt", 1, 2, "."),
    "GL000220.1:1-2": ("GL000220.1", 1, 2, "."),
    "GL000220.1_1_2": ("GL000220.1", 1, 2, "."),
    "NC_000001.11:1-2": ("NC_000001.11", 1, 2, "."),
    "HLA-A*01:01:01:01:5-9": ("HLA-A*01:01:01:01", 5, 9, "."),
    "chrX:7-8:-": ("chrX", 7, 8, "-"),
    "chrX:7-8:*": ("chrX", 7, 8, "."),
}


def rows(intervals: Intervals) -> list[tuple]:
    parts = (intervals.chrom, intervals.start, intervals.end, intervals.strand)
    return [(str(c), int(s), int(e), str(d)) for c, s, e, d in zip(*parts, strict=True)]


def test_every_style_of_peak_names_is_read():
    found = Intervals.from_names(list(STYLES))
    assert rows(found) == list(STYLES.values())
    assert found.names.tolist() == list(STYLES)
    assert rows(Intervals.from_names(["chr1:100-200"], one_based=True)) == [("chr1", 99, 200, ".")]
    assert len(Intervals.from_names([])) == 0


@pytest.mark.parametrize(
    "name", ["TP53", "chr1:100", "chr10_103235914", "chr1:-5-10", "chr1:a-b", ":1-2", "chr1:1-2:x"]
)
def test_names_without_a_position_are_refused(refused, name):
    with refused(f"1 of 3 others, such as '{name}'", "'chr1:100-200'", "chromStart"):
        Intervals.from_names(["chr1:1-2", name, "chr2:1-2"])


@pytest.mark.parametrize(
    "columns",
    [
        ("chrom", "chromStart", "chromEnd", "strand"),
        ("chr", "start", "end", "strand"),
        ("seqnames", "start", "end", "strand"),
        ("Chromosome", "Start", "End", "Strand"),
        ("#chrom", "txStart", "txEnd", "strand"),
    ],
    ids=lambda names: names[0],
)
def test_columns_are_found_under_their_usual_spellings(columns):
    table = pd.DataFrame(
        [("chr1", 5, 9, "+"), ("chr2", 1.0, 3.0, "*"), ("chr2", 7, 8, "-")], columns=columns, index=["a", "b", "c"]
    )
    found = Intervals.from_frame(table)
    assert rows(found) == [("chr1", 5, 9, "+"), ("chr2", 1, 3, "."), ("chr2", 7, 8, "-")]
    assert found.names.tolist() == ["a", "b", "c"]


def test_strands_may_be_numbers_and_chromosomes_too():
    table = pd.DataFrame({"chrom": [1, 2, 3, 4], "start": 0, "end": 5, "strand": [1, -1, 0, np.nan]})
    found = Intervals.from_frame(table)
    assert found.strand.tolist() == ["+", "-", ".", "."]
    assert found.chrom.astype(str).tolist() == ["1", "2", "3", "4"]
    assert found.names[1] == "2:0-5"


def test_names_come_from_a_column_the_index_or_the_call():
    table = pd.DataFrame({"chrom": ["chr1"], "start": [1], "end": [2], "name": ["b"], "other": ["c"]}, index=["a"])
    assert Intervals.from_frame(table).names.tolist() == ["b"]
    assert Intervals.from_frame(table.drop(columns="name")).names.tolist() == ["a"]
    assert Intervals.from_frame(table, names="other").names.tolist() == ["c"]
    assert Intervals.from_frame(table, names=["d"]).names.tolist() == ["d"]


def test_a_table_is_the_same_after_a_round_trip(random_intervals):
    some = random_intervals(50)
    again = Intervals.from_frame(some.to_frame())
    assert rows(again) == rows(some)
    assert again.names.equals(some.names)


def test_bad_tables_are_refused(refused):
    good = pd.DataFrame({"chrom": ["chr1", "chr2"], "start": [1, 5], "end": [4, 9]}, index=["a", "b"])
    with refused("none for 'start'", "chromosome, start and end", "rename"):
        Intervals.from_frame(good.rename(columns={"start": "here"}))
    with refused("1 of 2 rows without one, such as 'b'", "start in every row", "leave"):
        Intervals.from_frame(good.assign(start=[1, np.nan]))
    with refused("1.5", "whole numbers", "column start"):
        Intervals.from_frame(good.assign(start=[1, 1.5]))
    with refused("'up'", "strands", "correct"):
        Intervals.from_frame(good.assign(strand=["+", "up"]))
    with refused("1 others, such as 5 to 5 ('b')", "end after their start", "one_based=True"):
        Intervals.from_frame(good.assign(end=[4, 5]))
    with refused("1 others, such as -1 to 4 ('a')", "start at 0", "correct"):
        Intervals.from_frame(good.assign(start=[0, 5]), one_based=True)
    with refused("the columns 'chrom', 'start', 'end'", "'symbol'", "name one"):
        Intervals.from_frame(good, names="symbol")
    with refused("lengths [1, 2]", "one length", "one value each"):
        Intervals.from_frame(good, names=["a"])


def test_windows_follow_the_strand(intervals):
    genes = intervals(("p", "chr1", 5000, 9000, "+"), ("m", "chr1", 5000, 9000, "-"))
    assert rows(genes.tss()) == [("chr1", 5000, 5001, "+"), ("chr1", 8999, 9000, "-")]
    assert rows(genes.promoters(2000, 100)) == [("chr1", 3000, 5101, "+"), ("chr1", 8899, 11000, "-")]
    assert rows(genes.extend(2000, 0)) == [("chr1", 3000, 9000, "+"), ("chr1", 5000, 11000, "-")]
    assert genes.midpoints.tolist() == [7000, 7000]
    assert genes.width.tolist() == [4000, 4000]


def test_no_start_falls_below_zero(intervals):
    genes = intervals(("p", "chr1", 10, 20, "+"), ("m", "chr1", 10, 20, "-"), ("u", "chr1", 10, 20, "."))
    assert rows(genes.take([0, 1]).extend(100, 5)) == [("chr1", 0, 25, "+"), ("chr1", 5, 120, "-")]
    assert genes.extend(50, 50).start.tolist() == [0, 0, 0]  # alike on both sides: no strand is needed


def test_a_missing_strand_is_refused_where_it_is_needed(refused, intervals):
    genes = intervals(("p", "chr1", 10, 20, "+"), ("u", "chr1", 10, 20, "."))
    for act in (genes.tss, genes.promoters, lambda: genes.extend(10, 0)):
        with refused("1 of 2 without one, such as 'u'", "a strand, + or -", "strands"):
            act()
    with refused("-1", "upstream"):
        genes.extend(-1, -1)


def test_subset_is_in_the_order_asked_for(refused, random_intervals):
    some = random_intervals(30)
    names = ["x7", "x3", "x29"]
    assert some.subset(names).names.tolist() == names
    assert rows(some.subset(names)) == [rows(some)[7], rows(some)[3], rows(some)[29]]
    with refused("1 of 2 unknown names, such as 'y'", "such as 'x0'", "same kind"):
        some.subset(["x1", "y"])
    with refused("several for 'a'", "one interval for every name", "one_per_name"):
        some.renamed(["a"] * 30).subset(["a"])


def test_one_per_name_keeps_the_assembled_then_the_longest(intervals):
    genes = intervals(
        ("HLA-A", "chr6_GL000250v2_alt", 0, 900, "+"),
        ("TP53", "chr17", 0, 10, "-"),
        ("HLA-A", "chr6", 5, 100, "+"),
        ("TP53", "chr17", 50, 90, "-"),
        ("TP53", "chr17", 200, 240, "-"),
    )
    kept = genes.one_per_name()
    assert kept.names.tolist() == ["HLA-A", "TP53"]
    assert rows(kept) == [("chr6", 5, 100, "+"), ("chr17", 50, 90, "-")]
    assert kept.one_per_name() is kept


def test_intervals_cannot_be_changed_in_place(random_intervals):
    some = random_intervals(3)
    with pytest.raises(ValueError, match="read-only"):
        some.start[0] = 5


@pytest.mark.parametrize("kind", [int, float, object, "string", "category", "mixed"])
def test_chromosomes_are_text_whatever_a_table_was_read_as(kind):
    plain = pd.DataFrame({"chrom": ["1", "10", "2"], "start": [5, 6, 7], "end": [15, 16, 17]}, index=["a", "b", "c"])
    chrom = pd.Series([1, "10", 2], dtype=object) if kind == "mixed" else pd.Series([1, 10, 2]).astype(kind)
    for found in (
        Intervals.from_frame(plain.assign(chrom=chrom.to_numpy() if kind == "mixed" else chrom.array)),
        Intervals(plain.index, chrom, plain["start"], plain["end"], [".", ".", "."]),
    ):
        assert rows(found) == [("1", 5, 15, "."), ("10", 6, 16, "."), ("2", 7, 17, ".")]
        assert found.chrom.categories.tolist() == ["1", "10", "2"]
        pairs = overlap_join(found, Intervals.from_names(["1:0-100", "2:0-100", "1.0:0-100"]))
        assert list(zip(pairs.first, pairs.second, strict=True)) == [(0, 0), (2, 1)]
    unnamed = Intervals.from_frame(plain.assign(chrom=chrom.array).reset_index(drop=True))
    assert unnamed.names.tolist() == ["1:5-15", "10:6-16", "2:7-17"]

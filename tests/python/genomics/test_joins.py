from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import Intervals, distance_join, overlap_join


def by_hand(a: Intervals, b: Intervals, within: int) -> list[tuple[int, int, int]]:
    """Every pair, looked at one by one."""
    out = []
    for i in range(len(a)):
        for j in range(len(b)):
            if str(a.chrom[i]) != str(b.chrom[j]):
                continue
            if b.start[j] < a.end[i] and b.end[j] > a.start[i]:
                distance = 0
            elif b.start[j] >= a.end[i]:
                distance = int(b.start[j] - a.end[i]) + 1
            else:
                distance = -(int(a.start[i] - b.end[j]) + 1)
            if abs(distance) <= within:
                out.append((i, j, -distance if a.strand[i] == "-" else distance))
    return out


def listed(pairs) -> list[tuple[int, int, int]]:
    return [tuple(int(x) for x in row) for row in zip(*pairs, strict=True)]


@pytest.mark.parametrize("within", [0, 1, 25, 10_000])
@pytest.mark.parametrize("widest", [1, 30, 900], ids=["points", "short", "nested"])
def test_joins_are_those_of_a_double_loop(random_intervals, within, widest):
    a, b = random_intervals(70, "a", widest=60), random_intervals(90, "b", widest=widest)
    assert listed(distance_join(a, b, within)) == by_hand(a, b, within)
    assert listed(distance_join(b, a, within)) == by_hand(b, a, within)


def test_one_interval_over_everything_hides_nothing(random_intervals, intervals):
    b = random_intervals(60, "b", chroms=("chr1",))
    wide = intervals(("wide", "chr1", 0, 5000, "+"), ("narrow", "chr1", 400, 401, "+"))
    assert listed(overlap_join(wide, b)) == by_hand(wide, b, 0)
    assert listed(overlap_join(b, wide)) == by_hand(b, wide, 0)


def test_touching_is_not_overlapping(intervals):
    a = intervals(("a", "chr1", 10, 20, "+"), ("m", "chr1", 10, 20, "-"))
    b = intervals(("left", "chr1", 5, 10, "."), ("right", "chr1", 20, 30, "."), ("last", "chr1", 19, 20, "."))
    assert listed(overlap_join(a, b)) == [(0, 2, 0), (1, 2, 0)]
    assert listed(distance_join(a, b, 1)) == [(0, 0, -1), (0, 1, 1), (0, 2, 0), (1, 0, 1), (1, 1, -1), (1, 2, 0)]


def test_chromosomes_do_not_run_into_each_other(intervals):
    a = intervals(("a", "chr1", 90, 100, "+"))
    b = intervals(("b", "chr2", 0, 10, "."), ("c", "chr3", 95, 99, "."))
    assert len(distance_join(a, b, 10**9).first) == 0


def test_chromosomes_are_matched_by_name_not_by_code(random_intervals):
    a, b = random_intervals(40), random_intervals(40, chroms=("chrX", "chr5", "chr1"))
    recoded = Intervals(
        b.names, pd.Categorical(b.chrom.astype(str), ["chr1", "chr5", "chrX"]), b.start, b.end, b.strand
    )
    assert listed(distance_join(a, b, 30)) == by_hand(a, b, 30) == listed(distance_join(a, recoded, 30))


def test_empty_sets_meet_nothing(random_intervals, intervals):
    some, none = random_intervals(5), intervals()
    for a, b in ((some, none), (none, some), (none, none)):
        pairs = distance_join(a, b, 100)
        assert [len(part) for part in pairs] == [0, 0, 0]
        assert [part.dtype for part in pairs] == [np.int64] * 3


def test_the_order_of_the_intervals_changes_only_their_numbers(rng, random_intervals):
    a, b = random_intervals(50, "a"), random_intervals(60, "b")
    p, q = rng.permutation(50), rng.permutation(60)
    first, second, distance = distance_join(a.take(p), b.take(q), 40)
    assert sorted(zip(p[first], q[second], distance, strict=True)) == listed(distance_join(a, b, 40))


def test_pairs_are_sorted(random_intervals):
    pairs = distance_join(random_intervals(50), random_intervals(60), 40)
    keys = pairs.first * 60 + pairs.second
    assert np.all(np.diff(keys) > 0)


@pytest.mark.parametrize("within", [-1, 0.5, 2 * 10**9, "far"])
def test_a_distance_that_is_none_is_refused(refused, random_intervals, within):
    with refused(repr(within), "within"):
        distance_join(random_intervals(3), random_intervals(3), within)

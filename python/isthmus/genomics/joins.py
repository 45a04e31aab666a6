"""Which intervals meet, and how far apart they are: joins on sorted arrays.

The chromosomes are laid one after the other on a single line, so that one sorted array serves the whole genome.
Two intervals meet in one of two ways, never in both: the second starts inside the first, or the first starts inside
the second, after its beginning. Either way is a range in an array of sorted starts, which two binary searches find.
No interval is looked at in vain, however long or nested the intervals are: the work is that of sorting,
O((n + m) log(n + m)), and of writing the pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from isthmus.data.door import check_number
from isthmus.genomics.intervals import Intervals

LARGEST_REACH = 10**9  # base pairs; more than any chromosome


class Pairs(NamedTuple):
    """Pairs of intervals, sorted by ``first``, then by ``second``.

    Attributes
    ----------
    first, second
        (pairs,) int64, rows of the two sets of intervals.
    distance
        (pairs,) int64 base pairs: 0 where they overlap, else the number of bases between them plus one; negative
        where the second lies upstream of the first (as the strand of the first runs; unknown counts as +).
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray


def overlap_join(a: Intervals, b: Intervals) -> Pairs:
    """All pairs that share a base; intervals that only touch do not.

    Parameters
    ----------
    a, b
        Intervals in any order; they may be nested, and strands play no part.

    Returns
    -------
    Pairs
        Rows of ``a`` and of ``b``; every distance is 0.
    """
    return distance_join(a, b, 0)


def distance_join(a: Intervals, b: Intervals, within: int) -> Pairs:
    """All pairs that are at most ``within`` base pairs apart.

    Parameters
    ----------
    a, b
        Intervals in any order, such as genes and peaks; they may be nested.
    within
        Largest absolute distance, at least 0. Intervals that touch are 1 apart.

    Returns
    -------
    Pairs
        Rows of ``a`` and of ``b``, and their signed distance. Memory beyond that of the intervals is about five
        integers a pair at the peak.

    Raises
    ------
    InputError
        If ``within`` is negative, not whole, or more than 10^9.
    """
    check_number(within, "within", 0, LARGEST_REACH, whole=True)
    start_a, start_b = _on_one_line(a, b, int(within))
    end_a, end_b = start_a + a.width, start_b + b.width
    low, high = start_a - int(within), end_a + int(within)
    inside_a = _ranges(start_b, low, high)
    second, first = _ranges(low, start_b + 1, end_b)
    order = np.argsort(np.concatenate([inside_a[0] * len(b) + inside_a[1], first * len(b) + second]))
    first = np.concatenate([inside_a[0], first])[order]
    second = np.concatenate([inside_a[1], second])[order]
    return Pairs(first, second, _signed(first, second, (start_a, end_a), (start_b, end_b), a.strand == "-"))


def _on_one_line(a: Intervals, b: Intervals, within: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts of ``a`` and ``b`` with the chromosomes laid end to end, too far apart to meet."""
    chroms = a.chrom.categories.union(b.chrom.categories, sort=False)
    longest = max(a.end.max(initial=0), b.end.max(initial=0))
    pitch = int(longest) + 2 * within + 2
    line_a, line_b = (
        chroms.get_indexer(pd.Index(x.chrom.categories)).astype(np.int64)[x.chrom.codes] * pitch + x.start
        for x in (a, b)
    )
    return line_a, line_b


def _ranges(point: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All (row of the ranges, row of ``point``) with ``low <= point < high``."""
    order = np.argsort(point, kind="stable")
    sorted_point = point[order]
    begin = np.searchsorted(sorted_point, low)
    count = np.maximum(np.searchsorted(sorted_point, high) - begin, 0)
    row = np.repeat(np.arange(len(low)), count)
    place = np.arange(len(row)) + np.repeat(begin - (np.cumsum(count) - count), count)
    return row, order[place]


def _signed(
    first: np.ndarray,
    second: np.ndarray,
    a: tuple[np.ndarray, np.ndarray],
    b: tuple[np.ndarray, np.ndarray],
    minus: np.ndarray,
) -> np.ndarray:
    """Distance of each pair, negative upstream."""
    after = b[0][second] - a[1][first] + 1  # at least 1 where b lies to the right
    before = a[0][first] - b[1][second] + 1
    distance = np.maximum(after, 0) - np.maximum(before, 0)
    return np.where(minus[first], -distance, distance)

"""Which intervals meet, and how far apart they are."""

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
        Rows of ``a`` and of ``b``, and their signed distance.

    Raises
    ------
    InputError
        If ``within`` is negative, not whole, or more than 10^9.
    """
    check_number(within, "within", 0, LARGEST_REACH, whole=True)
    if not len(a) or not len(b):
        return Pairs(*(np.empty(0, dtype=np.int64) for _ in range(3)))
    import bioframe  # loads matplotlib: only where it is used

    found = bioframe.overlap(_table(a, int(within)), _table(b, 0), how="inner", return_input=False, return_index=True)
    first, second = (found[name].to_numpy(dtype=np.int64) for name in ("index", "index_"))
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    return Pairs(first, second, _signed(a, b, first, second))


def _table(intervals: Intervals, wider: int) -> pd.DataFrame:
    """The intervals as bioframe has them, made longer on either side."""
    chrom = intervals.chrom.astype(str)
    return pd.DataFrame({"chrom": chrom, "start": intervals.start - wider, "end": intervals.end + wider})


def _signed(a: Intervals, b: Intervals, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance of each pair, negative upstream."""
    after = b.start[second] - a.end[first] + 1  # at least 1 where b lies to the right
    before = a.start[first] - b.end[second] + 1
    distance = np.maximum(after, 0) - np.maximum(before, 0)
    return np.where(a.strand[first] == "-", -distance, distance)

"""Strata of edges: the same pair of modalities, about the same distance."""

from __future__ import annotations

import numpy as np


def strata(
    group: np.ndarray,
    distance: np.ndarray,
    weight: np.ndarray,
    *,
    least: int,
    most: int,
    learn: np.ndarray | None = None,
) -> np.ndarray:
    """Sort edges into quantile bins of the absolute distance, of the weight where the distance is not known.

    Parameters
    ----------
    group
        (edges,) int64, edges of different groups are never in one stratum.
    distance
        (edges,) base pairs, NaN where not known.
    weight
        (edges,) weights.
    least
        Edges in a bin at least; where a group has fewer than twice as many, it is one bin.
    most
        Bins at most in each group.
    learn
        (edges,) bool, edges from which the bins are made and which ``least`` counts; by default all.

    Returns
    -------
    numpy.ndarray
        (edges,) int64, number of the stratum of each edge.
    """
    known = np.isfinite(distance)
    value = np.where(known, np.abs(distance), -weight.astype(np.float64))
    kind = 2 * group + known
    out = np.empty(len(group), dtype=np.int64)
    start = 0
    for one in np.flatnonzero(np.bincount(kind)):
        rows = np.flatnonzero(kind == one)
        limits = cuts(value[rows if learn is None else rows[learn[rows]]], least, most)
        out[rows] = start + np.searchsorted(limits, value[rows], side="right")
        start += len(limits) + 1
    return out


def cuts(values: np.ndarray, least: int, most: int) -> np.ndarray:
    """Inner limits of at most ``most`` quantile bins of at least ``least`` values each; equal values stay together."""
    ordered = np.sort(values)
    n_bins = min(most, len(ordered) // least)
    if n_bins < 2:
        return ordered[:0]
    wanted = np.unique(ordered[np.arange(1, n_bins) * len(ordered) // n_bins])
    kept, last = [], 0
    for limit, place in zip(wanted, np.searchsorted(ordered, wanted), strict=True):
        if place - last >= least and len(ordered) - place >= least:  # ties can leave less than a share on one side
            kept.append(limit)
            last = place
    return np.array(kept, dtype=ordered.dtype)


def pairs_of_modalities(modality: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(edges,) int64, one number for each pair of modalities."""
    code = np.unique(modality.astype(str), return_inverse=True)[1].astype(np.int64)
    return code[source] * (code.max(initial=0) + 1) + code[target]

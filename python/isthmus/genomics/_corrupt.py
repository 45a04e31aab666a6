"""Edges that are led elsewhere at random."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.door import check_number
from isthmus.genomics._arrays import is_in

ROUNDS = 200  # of drawing again where a pair is taken; one is nearly enough in a sparse graph


def replace_edges(
    modality: np.ndarray, source: np.ndarray, target: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """New ends of the edges: ``share`` of them replaced by pairs that had no edge, within the same modalities.

    Returns
    -------
    tuple
        (edges,) int64 sources and targets; replaced edges stay at their place, so that signs and weights do too.
    """
    check_number(share, "share", 0, 1)
    n = len(modality)
    chosen = rng.choice(len(source), round(share * len(source)), replace=False)
    code, names = pd.factorize(modality)
    from_pool, to_pool = _pools(code, names, source), _pools(code, names, target)
    source, target = source.copy(), target.copy()
    taken = np.sort(_pair(source, target, n))
    for _ in range(ROUNDS):
        if not chosen.size:
            return source, target
        s = _draw(from_pool, code[source[chosen]], rng)
        t = _draw(to_pool, code[target[chosen]], rng)
        key = _pair(s, t, n)
        first = np.zeros(len(key), dtype=bool)
        first[np.unique(key, return_index=True)[1]] = True
        fine = first & (s != t) & ~is_in(key, taken)
        source[chosen[fine]], target[chosen[fine]] = s[fine], t[fine]
        taken = np.sort(np.concatenate([taken, key[fine]]))
        chosen = chosen[~fine]
    raise InputError(
        "enough pairs without an edge to replace edges by",
        f"{len(chosen)} edges that found none: nearly all pairs have one",
        "lower share, or leave out features of this graph",
    )


def _pair(source: np.ndarray, target: np.ndarray, n: int) -> np.ndarray:
    """One number for each pair of nodes, the same in both directions."""
    return np.minimum(source, target) * n + np.maximum(source, target)


def _pools(code: np.ndarray, names: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """The features to draw from, for each modality: all of it, or where it is not known those that have such edges."""
    used = np.flatnonzero(np.bincount(ends))
    return [
        np.flatnonzero(code == modality) if name else used[code[used] == modality]
        for modality, name in enumerate(names)
    ]


def _draw(pools: list[np.ndarray], code: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A feature of each modality named."""
    out = np.empty(len(code), dtype=np.int64)
    for modality, pool in enumerate(pools):
        rows = np.flatnonzero(code == modality)
        if rows.size:
            out[rows] = rng.choice(pool, len(rows))
    return out

"""Decoys: edges that get the pull of real ones, and mean nothing.

A model of linked features is told by the graph which of them to put near each other, so an edge alone raises the cosine
of its ends. Shuffled embeddings, the null of Cao and Gao 2022 (doi:10.1038/s41587-022-01284-4), know nothing of this
pull. Decoys stand in the graph during training, as target and decoy sequences do in the search of mass spectra (Elias
and Gygi 2007, doi:10.1038/nmeth1019), and get all of it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from isthmus._errors import InputError
from isthmus.genomics._arrays import is_in
from isthmus.genomics._places import Places
from isthmus.genomics._strata import pairs_of_modalities, strata

FAR = 5_000_000  # base pairs; no enhancer is known to act over more than some 2 Mb
LEAST, MOST = 500, 50  # edges in a stratum, strata in each pair of modalities
ROUNDS, PATIENCE = 60, 8  # of repair; rounds without any progress
MANY = 0.05  # share of edges without a decoy that is worth a warning


def decoy_edges(graph: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """For every edge a target that another edge of its stratum has, far from the gene and not linked to it.

    Targets are permuted within strata of the same pair of modalities, about the same distance, and the same number
    of parallel edges, which move together. Invalid ones are exchanged with others at random, in rounds.

    Parameters
    ----------
    graph
        :class:`~isthmus.genomics.GuidanceGraph` of forward edges.
    rng
        Where chance comes from.

    Returns
    -------
    tuple
        (decoys,) int64, rows of the edges that have a decoy, in order; and the target of each decoy.

    Raises
    ------
    InputError
        If there is none.
    """
    n = graph.n_features
    key, first, pair_of, count = np.unique(
        graph.source * n + graph.target, return_index=True, return_inverse=True, return_counts=True
    )
    source, target = key // n, key % n
    kind = pairs_of_modalities(graph.modality, source, target) * (count.max() + 1) + count
    stratum = strata(kind, graph.distance[first], graph.weight[first], least=LEAST, most=MOST)
    pairs = _Pairs(source, target, Places.of(graph.positions, n))
    drawn, fine = _repaired(pairs, _permuted(target, stratum, rng), stratum, rng)
    rows = np.flatnonzero(fine[pair_of])
    _report(len(rows), graph.n_edges)
    return rows, drawn[pair_of[rows]]


class _Pairs:
    """Which targets the sources may have."""

    def __init__(self, source: np.ndarray, target: np.ndarray, places: Places) -> None:
        self.source, self.places = source, places
        self.linked = np.sort(self.key(np.arange(len(source)), target))

    def key(self, rows: np.ndarray, target: np.ndarray) -> np.ndarray:
        """One number for each pair, the same in both directions."""
        source = self.source[rows]
        return np.minimum(source, target) * len(self.places.chrom) + np.maximum(source, target)

    def allowed(self, rows: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(rows,) bool, far apart, and no edge between them."""
        source = self.source[rows]
        linked = is_in(self.key(rows, target), self.linked)
        return (source != target) & ~linked & ~self.places.near(source, target, FAR)


def _permuted(target: np.ndarray, stratum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Targets, each at another place of its stratum."""
    out = np.empty_like(target)
    out[np.argsort(stratum, kind="stable")] = target[np.lexsort((rng.random(len(target)), stratum))]
    return out


def _repaired(
    pairs: _Pairs, drawn: np.ndarray, stratum: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Targets after exchanges between invalid rows and others, and (rows,) bool, which of them are valid."""
    rows = np.arange(len(drawn))
    by_stratum = np.argsort(stratum, kind="stable")
    size = np.bincount(stratum)
    start = np.cumsum(size) - size
    fine = pairs.allowed(rows, drawn) & _first(pairs.key(rows, drawn))
    idle = 0
    for _ in range(ROUNDS):
        bad = rng.permutation(np.flatnonzero(~fine))
        if not bad.size or idle == PATIENCE:
            break
        home = stratum[bad]
        partner = by_stratum[start[home] + (rng.random(len(bad)) * size[home]).astype(np.int64)]
        # A row takes part in one exchange of a round only: the first that names it.
        once = _first(np.stack([bad, partner], axis=1).ravel()).reshape(-1, 2).all(axis=1)
        drawn = _exchanged(pairs, drawn, fine, bad[once], partner[once])
        now = pairs.allowed(rows, drawn) & _first(pairs.key(rows, drawn))
        idle = 0 if now.sum() > fine.sum() else idle + 1
        fine = now
    return drawn, fine


def _exchanged(pairs: _Pairs, drawn: np.ndarray, fine: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Targets with those of rows ``a`` and ``b`` exchanged, where it makes ``a`` valid and leaves ``b`` as good."""
    present = np.sort(pairs.key(np.arange(len(drawn)), drawn))
    rows, target = np.concatenate([a, b]), np.concatenate([drawn[b], drawn[a]])
    key = pairs.key(rows, target)
    valid_a, valid_b = (pairs.allowed(rows, target) & ~is_in(key, present) & _first(key)).reshape(2, -1)
    good = valid_a & (valid_b | ~fine[b])
    out = drawn.copy()
    out[a[good]], out[b[good]] = drawn[b[good]], drawn[a[good]]
    return out


def _first(values: np.ndarray) -> np.ndarray:
    """(values,) bool, where each value stands for the first time."""
    out = np.zeros(len(values), dtype=bool)
    out[np.unique(values, return_index=True)[1]] = True
    return out


def _report(n_decoys: int, n_edges: int) -> None:
    if not n_decoys:
        raise InputError(
            "features on several chromosomes, or more than 5 Mb apart, without edges between them",
            f"no decoy for any of {n_edges} edges",
            "score without decoys: link_table(graph, embeddings, null='shuffled')",
        )
    if n_decoys < (1 - MANY) * n_edges:
        warnings.warn(
            f"{n_edges - n_decoys} of {n_edges} edges have no decoy: too few features of about their distance lie far "
            "from the gene.",
            stacklevel=4,
        )

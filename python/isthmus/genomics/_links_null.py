"""What links would score that mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isqrt
from typing import NamedTuple

import numpy as np

from isthmus.genomics._arrays import is_in
from isthmus.genomics._places import Places
from isthmus.genomics._strata import strata
from isthmus.genomics.decoys import FAR

BLOCK = 1 << 12  # rows that are gathered together
PAIRS = 1 << 20  # all pairs of a group with all rows that are scored together
GROUP = 256  # rows of a group, all of whose pairs with another group count
ROUNDING = 1e-12  # a product of matrices adds up in another order than one of rows
LEAST, MOST = 1000, 50  # pairs in a stratum, strata in each pair of modalities
LARGE = 0.5  # p values above it are those of pairs that mean nothing
LEAST_SHARE = 0.005  # of pairs that mean something, taken to be in every stratum
WEIGHED = 25  # strata of weights at most


class Links(NamedTuple):
    """Pairs of features, with what decides their stratum.

    Attributes
    ----------
    source, target
        (pairs,) int64, positions of the features.
    sign, weight
        (pairs,) of their edges.
    group
        (pairs,) int64, number of the pair of modalities.
    distance
        (pairs,) base pairs, NaN where not known.
    """

    source: np.ndarray
    target: np.ndarray
    sign: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    distance: np.ndarray

    def take(self, rows: np.ndarray) -> Links:
        """The pairs at ``rows``."""
        return Links(*(part[rows] for part in self))

    def strata(self, most: int = MOST, learn: np.ndarray | None = None) -> np.ndarray:
        """(pairs,) number of the stratum of each, see :func:`isthmus.genomics._strata.strata`."""
        return strata(self.group, self.distance, self.weight, least=LEAST, most=most, learn=learn)

    def heaviest(self, n_features: int) -> np.ndarray:
        """Rows in which each pair stands once, of parallel edges the one with most weight (the first of equals)."""
        key = self.source * n_features + self.target
        order = np.lexsort((np.arange(len(key)), -self.weight.astype(np.float64), key))
        return np.sort(order[np.unique(key[order], return_index=True)[1]])


class NullBlock(NamedTuple):
    """Some null scores of one stratum.

    Attributes
    ----------
    stratum
        Its number.
    score
        (pairs,) float64.
    weight
        As how many each counts.
    """

    stratum: int
    score: np.ndarray
    weight: float = 1.0


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """(nodes, models, latent) rows scaled to length 1, rows of zeros left as they are.

    Parameters
    ----------
    embeddings
        (models, nodes, latent).
    """
    rows = embeddings.transpose(1, 0, 2)
    length = np.linalg.norm(rows, axis=2, keepdims=True)
    return np.divide(rows, length, out=np.zeros(rows.shape, dtype=rows.dtype), where=length > 0)


def mean_cosine(unit: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(pairs,) float64 cosine of two features, averaged over models; ``unit`` from :func:`unit_rows`."""
    out = np.empty(len(source))
    for start in range(0, len(out), BLOCK):
        part = slice(start, start + BLOCK)
        out[part] = np.einsum("ijk,ijk->i", unit[source[part]], unit[target[part]], dtype=np.float64)
    return out / unit.shape[1]


def null_scores(
    null: str, links: Links, stratum: np.ndarray, edges: Links, places: Places, unit: np.ndarray, n_null: int,
    rng: np.random.Generator,
) -> Iterator[NullBlock]:  # fmt: skip
    """Scores of pairs that stand for the links of each stratum: its genes with the peaks of its other links.

    Parameters
    ----------
    null
        ``"trans"``: pairs on other chromosomes or far apart, and without an edge. ``"shuffled"``: any features, others
        in each model.
    links, stratum
        Pairs, and (pairs,) the number of each one's stratum.
    edges
        All edges that a model has seen, decoys too: no null pairs.
    places
        Where features lie.
    unit
        From :func:`unit_rows`.
    n_null
        Pairs in all, about; fewer where there are no more.
    rng
        Where chance comes from.

    Yields
    ------
    NullBlock
        Some of a stratum's scores. A gene or peak of many links stands in as many pairs; all together count as much as
        there are different ones.
    """
    n_nodes, n_models = unit.shape[:2]
    allowed = _different if null == "shuffled" else _Unlinked(edges, places)
    for one, rows in enumerate(np.split(np.argsort(stratum, kind="stable"), np.cumsum(np.bincount(stratum))[:-1])):
        wanted = n_null * len(rows) // len(stratum)
        if null == "shuffled":
            rows = rng.choice(rows, max(len(rows), isqrt(wanted) + 1))
            source, target = rng.integers(n_nodes, size=(2, len(rows), n_models))
            weight = 1.0
        else:
            different = len(np.unique(links.source[rows])) * len(np.unique(links.target[rows]))
            weight = min(1.0, different / min(wanted, len(rows) ** 2))
            source, target = (np.repeat(end[rows, None], n_models, axis=1) for end in (links.source, links.target))
        for some, others in _crossed(len(rows), wanted, rng):
            score = _all_products(unit, source[some], target[others])
            score *= links.sign[rows[some]][:, :, None] / n_models
            yield NullBlock(one, score[allowed(source[some], target[others])], weight)


def _crossed(n: int, wanted: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of ``n`` rows, all pairs of one with one of the other count: about ``wanted`` in all, or all there are.

    Yields
    ------
    tuple
        (groups, size) and (groups, other size) int64.
    """
    if wanted >= n * n:
        every, at_once = np.arange(n)[None], max(1, PAIRS // n)
        for start in range(0, n, at_once):
            yield every[:, start : start + at_once], every
        return
    n_groups = n // min(GROUP, max(1, wanted // n))
    size = n // n_groups  # the few rows that are left over stay out
    one, other = (rng.permutation(n)[: n_groups * size].reshape(n_groups, size) for _ in range(2))
    at_once = max(1, BLOCK // size)
    for shift in range(min(n_groups, max(1, round(wanted / (n * size))))):
        moved = np.roll(other, shift, axis=0)
        for start in range(0, n_groups, at_once):
            yield one[start : start + at_once], moved[start : start + at_once]


def _all_products(unit: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(groups, size, size) float64 sum over models of the products of rows; nodes are (groups, size, models)."""
    models = np.arange(unit.shape[1])
    a, b = (unit[nodes, models].reshape(*nodes.shape[:2], -1).astype(np.float64) for nodes in (source, target))
    return a @ b.transpose(0, 2, 1)


def _different(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(groups, size, size) bool, two features in every model."""
    return (source[:, :, None] != target[:, None]).all(axis=-1)


class _Unlinked:
    """Which pairs lie far apart and have no edge."""

    def __init__(self, edges: Links, places: Places) -> None:
        self.places, self.n = places, len(places.chrom)
        far = edges.take(np.flatnonzero(~places.near(edges.source, edges.target, FAR)))  # others are seen to be near
        self.linked = np.sort(np.concatenate([far.source * self.n + far.target, far.target * self.n + far.source]))

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        source, target = source[:, :, None, 0], target[:, None, :, 0]
        out = (source != target) & ~self.places.near(source, target, FAR)
        if len(self.linked):
            out &= ~is_in((source * self.n + target).ravel(), self.linked).reshape(out.shape)
        return out


class Significance(NamedTuple):
    """How links score against the null of their stratum, each (pairs,).

    Attributes
    ----------
    zscore
        Standard deviations above the null mean; NaN where there are fewer than two null values.
    pvalue
        (k + 1) / (n + 1), k of n null values being at least as extreme.
    n_null
        n.
    """

    zscore: np.ndarray
    pvalue: np.ndarray
    n_null: np.ndarray


def against_null(score: np.ndarray, stratum: np.ndarray, null: Iterable[NullBlock], alternative: str) -> Significance:
    """Compare each score with the null scores of its stratum."""
    rows = {int(one): np.flatnonzero(stratum == one) for one in np.unique(stratum)}
    tallies = {one: _Tally(score[here]) for one, here in rows.items()}
    for block in null:
        if block.stratum in tallies and len(block.score):
            tallies[block.stratum].add(np.sort(block.score), block.weight)
    out = Significance(np.empty(len(score)), np.empty(len(score)), np.empty(len(score), dtype=np.int64))
    for one, here in rows.items():
        tally = tallies[one]
        out.zscore[here], out.pvalue[here], out.n_null[here] = (
            tally.zscore(),
            tally.pvalue(alternative),
            np.ceil(tally.n),
        )
    return out


class _Tally:
    """How null values lie about the scores of a stratum, counted as they come."""

    def __init__(self, score: np.ndarray) -> None:
        self.score = score
        self.n, self.mean, self.squares = 0.0, 0.0, 0.0
        self.at_least, self.at_most = np.zeros((2, len(score)))

    def add(self, values: np.ndarray, weight: float) -> None:
        new = weight * len(values)
        self.at_least += new - weight * np.searchsorted(values, self.score - ROUNDING, side="left")
        self.at_most += weight * np.searchsorted(values, self.score + ROUNDING, side="right")
        shift = values.mean() - self.mean
        self.squares += new * values.var() + shift**2 * self.n * new / (self.n + new)
        self.n += new
        self.mean += shift * new / self.n

    def zscore(self) -> np.ndarray:
        spread = np.sqrt(self.squares / (self.n - 1)) if self.n > 1 else 0.0
        return (self.score - self.mean) / spread if spread > ROUNDING else np.full(len(self.score), np.nan)

    def pvalue(self, alternative: str) -> np.ndarray:
        two_sided = np.minimum(self.at_least, self.at_most)
        k = {"greater": self.at_least, "less": self.at_most, "two-sided": two_sided}[alternative]
        return np.minimum((2 if alternative == "two-sided" else 1) * (k + 1) / (self.n + 1), 1)


def weighted_fdr(pvalue: np.ndarray, links: Links) -> np.ndarray:
    """Q values of Benjamini and Hochberg, where pairs weigh by how many of about their distance mean something.

    The share of a stratum that means nothing is taken from its large p values, plus their standard error (Storey
    2002); a pair's p value is divided by the odds of meaning something, scaled to a mean of 1 over all pairs
    (Genovese, Roeder and Wasserman 2006). As the weights hang on p values above :data:`LARGE` alone, no pair is
    favoured for its own small one (Ignatiadis and Huber 2021).

    Parameters
    ----------
    pvalue
        (pairs,), uniform for pairs that mean nothing.
    links
        The pairs.

    Returns
    -------
    numpy.ndarray
        (pairs,) in [0, 1].
    """
    from scipy.stats import false_discovery_control  # takes a third of a second: only where it is used

    stratum = links.strata(WEIGHED)
    size = np.maximum(np.bincount(stratum), 1)
    large = np.bincount(stratum[pvalue > LARGE], minlength=len(size)) + 1
    nothing = np.minimum((large / size + np.sqrt(LARGE * (1 - LARGE) / size)) / (1 - LARGE), 1.0)
    weight = ((1 - nothing + LEAST_SHARE) / nothing)[stratum]
    return false_discovery_control(np.minimum(pvalue / (weight / weight.mean()), 1.0))

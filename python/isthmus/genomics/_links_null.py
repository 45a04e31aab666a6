"""What links would score that mean nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from isthmus._errors import InputError
from isthmus.genomics._arrays import is_in
from isthmus.genomics._places import Places
from isthmus.genomics._strata import strata
from isthmus.genomics.decoys import FAR

BLOCK = 1 << 16  # pairs whose rows are gathered together
LEAST, MOST = 1000, 50  # null values in a stratum, strata in each pair of modalities
ROUNDS = 20  # of drawing pairs again that are near or linked
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

    def heaviest(self, n_features: int) -> np.ndarray:
        """Rows in which each pair stands once, of parallel edges the one with most weight (the first of equals)."""
        key = self.source * n_features + self.target
        order = np.lexsort((np.arange(len(key)), -self.weight.astype(np.float64), key))
        return np.sort(order[np.unique(key[order], return_index=True)[1]])


def mean_cosine(embeddings: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(pairs,) float64 cosine of the rows of two features, averaged over models.

    Parameters
    ----------
    embeddings
        (models, nodes, latent). A row of zeros has cosine 0 with every other.
    source, target
        (pairs,) or (models, pairs) nodes.
    """
    source, target = (np.broadcast_to(end, (len(embeddings), end.shape[-1])) for end in (source, target))
    out = np.zeros(source.shape[1])
    for rows, a, b in zip(embeddings, source, target, strict=True):
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        unit = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
        for start in range(0, len(out), BLOCK):
            part = slice(start, start + BLOCK)
            out[part] += np.einsum("ij,ij->i", unit[a[part]], unit[b[part]])
    return out / len(embeddings)


def trans_pairs(links: Links, places: Places, n_null: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that stand for links of the same stratum, on other chromosomes or far apart, and without an edge.

    Returns
    -------
    tuple
        (null,) int64, rows of the links that they stand for and share the gene with; and their targets, drawn among
        those of the links of the stratum.
    """
    n, n_links = len(places.chrom), len(links.source)
    stratum = strata(links.group, links.distance, links.weight, least=LEAST, most=MOST)
    by_stratum, size = np.argsort(stratum, kind="stable"), np.bincount(stratum)
    start = np.cumsum(size) - size
    linked = np.sort(np.concatenate([links.source * n + links.target, links.target * n + links.source]))
    rows = np.arange(n_null) % n_links  # as even as can be over the links
    target = np.full(n_null, -1)
    for _ in range(ROUNDS):
        open_ = np.flatnonzero(target < 0)
        source, home = links.source[rows[open_]], stratum[rows[open_]]
        drawn = links.target[by_stratum[start[home] + (rng.random(len(open_)) * size[home]).astype(np.int64)]]
        bad = (source == drawn) | is_in(source * n + drawn, linked) | places.near(source, drawn, FAR)
        target[open_[~bad]] = drawn[~bad]
    if not (target >= 0).any():
        raise InputError(
            "features on several chromosomes, or more than 5 Mb apart, without edges between them",
            "only pairs that are near or linked",
            "give null='shuffled'",
        )
    return rows[target >= 0], target[target >= 0]


def shuffled_pairs(n_models: int, n_nodes: int, n_null: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two different features drawn for each model and null value: what a pair gets when rows are shuffled.

    Returns
    -------
    tuple
        (models, null) int64, the one and the other.
    """
    one = rng.integers(n_nodes, size=(n_models, n_null))
    return one, (one + rng.integers(1, n_nodes, size=one.shape)) % n_nodes


class Null(NamedTuple):
    """Null scores, with what decides their stratum (of the links that they stand for).

    Attributes
    ----------
    score
        (null,) float64.
    group, distance, weight
        (null,) as in :class:`Links`.
    """

    score: np.ndarray
    group: np.ndarray
    distance: np.ndarray
    weight: np.ndarray


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


def against_null(score: np.ndarray, links: Links, null: Null, alternative: str) -> Significance:
    """Compare each score with the null scores of its stratum."""
    both = ((getattr(links, part), getattr(null, part)) for part in ("group", "distance", "weight"))
    learn = np.arange(len(score) + len(null.score)) >= len(score)
    stratum = strata(*(np.concatenate(part) for part in both), least=LEAST, most=MOST, learn=learn)
    stratum, null_stratum = stratum[: len(score)], stratum[len(score) :]
    ordered = null.score[np.lexsort((null.score, null_stratum))]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(null_stratum, minlength=int(stratum.max()) + 1))])
    zscore, pvalue = np.full(len(score), np.nan), np.empty(len(score))
    for one in np.flatnonzero(np.bincount(stratum)):
        here = stratum == one
        values = ordered[bounds[one] : bounds[one + 1]]
        pvalue[here] = _pvalue(score[here], values, alternative)
        spread = values.std(ddof=1) if len(values) > 1 else 0.0
        if spread > 0:
            zscore[here] = (score[here] - values.mean()) / spread
    return Significance(zscore, pvalue, np.diff(bounds)[stratum])


def _pvalue(score: np.ndarray, ordered: np.ndarray, alternative: str) -> np.ndarray:
    n = len(ordered)
    greater = (n - np.searchsorted(ordered, score, side="left") + 1) / (n + 1)
    less = (np.searchsorted(ordered, score, side="right") + 1) / (n + 1)
    if alternative == "two-sided":
        return np.minimum(2 * np.minimum(greater, less), 1)
    return greater if alternative == "greater" else less


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

    stratum = strata(links.group, links.distance, links.weight, least=LEAST, most=WEIGHED)
    size = np.maximum(np.bincount(stratum), 1)
    large = np.bincount(stratum[pvalue > LARGE], minlength=len(size)) + 1
    nothing = np.minimum((large / size + np.sqrt(LARGE * (1 - LARGE) / size)) / (1 - LARGE), 1.0)
    weight = ((1 - nothing + LEAST_SHARE) / nothing)[stratum]
    return false_discovery_control(np.minimum(pvalue / (weight / weight.mean()), 1.0))

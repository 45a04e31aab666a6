"""Do linked features rise and fall together where modalities were laid over each other? Integration consistency."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_choice, check_number, check_unique
from isthmus.data.modalities import by_modality
from isthmus.data.study import ANY_VALUES
from isthmus.metrics._inputs import as_embedding

if TYPE_CHECKING:
    from isthmus.genomics import GuidanceGraph

_CELLS = 50_000  # enough to place a few hundred centres; the other cells go to the nearest one
_LEAST = 3  # two metacells are always in perfect order
_EDGES = 100_000  # edges at a time: with 200 metacells, 80 MB per temporary


def integration_consistency(
    latents: Mapping[str, ArrayLike],
    counts: Mapping[str, sp.spmatrix],
    features: Mapping[str, Sequence[str]],
    graph: GuidanceGraph,
    n_metacells: int | Sequence[int] = (10, 20, 50, 100, 200),
    *,
    values: str | Mapping[str, str] = "counts",
    seed: int = 0,
) -> pd.DataFrame:
    r"""How well linked features agree across modalities, at several resolutions; higher is better.

    The cells of all modalities are grouped together into metacells (k-means in the space that they share), and each
    modality's counts are summed over its cells of each metacell and normalised by their depth. With
    :math:`\rho_e` the Spearman correlation of the two ends of edge e across the metacells that have cells of both
    modalities, and the sign :math:`\sigma_e` and weight :math:`w_e` of the edge,

    .. math:: C = \frac{\sum_e w_e \sigma_e \rho_e}{\sum_e w_e}

    A curve that stays above 0.05 speaks for the integration; data that do not belong together score near 0 however
    well their cells are mixed.

    Parameters
    ----------
    latents
        Embedding of each modality, ``(cells, latent)``, in one space.
    counts
        Raw counts of each modality, ``(cells, features)``.
    features
        Names of these features.
    graph
        Which features are linked. Edges to features that are not there are left out; loops mean nothing here, and
        reverse edges change nothing.
    n_metacells
        How many metacells, one or several numbers.
    values
        What ``counts`` holds, for all modalities or by modality: ``"counts"``, or ``"lognorm"`` or ``"values"``,
        which are averaged over the cells of a metacell.
    seed
        Seed of k-means.

    Returns
    -------
    pandas.DataFrame
        One row for each number in ``n_metacells``: ``n_metacells``, ``consistency`` (-1..1; a feature that is the same
        in all metacells correlates 0; NaN with fewer than three shared metacells) and ``n_shared``, the metacells with
        cells of both modalities, least over the pairs that edges join.

    Raises
    ------
    InputError
        If modalities, cells or features do not fit together, an embedding is not finite, no edge is left, or there are
        fewer cells than metacells.

    References
    ----------
    Cao and Gao 2022, Nature Biotechnology 40:1458 (integration consistency score).
    """
    spaces = _spaces(latents, counts, features)
    kinds = by_modality(values, list(spaces), "values")
    z = np.concatenate(list(spaces.values()))
    for kind in kinds.values():
        check_choice(kind or "counts", ANY_VALUES, "values")
    for k in np.atleast_1d(n_metacells).tolist():
        check_number(k, "n_metacells", _LEAST, len(z), whole=True)
    links = _links(graph, {name: pd.Index(features[name], dtype=object) for name in spaces})
    sides = {name: _Side.of(counts[name], links, name, kinds[name] or "counts") for name in spaces}
    starts = np.cumsum([len(space) for space in spaces.values()])[:-1]
    rows = []
    for k in np.atleast_1d(n_metacells).astype(int).tolist():
        groups = np.split(_metacells(z, k, seed), starts)
        profiles = {name: side.profiles(group, k) for (name, side), group in zip(sides.items(), groups, strict=True)}
        rows.append((k, *_score(links, sides, profiles)))
    return pd.DataFrame(rows, columns=["n_metacells", "consistency", "n_shared"])


@dataclass(frozen=True)
class _Links:
    """Edges between two modalities: columns of their counts, ``(edges,)`` each, signs and weights."""

    ends: tuple[str, str]
    source: NDArray[np.intp]
    target: NDArray[np.intp]
    sign: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class _Side:
    """One modality: its linked features, where each of them stands, and the depth of its cells."""

    x: sp.csr_matrix
    columns: NDArray[np.intp]
    depth: NDArray[np.float64]

    @classmethod
    def of(cls, counts: sp.spmatrix, links: list[_Links], name: str, kind: str) -> _Side:
        ends = [end for link in links for end, own in zip((link.source, link.target), link.ends, strict=True)
                if own == name]  # fmt: skip
        columns = np.unique(np.concatenate([np.empty(0, dtype=np.intp), *ends]))
        x = sp.csr_matrix(counts)
        depth = np.asarray(x.sum(axis=1), dtype=np.float64).ravel() if kind == "counts" else np.ones(x.shape[0])
        return cls(x[:, columns], columns, depth)

    def profiles(self, group: NDArray[np.intp], k: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """``(features, metacells)`` values per unit of depth, and ``(metacells,)`` which have any cell of this side.

        Neither the logarithm nor the common depth that values are brought to moves a rank, so both are left out.
        """
        member = sp.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))), shape=(k, len(group)))
        total = member @ self.depth
        summed = (member @ self.x).toarray()
        per_depth = np.divide(
            summed, total[:, None], out=np.zeros_like(summed, dtype=np.float64), where=total[:, None] > 0
        )
        return np.ascontiguousarray(per_depth.T), np.bincount(group, minlength=k) > 0


def _score(
    links: list[_Links], sides: Mapping[str, _Side], profiles: Mapping[str, tuple[NDArray, NDArray]]
) -> tuple[float, int]:
    """Weighted mean of the signed correlations, and the least number of shared metacells."""
    sums, weights, least = 0.0, 0.0, np.inf
    for link in links:
        shared = profiles[link.ends[0]][1] & profiles[link.ends[1]][1]
        least = min(least, int(shared.sum()))
        if least < _LEAST:
            continue
        one, other = (_standard_ranks(profiles[name][0][:, shared]) for name in link.ends)
        source = np.searchsorted(sides[link.ends[0]].columns, link.source)
        target = np.searchsorted(sides[link.ends[1]].columns, link.target)
        for start in range(0, len(source), _EDGES):
            part = slice(start, start + _EDGES)
            correlation = np.einsum("em,em->e", one[source[part]], other[target[part]], dtype=np.float64)
            sums += float(link.weight[part] * link.sign[part] @ correlation)
        weights += float(link.weight.sum())
    if least < _LEAST:
        warnings.warn(
            f"Only {least} of the {len(shared)} metacells have cells of both modalities: they are not aligned.",
            stacklevel=3,
        )
        return np.nan, int(least)
    return sums / weights, int(least)


def _standard_ranks(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Ranks along the rows with mean 0 and length 1, so that a product of two is Spearman's correlation."""
    from scipy.stats import rankdata  # takes a third of a second: only where it is used

    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0).astype(np.float32)


def _metacells(z: NDArray[np.float64], k: int, seed: int) -> NDArray[np.intp]:
    """Metacell of each cell, ``(cells,)``."""
    from sklearn.cluster import KMeans

    rows = np.arange(len(z))
    if len(z) > _CELLS:
        rows = np.sort(np.random.default_rng(seed).choice(len(z), _CELLS, replace=False))
    model = KMeans(k, n_init=1, random_state=seed).fit(z[rows])
    return np.asarray(model.labels_ if len(rows) == len(z) else model.predict(z), dtype=np.intp)


def _spaces(
    latents: Mapping[str, ArrayLike], counts: Mapping[str, sp.spmatrix], features: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.float64]]:
    """Embeddings that fit together, and to the counts and the names of features."""
    if not set(latents) == set(counts) == set(features) or not latents:
        raise InputError(
            "latents, counts and features of the same modalities",
            "; ".join(shorten(list(given)) or "none" for given in (latents, counts, features)),
            "give each of them for every modality, under the same names",
        )
    spaces = {name: as_embedding(latent, f"embedding of '{name}'") for name, latent in latents.items()}
    for name, space in spaces.items():
        shape = (len(space), len(features[name]))
        if counts[name].shape != shape:
            raise InputError(
                f"counts of {shape[0]} cells x {shape[1]} features in '{name}', as its embedding and names say",
                f"{counts[name].shape[0]} x {counts[name].shape[1]}",
                "take embedding, counts and names from the same object, cells by features",
            )
    widths = {name: space.shape[1] for name, space in spaces.items()}
    if len(set(widths.values())) > 1:
        raise InputError(
            "embeddings of all modalities in one space",
            f"{widths} dimensions",
            "embed all of them with the same model",
        )
    return spaces


def _links(graph: GuidanceGraph, features: Mapping[str, pd.Index]) -> list[_Links]:
    """The edges of the graph between features that are there, by pair of modalities."""
    column, modality = np.full(graph.n_features, -1, dtype=np.intp), np.full(graph.n_features, -1)
    for code, (name, names) in enumerate(features.items()):
        check_unique(names, "feature")
        where = names.get_indexer(graph.features)
        if (twice := (where >= 0) & (modality >= 0)).any():
            raise InputError(
                "each linked feature in one modality",
                f"'{graph.features[twice.argmax()]}' in '{list(features)[modality[twice.argmax()]]}' and in '{name}'",
                "give the features of different modalities different names, in the data and in the graph",
            )
        column[where >= 0], modality[where >= 0] = where[where >= 0], code
    source, target = graph.source, graph.target
    kept = (modality[source] >= 0) & (modality[target] >= 0) & (source != target)
    if not kept.any():
        raise InputError(
            f"edges between the features, such as {shorten([names[0] for names in features.values()])}",
            f"none; the graph has {shorten(graph.features, 3)}",
            "give the features the names that they have in the graph",
        )
    pair = modality[source] * len(features) + modality[target]
    out = []
    for code in np.unique(pair[kept]):
        rows = kept & (pair == code)
        ends = tuple(list(features)[i] for i in divmod(int(code), len(features)))
        sign, weight = (np.asarray(part[rows], dtype=np.float64) for part in (graph.sign, graph.weight))
        out.append(_Links(ends, column[source[rows]], column[target[rows]], sign, weight))
    return out

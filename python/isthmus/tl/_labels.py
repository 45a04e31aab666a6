"""Label transfer in a shared latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import text_of
from isthmus.tl._cell_types import without_missing

if TYPE_CHECKING:
    from sklearn.neighbors import NearestNeighbors

UNKNOWN = "unknown"


def nearest_labels(
    reference: np.ndarray, labels: np.ndarray, query: np.ndarray, k: int, unknown_below: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted vote of the k nearest reference cells, tempered by how far away they are.

    A neighbour at distance d votes with the weight ``exp(-(d / s)^2 / 2)``, s being the distance to the query's
    k-th neighbour. The confidence is the winner's share of the votes times ``min(1, r / d_k)``, where d_k is the
    distance to the k-th neighbour and r the 99 % quantile of that distance among the reference cells of the winning
    label: a cell far from everything that the reference holds is not trusted however its neighbours agree.

    Parameters
    ----------
    reference, query
        (cells, latent) embeddings in one space.
    labels
        (reference cells,) names.
    k
        Neighbours asked.
    unknown_below
        Confidence below which the label is ``"unknown"``.

    Returns
    -------
    label, confidence
        (query cells,) names and numbers in [0, 1].
    """
    from sklearn.neighbors import NearestNeighbors

    names, code = np.unique(labels, return_inverse=True)
    k = min(int(k), len(reference))
    search = NearestNeighbors(n_neighbors=k).fit(reference)
    distance, neighbour = search.kneighbors(query)
    votes = _votes(distance, code[neighbour], len(names))
    winner = votes.argmax(axis=1)
    share = votes[np.arange(len(query)), winner] / votes.sum(axis=1)
    reach = _reach(search, reference, code, len(names), k)
    farthest = np.maximum(distance[:, -1], 1e-12)  # copies of one cell are at distance zero from each other
    confidence = share * np.minimum(1.0, np.maximum(reach[winner], 1e-12) / farthest)
    return np.where(confidence < unknown_below, UNKNOWN, names[winner]), confidence


def _votes(distance: np.ndarray, code: np.ndarray, n_labels: int, trust: np.ndarray | float = 1.0) -> np.ndarray:
    """(query cells, labels) sums of the neighbours' weights, times how far each is trusted."""
    scale = np.maximum(distance[:, -1:], 1e-12)
    weight = np.exp(-0.5 * (distance / scale) ** 2) * trust
    votes = np.zeros((len(code), n_labels))
    np.add.at(votes, (np.arange(len(code))[:, None], code), weight)
    return votes


def _reach(search: NearestNeighbors, reference: np.ndarray, code: np.ndarray, n_labels: int, k: int) -> np.ndarray:
    """(labels,) how far the k-th neighbour of a reference cell of that label is: 99 % quantile."""
    own = search.kneighbors(reference, n_neighbors=min(k + 1, len(reference)))[0][:, -1]  # the cell itself comes first
    return np.array([np.quantile(own[code == label], 0.99) for label in range(n_labels)])


def align_labels(labels: pd.Series | Sequence, cells: pd.Index) -> pd.Series:
    """One label for each reference cell, as text, in the reference's order; missing ones are NaN.

    Raises
    ------
    InputError
        If labels cannot be matched with cells, or all are missing.
    """
    if isinstance(labels, pd.Series) and not labels.index.equals(cells) and labels.index.isin(cells).any():
        labels = _by_name(labels, cells)
    if len(labels) != len(cells):
        raise InputError(
            f"one label for each of the {len(cells)} cells that the model was trained on",
            f"{len(labels)} labels",
            "give the labels in the order of the reference cells, or as a Series named by cell",
        )
    out = without_missing(pd.Series(np.asarray(labels, dtype=object), index=cells))
    if out.isna().all():
        raise InputError(
            "labels of reference cells", "none that is not missing", "name the column that holds the labels"
        )
    return out.map(text_of, na_action="ignore")


def _by_name(labels: pd.Series, cells: pd.Index) -> pd.Series:
    """The labels of these cells; NaN for cells that have none."""
    own = labels.index.isin(cells)
    if own.mean() < 0.5 and cells.isin(labels.index).mean() < 0.5:  # barcodes of two samples coincide now and then
        raise InputError(
            f"labels of the {len(cells)} cells that the model was trained on",
            f"{len(labels)}, of which {own.sum()} have the name of such a cell",
            "give the labels of the reference, named as its cells are",
        )
    once = labels[~labels.index.duplicated()]
    other = labels[labels.notna() & (labels.astype(object) != once.astype(object).reindex(labels.index))]
    if len(other):
        raise InputError(
            "one label for each cell",
            f"different ones for {other.index.nunique()} cells, such as '{other.index[0]}'",
            "name each cell once",
        )
    return once.reindex(cells)

"""All scores that apply, with one nearest-neighbour search."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.metrics._clusters import leiden_sweep
from isthmus.metrics._inputs import Labels, as_batches, as_codes, as_embedding
from isthmus.metrics._mixing import batch_entropy_mixing, ilisi
from isthmus.metrics._neighbors import Neighbors, nearest
from isthmus.metrics._silhouette import silhouette_batch, silhouette_label
from isthmus.metrics._types import graph_connectivity, overcorrection

_SEARCH = 100  # the largest neighbourhood any score asks for


def summary(
    embedding: ArrayLike, labels: Labels | None = None, batches: Labels | None = None, *, seed: int = 0
) -> dict[str, float]:
    """Run every score that the given labels and batches allow, sharing one nearest-neighbour search.

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    labels
        Types, ``(cells,)``. Cells without one are left out of the label scores and counted in ``unlabelled``.
    batches
        Batch of each cell, ``(cells,)``. With a single batch the mixing scores are left out.
    seed
        Seed of Leiden, of samples and of pools.

    Returns
    -------
    dict
        ``cells`` and ``unlabelled`` (counts); with two labels ``nmi``, ``ari``, ``resolution``,
        ``silhouette_label``, ``graph_connectivity``, ``overcorrection``; with two batches ``ilisi``,
        ``silhouette_batch`` (left out where no type is in two batches) and ``batch_entropy_mixing``. Keys of
        scores that do not apply are absent.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, or neither labels nor batches are given.

    Examples
    --------
    >>> scores = im.metrics.summary(adata.obsm["X_scalex"], adata.obs["cell_type"], adata.obs["batch"])
    """
    z = as_embedding(embedding)
    if labels is None and batches is None:
        raise InputError("labels, batches or both", "neither", 'pass for example labels=adata.obs["cell_type"]')
    types = np.full(len(z), -1) if labels is None else as_codes(labels, len(z), "labels")[0]
    known = types >= 0
    scores: dict[str, float] = {"cells": len(z), "unlabelled": int((~known).sum())}
    near = nearest(z, _SEARCH, seed=seed)
    if len(np.unique(types[known])) > 1:
        # Cells without a label are no neighbours either: only they force a second search.
        among = near if known.all() else nearest(z[known], _SEARCH, seed=seed)
        scores |= _label_scores(z[known], types[known], among, seed)
    if batches is not None and len(np.unique(as_codes(batches, len(z), "batches")[0])) > 1:
        batch, _ = as_batches(batches, len(z))
        scores |= _batch_scores(z, batch, types, near, seed)
    return scores


def _label_scores(z: NDArray[np.float64], types: NDArray[np.intp], near: Neighbors, seed: int) -> dict[str, float]:
    clusters = leiden_sweep(z, types, seed=seed, neighbors=near)
    scores = clusters._asdict()
    if len(np.unique(types)) < len(z):
        scores["silhouette_label"] = silhouette_label(z, types, seed=seed)
        scores["overcorrection"] = overcorrection(z, types, neighbors=near)
    scores["graph_connectivity"] = graph_connectivity(z, types, neighbors=near)
    return scores


def _batch_scores(
    z: NDArray[np.float64], batch: NDArray[np.intp], types: NDArray[np.intp], near: Neighbors, seed: int
) -> dict[str, float]:
    scores = {"ilisi": ilisi(z, batch, neighbors=near)} if len(z) > 3 else {}
    # Without any label all cells count as one type.
    known = types >= 0 if (types >= 0).any() else np.ones(len(z), dtype=bool)
    if _some_type_mixes(types[known], batch[known]):
        scores["silhouette_batch"] = silhouette_batch(z[known], batch[known], types[known] + 1, seed=seed)
    scores["batch_entropy_mixing"] = batch_entropy_mixing(z, batch, seed=seed, neighbors=near)
    return scores


def _some_type_mixes(types: NDArray[np.intp], batch: NDArray[np.intp]) -> bool:
    return any(1 < len(np.unique(batch[types == t])) < (types == t).sum() for t in np.unique(types))

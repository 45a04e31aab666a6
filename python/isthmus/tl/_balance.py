"""How much each cell counts in the alignment: as much as the other modality has of its kind.

Cao and Gao 2022, Methods, weighted adversarial alignment.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isthmus.metrics._graph import fuzzy_graph, leiden
from isthmus.metrics._neighbors import nearest

RESOLUTION = 1.0
LEAST_COSINE = 0.5  # clusters less alike than this have nothing to do with each other
SURE_COSINE = 0.75  # mean best cosine from which the match is trusted
POWER = 4
NEIGHBORS = 15


def balancing_weights(latents: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights from matching the clusters of each modality.

    With J the product, over all pairs of modalities, of ``cos(mean of cluster, mean of cluster) ^ 4`` (0 below 0.5), a
    cell of cluster a has ``r = sum of J over the other modalities' clusters / size of a``, over the mean of that, and
    counts ``1 + t (r - 1)``. The trust t rises from 0 to 1 as the best cosine of a cell's cluster, a mean over cells
    and pairs of modalities, goes from 0.5 to 0.75: where nothing is aligned yet, a match is chance, and to leave the
    rest out of the alignment does harm.

    Parameters
    ----------
    latents
        (cells, latent) embedding by modality.
    seed
        Of the clustering.

    Returns
    -------
    dict of numpy.ndarray
        (cells,) float32 by modality, 1 on average; all 1 where no clusters match.
    """
    clusters = {name: leiden_codes(z, seed) for name, z in latents.items()}
    means = [_cluster_means(z, clusters[name]) for name, z in latents.items()]
    sizes = [np.bincount(code) for code in clusters.values()]
    n, best = len(means), []
    joint = np.ones([len(mean) for mean in means])
    for i in range(n):
        for j in range(i + 1, n):
            alike = means[i] @ means[j].T
            best += [np.average(alike.max(axis=1), weights=sizes[i]), np.average(alike.max(axis=0), weights=sizes[j])]
            alike = np.where(alike < LEAST_COSINE, 0.0, alike) ** POWER
            joint = joint * np.expand_dims(alike, [axis for axis in range(n) if axis not in (i, j)])
    trust = np.clip((np.mean(best) - LEAST_COSINE) / (SURE_COSINE - LEAST_COSINE), 0.0, 1.0)
    out = {}
    for i, (name, code) in enumerate(clusters.items()):
        total = joint.sum(axis=tuple(axis for axis in range(n) if axis != i))
        ratio = (total / sizes[i])[code]
        ratio = ratio / ratio.mean() if ratio.sum() > 0 else np.ones(len(code))
        out[name] = (1.0 + trust * (ratio - 1.0)).astype(np.float32)
    return out


def leiden_codes(z: np.ndarray, seed: int) -> np.ndarray:
    """(cells,) cluster of each cell, by the directions of the embedding."""
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    return leiden(fuzzy_graph(nearest(unit, min(NEIGHBORS, len(z)) - 1)), RESOLUTION, seed)


def _cluster_means(z: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(clusters, latent) mean of each cluster, of length 1."""
    total = np.zeros((code.max() + 1, z.shape[1]))
    np.add.at(total, code, z)
    mean = total / np.bincount(code)[:, None]
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)

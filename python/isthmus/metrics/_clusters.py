"""Do clusters of the embedding find the cell types? NMI and ARI over a sweep of Leiden resolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from isthmus._errors import InputError
from isthmus.metrics._graph import fuzzy_graph, leiden
from isthmus.metrics._inputs import Labels, as_embedding, labelled
from isthmus.metrics._neighbors import Neighbors, shared


class LeidenScores(NamedTuple):
    """The best of a sweep of Leiden resolutions.

    Attributes
    ----------
    nmi
        Normalised mutual information with the labels, 0..1, higher is better.
    ari
        Adjusted Rand index at the same resolution, -0.5..1 (0 is chance), higher is better.
    resolution
        The resolution that gave the best NMI (the lowest of several).
    """

    nmi: float
    ari: float
    resolution: float


def leiden_sweep(
    embedding: ArrayLike,
    labels: Labels,
    *,
    resolutions: Iterable[float] | None = None,
    n_neighbors: int = 15,
    seed: int = 0,
    neighbors: Neighbors | None = None,
) -> LeidenScores:
    r"""Compare Leiden clusters of the embedding with known labels, at the resolution that agrees best.

    The graph is scanpy's (UMAP weights on the nearest neighbours), the clustering igraph's Leiden with two
    iterations. With clusters :math:`C` and labels :math:`Y`,

    .. math:: NMI = \frac{2\, I(C; Y)}{H(C) + H(Y)}

    and ARI is the Rand index corrected for chance. Higher is better for both. Cells without a label are left
    out before anything is computed, as in all label scores.

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    labels
        Known types, ``(cells,)``.
    resolutions
        Resolutions to try; default 0.1, 0.2, ..., 2.0.
    n_neighbors
        Neighbours in the graph, the cell itself counted as scanpy does; at most the number of cells.
    seed
        Seed of Leiden.
    neighbors
        A search over the same cells to use again (:func:`nearest`).

    Returns
    -------
    LeidenScores
        ``nmi`` (0..1), ``ari`` (-0.5..1) and ``resolution``.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, or there are not two labels.

    References
    ----------
    Luecken et al. 2022, Nature Methods 19:41 (the sweep, best by NMI); Traag et al. 2019, Scientific Reports
    9:5233.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    z = as_embedding(embedding)
    codes, keep, _ = labelled(labels, len(z))
    if n_neighbors < 2:
        raise InputError("n_neighbors of at least 2", str(n_neighbors), "raise n_neighbors; 15 is usual")
    z, neighbors = z[keep], neighbors if keep.all() else None
    graph = fuzzy_graph(shared(z, n_neighbors - 1, neighbors))
    best = LeidenScores(-1.0, 0.0, 0.0)
    for resolution in np.linspace(0.1, 2.0, 20) if resolutions is None else resolutions:
        clusters = leiden(graph, float(resolution), seed)
        nmi = float(normalized_mutual_info_score(codes, clusters))
        if nmi > best.nmi:
            ari = float(adjusted_rand_score(codes, clusters))
            best = LeidenScores(nmi, ari, round(float(resolution), 6))
    if best.nmi < 0:
        raise InputError("at least one resolution", "none", "leave resolutions out, or give some such as [0.5, 1]")
    return best

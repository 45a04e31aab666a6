"""Do types keep their own neighbourhoods? Graph connectivity and over-correction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from isthmus._errors import InputError
from isthmus.metrics._inputs import Labels, as_embedding, labelled
from isthmus.metrics._neighbors import Neighbors, shared


def graph_connectivity(
    embedding: ArrayLike,
    labels: Labels,
    *,
    n_neighbors: int = 90,
    connection: Literal["strong", "weak"] = "strong",
    neighbors: Neighbors | None = None,
) -> float:
    r"""How far each type hangs together in the neighbour graph, 0..1; higher is better.

    For each type :math:`t` the graph is cut down to its cells; with its largest connected component
    :math:`L_t`,

    .. math:: G = \operatorname{mean}_t \frac{|L_t|}{|t|}

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    labels
        Types, ``(cells,)``; cells without one are left out. One type is enough here.
    n_neighbors
        Neighbours per cell, the cell itself counted (as scib-metrics does); at most the number of cells.
    connection
        ``"strong"``: two cells belong together if directed edges lead both ways round (scib-metrics, the
        stricter one); ``"weak"``: direction does not matter (the symmetric graph of scib).
    neighbors
        A search over the same cells to use again (:func:`nearest`).

    Returns
    -------
    float
        0..1.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, no cell has a label, or the connection has another
        name.

    References
    ----------
    Luecken et al. 2022, Nature Methods 19:41.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    if connection not in ("strong", "weak"):
        raise InputError('connection "strong" or "weak"', repr(connection), "choose one of the two")
    z = as_embedding(embedding)
    codes, keep, counts = labelled(labels, len(z), at_least=1)
    z, neighbors = z[keep], neighbors if keep.all() else None
    near = shared(z, max(n_neighbors - 1, 1), neighbors).indices
    # Edges between types are dropped, so that one pass over the whole graph finds the components of every
    # type.
    source, column = np.nonzero(codes[near] == codes[:, None])
    edges = (np.ones(len(source), dtype=np.int8), (source, near[source, column]))
    _, parts = connected_components(csr_matrix(edges, shape=(len(z), len(z))), connection=connection)
    largest = np.zeros(len(counts))
    np.maximum.at(largest, codes, np.bincount(parts)[parts])
    return float((largest / counts).mean())


def overcorrection(
    embedding: ArrayLike,
    labels: Labels,
    *,
    n_neighbors: int = 100,
    order: Literal["distance", "rows"] = "distance",
    neighbors: Neighbors | None = None,
) -> float:
    r"""Share of wrong types among the neighbours, 0..1; lower is better.

    For cell :math:`i` of a type with :math:`c` cells, with its nearest other cells :math:`j_1, j_2, \ldots`,

    .. math:: O = 1 - \operatorname{mean}_i \frac1{m_i} \sum_{r=1}^{m_i} [t_{j_r} = t_i],
              \qquad m_i = \min(c - 1, k)

    An embedding that integrates nothing does well here: read it beside a mixing score such as :func:`ilisi`.

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    labels
        Types, ``(cells,)``; cells without one are left out, and so are types of a single cell, which can have
        no neighbour of their own type.
    n_neighbors
        Neighbours :math:`k`, the cell itself not counted; at most the number of other cells.
    order
        ``"distance"``: the nearest neighbours are looked at. ``"rows"``: as in the authors' code, where the
        list is in the order of the rows, so that for types smaller than :math:`k` the neighbours with the
        lowest row numbers are looked at, :math:`\min(c, k)` of them. The authors average 100 draws of 100
        cells; this is what the draws estimate, over all cells.
    neighbors
        A search over the same cells to use again (:func:`nearest`).

    Returns
    -------
    float
        0..1.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, there are not two labels, no type has two cells, or
        the order has another name.

    References
    ----------
    Xiong et al. 2022, Nature Communications 13:6118 (over-correction score).
    """
    if order not in ("distance", "rows"):
        raise InputError('order "distance" or "rows"', repr(order), "choose one of the two")
    z = as_embedding(embedding)
    codes, keep, counts = labelled(labels, len(z))
    z, neighbors = z[keep], neighbors if keep.all() else None
    near = shared(z, n_neighbors, neighbors).indices
    sizes = counts[codes]
    looked = np.minimum(sizes - 1 if order == "distance" else sizes, near.shape[1])
    scored = sizes > 1
    if not scored.any():
        raise InputError(
            "a type with at least two cells", "only types of a single cell", "pass cell types, not cell names"
        )
    if order == "rows":
        near = np.sort(near, axis=1)
    same = codes[near] == codes[:, None]
    hits = (same & (np.arange(near.shape[1]) < looked[:, None])).sum(axis=1)
    return float(1 - (hits[scored] / looked[scored]).mean())

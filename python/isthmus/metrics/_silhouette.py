"""Silhouettes: are types apart, are batches of one type together?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.metrics._inputs import Labels, as_batches, as_embedding, labelled


def silhouette_label(embedding: ArrayLike, labels: Labels, *, max_cells: int | None = 5_000, seed: int = 0) -> float:
    r"""Mean silhouette of the cell types, scaled to 0..1; higher is better, 0.5 is no separation.

    With the mean distance :math:`a` of a cell to its own type and :math:`b` to the nearest other type,

    .. math:: s = \frac{b - a}{\max(a, b)}, \qquad S = \frac{\bar s + 1}{2}

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    labels
        Known types, ``(cells,)``; cells without one are left out.
    max_cells
        Work grows with the square of the number of cells, so that larger sets are sampled, in the shares of the
        types but at least two cells of each; None takes all.
    seed
        Seed of the sample.

    Returns
    -------
    float
        0..1.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, or there are not two labels (and fewer labels than
        cells).

    References
    ----------
    Rousseeuw 1987, J. Comput. Appl. Math. 20:53; scaled as in Luecken et al. 2022, Nature Methods 19:41.
    """
    z = as_embedding(embedding)
    codes, keep, counts = labelled(labels, len(z))
    z = z[keep]
    if len(counts) >= len(z):
        raise InputError(
            "labels that group the cells",
            f"{len(counts)} different labels for {len(z)} cells",
            "pass cell types, not cell names",
        )
    chosen = _sample(codes, max_cells, np.random.default_rng(seed))
    return float((_silhouettes(z[chosen], codes[chosen]).mean() + 1) / 2)


def silhouette_batch(
    embedding: ArrayLike,
    batches: Labels,
    labels: Labels | None = None,
    *,
    max_cells: int | None = 5_000,
    seed: int = 0,
) -> float:
    r"""How little the batches of one type stand apart, 0..1; higher is better.

    Within each type :math:`t` the silhouette :math:`s` of the *batch* is taken; 0 means that batches overlap:

    .. math:: S = \operatorname{mean}_t \; \operatorname{mean}_{i \in t} \left(1 - |s_i|\right)

    Parameters
    ----------
    embedding
        Coordinates, ``(cells, latent)``.
    batches
        Batch of each cell, ``(cells,)``.
    labels
        Types, ``(cells,)``; cells without one are left out. None takes all cells as one type, which punishes
        batches that differ in composition.
    max_cells
        Largest number of cells of a type; more are sampled, in the shares of the batches but at least two cells
        of each. None takes all.
    seed
        Seed of the sample.

    Returns
    -------
    float
        0..1. Types found in one batch only, or with as many batches as cells, say nothing and are skipped.

    Raises
    ------
    InputError
        If lengths differ, the embedding is not finite, there is one batch, or no type is in two batches.

    References
    ----------
    Luecken et al. 2022, Nature Methods 19:41 (batch ASW).
    """
    z = as_embedding(embedding)
    batch, _ = as_batches(batches, len(z))
    types = np.zeros(len(z), dtype=np.intp)
    if labels is not None:
        types, keep, _ = labelled(labels, len(z), at_least=1)
        z, batch = z[keep], batch[keep]
    rng = np.random.default_rng(seed)
    scores = []
    for t in np.unique(types):
        rows = np.flatnonzero(types == t)
        rows = rows[_sample(batch[rows], max_cells, rng)]
        if 1 < len(np.unique(batch[rows])) < len(rows):
            scores.append(1 - np.abs(_silhouettes(z[rows], batch[rows])).mean())
    if not scores:
        raise InputError(
            "at least one type with several cells in two batches",
            "none: every type is in one batch only",
            "leave labels out, or check that labels and batches are not the same column",
        )
    return float(np.mean(scores))


def _sample(codes: NDArray[np.intp], limit: int | None, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of about ``limit`` cells, each group with its share; of a small one two cells, so that none is lost."""
    n = len(codes)
    if limit is None or n <= limit:
        return np.arange(n)
    _, group, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    wanted = np.maximum(sizes * limit // n, np.minimum(sizes, 2))
    mixed = rng.permutation(n)
    mixed = mixed[np.argsort(group[mixed], kind="stable")]  # group by group, in random order within each
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(mixed[place < np.repeat(wanted, sizes)])


def _silhouettes(z: NDArray[np.float64], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    from sklearn.metrics import silhouette_samples

    # Distances do not feel a shift, but their rounding does.
    return silhouette_samples(z - z.mean(axis=0), codes)

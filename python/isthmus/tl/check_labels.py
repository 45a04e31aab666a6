"""Labels that a cell's neighbourhood does not believe, in any embedding."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_number
from isthmus.metrics import nearest
from isthmus.tl._cell_types import known_labels, label_categories, label_codes
from isthmus.tl._labels import _votes, nearest_labels
from isthmus.tl.fitted import FittedModel

ROUNDS = 3  # in each, neighbours vote the less, the less their own label was believed before


def check_labels(
    adata: AnnData, labels_key: str, embedding: str | np.ndarray | FittedModel, *, k: int = 30,
    wrong_above: float = 0.5, key_added: str = "check",
) -> pd.DataFrame:  # fmt: skip
    """Find labels that are probably wrong: the nearest other cells vote on each cell's type.

    A neighbour at distance d votes with the weight ``exp(-(d / s)^2 / 2)``, s being the distance to the k-th one, and
    times the probability that its own label is right, which takes a few rounds. The probability that a label is wrong
    is the share of the votes that went to others. It is honest only where the embedding has not seen the labels: with
    scDREAMER-Sup, or any fit with ``labels_key``, wrong labels have shaped the neighbourhoods.

    Parameters
    ----------
    adata
        Cells. Gets ``obs["<key_added>_wrong"]`` and ``obs["<key_added>_suggestion"]``.
    labels_key
        Column of ``obs`` with the labels to check; missing ones do not vote, and get a suggestion.
    embedding
        Key in ``obsm``, a (cells, latent) array, or a fitted model of any system that wrote its embedding into
        ``adata``.
    k
        Neighbours asked.
    wrong_above
        Probability above which another label is suggested.
    key_added
        Stem of the columns written.

    Returns
    -------
    pandas.DataFrame
        For each cell ``label``, ``wrong`` (the probability that the label is wrong; NaN without a label) and
        ``suggestion`` (the label itself, unless it is probably wrong).

    Raises
    ------
    InputError
        If the column, the embedding or two labels are missing; nothing was written then.

    Examples
    --------
    >>> import isthmus as im
    >>> adata = im.data.simulate(n_cells=300, n_genes=200, modalities=("rna",))["rna"]
    >>> model = im.tl.scalex(adata, "batch", max_steps=100, progress="silent")
    >>> table = im.tl.check_labels(adata, "cell_type", model)
    >>> list(table)
    ['label', 'wrong', 'suggestion']
    """
    check_number(k, "k", 1, whole=True)
    check_number(wrong_above, "wrong_above", 0.0, 1.0)
    labels = known_labels(adata, labels_key)
    has, z = labels.notna().to_numpy(), _embedding_of(adata, embedding)
    types = label_categories(labels, labels_key)
    names, code = np.array(types.names, dtype=object), label_codes(types, labels)[has]
    label = np.full(len(labels), None, dtype=object)
    label[has] = names[code]
    wrong, suggestion = np.full(len(labels), np.nan), label.copy()
    wrong[has], winner = _vote_on(z[has], code, len(names), int(k))
    rejected = wrong[has] > wrong_above
    suggestion[np.flatnonzero(has)[rejected]] = names[winner[rejected]]
    if not has.all():
        suggestion[~has], _ = nearest_labels(z[has], label[has].astype(str), z[~has], k, 0.0)
    adata.obs[f"{key_added}_wrong"] = wrong
    adata.obs[f"{key_added}_suggestion"] = pd.Categorical(suggestion)
    return pd.DataFrame({"label": label, "wrong": wrong, "suggestion": suggestion}, index=adata.obs_names)


def _vote_on(z: np.ndarray, code: np.ndarray, n_labels: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(cells,) share of the neighbours' votes against each cell's label, and the label with most votes."""
    near = nearest(z, k)
    trust = np.ones(len(z))
    for _ in range(ROUNDS):
        votes = _votes(near.distances, code[near.indices], n_labels, trust[near.indices])
        total = np.maximum(votes.sum(axis=1), 1e-12)
        wrong = 1.0 - votes[np.arange(len(z)), code] / total
        trust = 1.0 - wrong
    return wrong, votes.argmax(axis=1)


def _embedding_of(adata: AnnData, embedding: str | np.ndarray | FittedModel) -> np.ndarray:
    """The (cells, latent) embedding that was named."""
    if isinstance(embedding, FittedModel):
        embedding = f"X_{embedding.settings['key_added']}"
    if isinstance(embedding, str):
        if embedding not in adata.obsm:
            raise InputError(
                "the key of an embedding in obsm",
                f"no '{embedding}'; there are {shorten(list(adata.obsm)) or 'none'}",
                "name one of these, or fit a model first",
            )
        embedding = adata.obsm[embedding]
    z = np.asarray(embedding)
    if z.ndim != 2 or len(z) != adata.n_obs or not np.isfinite(z.astype(np.float64)).all():
        raise InputError(
            f"an embedding of {adata.n_obs} cells x dimensions, of finite numbers",
            f"an array of the shape {z.shape}" if z.ndim != 2 or len(z) != adata.n_obs else "missing numbers",
            "leave out cells without an embedding, or give that of these cells",
        )
    return z

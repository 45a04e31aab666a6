"""Embeddings of the features that peak-gene links are scored by, learned beside the fitted cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from isthmus.genomics import GuidanceGraph
from isthmus.models.glue import GLUE
from isthmus.tl._glue_fit import Cells, batch_size_of, joint_loaders, make_network, options_of
from isthmus.train import train
from isthmus.train.devices import randomness

LINK_MODELS = ("cells", "graph")
RIDGE = 0.1  # in mean variances of the embedding
DEPTH = 1e4  # to which counts are normalised before the logarithm


def link_embeddings(
    network: GLUE, cells: Mapping[str, Cells], latents: Mapping[str, np.ndarray],
    decoyed: tuple[GuidanceGraph, np.ndarray] | None, settings: Any, progress: str | Callable[[str], Any],
) -> np.ndarray:  # fmt: skip
    """(models, features, latent) float32 embeddings whose cosine is the score of a link.

    Parameters
    ----------
    network, cells, latents
        What was fitted, to which cells, and their (cells, latent) embeddings.
    decoyed
        The graph with its decoys, which the models of ``link_models="graph"`` see; None for others.
    settings
        Of the verb.
    progress
        As in :func:`isthmus.train.train`.
    """
    if decoyed is not None:
        return graph_models(network, cells, decoyed[0], settings, progress)
    rngs = [np.random.default_rng([settings.seed, i]) for i in range(settings.n_models)]
    values = {k: link_values(c) for k, c in cells.items()}
    metric = spread(latents)
    models = [[loadings(latents[k], values[k], c.batch, rng) for k, c in cells.items()] for rng in rngs]
    return np.stack([np.concatenate(model) @ metric for model in models]).astype(np.float32)


def link_values(cells: Cells) -> sp.csr_matrix:
    """(cells, features) values of a modality: counts log-normalised by the depth of the cell, others as they are."""
    if cells.side.values != "counts":
        return cells.targets
    out = cells.targets.copy()
    out.data *= np.repeat(DEPTH / np.maximum(cells.depth, 1.0), np.diff(out.indptr)).astype(np.float32)
    np.log1p(out.data, out=out.data)
    return out


def loadings(z: np.ndarray, values: sp.csr_matrix, batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ridge regression of each feature on the embedding, over a bootstrap sample of the cells.

    Parameters
    ----------
    z
        (cells, latent) embedding.
    values
        (cells, features).
    batch
        (cells,) codes; only what varies within batches counts.
    rng
        Where chance comes from.

    Returns
    -------
    numpy.ndarray
        (features, latent) float64 coefficients.
    """
    n = len(z)
    weight = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
    total = sp.csr_matrix((weight, (batch, np.arange(n)))) @ z
    centred = z - (total / np.maximum(np.bincount(batch, weight), 1.0)[:, None])[batch]
    weighted = weight[:, None] * centred
    gram = centred.T @ weighted
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram + ridge, (values.T @ weighted).T).T


def spread(latents: Mapping[str, np.ndarray]) -> np.ndarray:
    """The (latent, latent) symmetric root of the covariance of all cells.

    Loadings times it have as inner products the covariances, over the cells, of the profiles that they describe, and as
    cosines the correlations.
    """
    covariance = np.cov(np.concatenate(list(latents.values())).astype(np.float64), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def graph_models(
    network: GLUE, cells: Mapping[str, Cells], graph: GuidanceGraph, settings: Any, progress: str | Callable[[str], Any]
) -> np.ndarray:
    """The same as in the paper, which freezes the encoders and trains graph and decoders.

    Every model has seen the graph with its decoys, whatever the cells were aligned with.
    """
    out = []
    for i in range(settings.n_models):
        with randomness(settings.seed + i):
            model = make_network({k: c.side for k, c in cells.items()}, graph, None, vars(settings), frozen=True)
        model.encoders.load_state_dict(network.encoders.state_dict())
        loader, _ = joint_loaders(
            cells, None, None, batch_size_of(settings, cells), replace(settings, early_stopping=False),
            settings.seed + 100 + i,
        )  # fmt: skip
        train(model, loader, None, options_of(settings, settings.link_steps, settings.seed + i), progress=progress)
        with torch.inference_mode():
            out.append(torch.cat(list(model.embed_features().values())).numpy())
    return np.stack(out)

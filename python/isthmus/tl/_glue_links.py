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
FOLDS = 5  # of cells, each of which is placed by the others
RIDGE = 0.1  # in mean variances of what is regressed on
CELLS_A_GROUP, GROUPS = 40, (3, 60)  # cells of the smallest modality, on average; least and most groups
LEAST_CELLS = 10  # of every modality in a group
DEPTH = 1e4  # to which counts are brought before the logarithm


def link_embeddings(
    network: GLUE, cells: Mapping[str, Cells], latents: Mapping[str, np.ndarray],
    decoyed: tuple[GuidanceGraph, np.ndarray] | None, settings: Any, progress: str | Callable[[str], Any],
) -> np.ndarray:  # fmt: skip
    """(models, features, dimensions) float32 embeddings whose cosine is the score of a link.

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
    placed = {k: placed_by_others(latents[k], c.representation, settings.seed) for k, c in cells.items()}
    return np.stack([cell_model(placed, cells, settings.seed + i) for i in range(settings.n_models)])


def placed_by_others(z: np.ndarray, seen: np.ndarray, seed: int) -> np.ndarray:
    """Where the other cells would put each cell, by a linear map from what the encoder sees.

    An encoder learns the cells that it is trained on by heart, and has their noise lie along the features that it is
    of. As the graph joins features, linked ones would then go together in noise alone.

    Parameters
    ----------
    z
        (cells, latent) embedding.
    seen
        (cells, components) what the encoder sees.
    seed
        Of the folds.

    Returns
    -------
    numpy.ndarray
        (cells, latent) float32; each fold's by ridge regression over the cells of all others.
    """
    fold = np.random.default_rng(seed).permutation(len(z)) % FOLDS
    out = np.empty_like(z)
    for one in range(FOLDS):
        own, others = fold == one, fold != one
        mean, middle = seen[others].mean(axis=0), z[others].mean(axis=0)
        centred = (seen[others] - mean).astype(np.float64)
        gram = centred.T @ centred
        ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        slope = np.linalg.solve(gram + ridge, centred.T @ (z[others] - middle))
        out[own] = (seen[own] - mean) @ slope + middle
    return out


def cell_model(placed: Mapping[str, np.ndarray], cells: Mapping[str, Cells], seed: int) -> np.ndarray:
    """(features, groups) float32 profile of each feature over groups of similar cells, which modalities share.

    Parameters
    ----------
    placed
        (cells, latent) by modality, in one space.
    cells
        Their values.
    seed
        Of k-means.
    """
    from sklearn.cluster import MiniBatchKMeans

    n_groups = int(np.clip(min(len(z) for z in placed.values()) // CELLS_A_GROUP, *GROUPS))
    z = np.concatenate(list(placed.values()))
    group = MiniBatchKMeans(min(n_groups, len(z)), n_init=1, random_state=seed).fit_predict(z)
    parts = np.split(group, np.cumsum([len(z) for z in placed.values()])[:-1])
    sizes = np.stack([np.bincount(part, minlength=n_groups) for part in parts])
    for least in (LEAST_CELLS, 1, 0):  # a group of few cells of a modality says little of its features
        shared = (sizes >= least).all(axis=0)
        if shared.sum() >= GROUPS[0]:
            break
    return np.concatenate([profiles(c, part, shared) for c, part in zip(cells.values(), parts, strict=True)])


def profiles(cells: Cells, group: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """How much there is of each feature in each group of cells, beside what the batches of these cells let one expect.

    Parameters
    ----------
    cells
        Of one modality.
    group
        (cells,) codes.
    asked
        (groups,) bool, groups to look at. Where these are the ones that two modalities share, the cosine of two rows is
        the correlation over them.

    Returns
    -------
    numpy.ndarray
        (features, groups) float32 difference of logarithms (counts) or means (other values), 0 on average; 0 in groups
        that were not asked for or have no cells.
    """
    counts, n, n_batches = cells.side.values == "counts", len(group), cells.batch.max() + 1
    depth = np.maximum(cells.depth, 1.0) if counts else np.ones(n)
    of_group = sp.csr_matrix((np.ones(n), (group, np.arange(n))), shape=(len(asked), n))
    of_batch = sp.csr_matrix((np.ones(n), (cells.batch, np.arange(n))), shape=(n_batches, n))
    shared = (of_group.multiply(depth) @ of_batch.T).toarray()  # depth of each group that is of each batch
    by_batch = (of_batch @ cells.targets).toarray() / np.maximum(of_batch @ depth, 1.0)[:, None]
    there = np.flatnonzero(asked & (np.bincount(group, minlength=len(asked)) > 0))
    sums = np.stack([(of_group @ cells.targets).toarray()[there], shared[there] @ by_batch])
    level = sums / shared[there].sum(axis=1, keepdims=True)
    level = np.log1p(DEPTH * level) if counts else level
    out = np.zeros((len(asked), cells.targets.shape[1]), dtype=np.float32)
    excess = level[0] - level[1]
    out[there] = excess - excess.mean(axis=0)
    return np.ascontiguousarray(out.T)


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

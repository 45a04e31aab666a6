"""Batch statistics that compare like with like.

The statistics of a whole batch mix two things: what the batch does to every cell, and which cells it holds. A batch
that lacks a cell type, or holds little else, is pulled to the centre of the others by them (over-correction). Here
cells are put into groups of similar cells first; a batch's shift is the mean difference, within these groups, between
its cells and those of all batches, and its spread is compared within groups too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from isthmus.data import Prepared
from isthmus.models import SCALEX
from isthmus.nn import Moments
from isthmus.tl._inference import encode, moments_of_batches

CELLS_A_GROUP = 100  # so that a group holds cells of most batches
GROUPS = (8, 50)  # groups of similar cells: least and most
ROUNDS = 3  # of grouping and shifting in turn
LEAST_CELLS = 5  # of a batch in a group, to compare them with the group's other cells
PSEUDO_CELLS = 16.0  # cells' worth of trust in no shift at all
CELLS_TO_GROUP = 50_000  # centres are found from so many cells at the most


@dataclass(frozen=True)
class Anchors:
    """Groups of similar reference cells, against which new batches are held.

    Attributes
    ----------
    centres
        (groups, latent) float32, in the embedding.
    hidden
        (groups, hidden) float32, mean over batches of the group's mean, before the encoder's normalisation.
    within
        (hidden,) float32, variance within groups, mean over batches.
    """

    centres: np.ndarray
    hidden: Tensor
    within: Tensor

    def group(self, z: np.ndarray) -> np.ndarray:
        """(cells,) the nearest centre of each cell."""
        distance = -2 * z @ self.centres.T + np.square(self.centres).sum(axis=1)
        return distance.argmin(axis=1)


def find_anchors(
    model: SCALEX, prepared: Prepared, batch: np.ndarray, exact: Moments, seed: int
) -> tuple[Anchors, Moments]:
    """Group the reference's cells and compare its batches within the groups.

    Parameters
    ----------
    model
        Trained; its running statistics are those of the whole reference.
    prepared, batch
        The reference's cells and their batches.
    exact
        Moments of each whole batch, to start from.
    seed
        Of the k-means.

    Returns
    -------
    anchors, moments
        The groups, and the (batches, hidden) moments to encode the reference with.
    """
    moments = exact
    for _ in range(ROUNDS):
        z = encode(model, prepared, moments, batch)
        n_groups = min(int(np.clip(len(z) // CELLS_A_GROUP, *GROUPS)), len(z))
        some = np.random.default_rng(seed).permutation(len(z))[:CELLS_TO_GROUP]
        means = KMeans(n_groups, n_init=4, random_state=seed).fit(z[np.sort(some)])
        anchors = Anchors(means.cluster_centers_.astype(np.float32), torch.empty(0), torch.empty(0))
        cells, count = _by_group(model, prepared, batch, anchors.group(z), len(anchors.centres), len(exact.mean))
        compared = torch.where(count >= LEAST_CELLS, 1.0, 0.0) + 1e-6 * count  # a rare group: whatever there is
        hidden = (compared[..., None] * cells.mean).sum(dim=1) / compared.sum(dim=1).clamp(min=1e-12)[:, None]
        anchors = Anchors(anchors.centres, hidden, _within(cells, count).mean(dim=0))
        moments = _shifted(model, anchors, cells, count)
    return anchors, moments


def match(model: SCALEX, anchors: Anchors, prepared: Prepared, batch: np.ndarray, exact: Moments) -> Moments:
    """Moments to encode new batches with: each compared with the reference's groups that its cells belong to."""
    moments = exact
    for _ in range(ROUNDS):
        group = anchors.group(encode(model, prepared, moments, batch))
        cells, count = _by_group(model, prepared, batch, group, len(anchors.centres), len(exact.mean))
        moments = _shifted(model, anchors, cells, count)
    return moments


def _by_group(
    model: SCALEX, prepared: Prepared, batch: np.ndarray, group: np.ndarray, n_groups: int, n_batches: int
) -> tuple[Moments, Tensor]:
    """Moments (groups, batches, hidden) and numbers (groups, batches) of the cells of each batch in each group."""
    code = group * n_batches + batch
    flat = moments_of_batches(model, prepared, code, n_groups * n_batches)
    count = torch.from_numpy(np.bincount(code, minlength=n_groups * n_batches)).float().view(n_groups, n_batches)
    shape = (n_groups, n_batches, -1)
    return Moments(flat.mean.nan_to_num().view(shape), flat.variance.nan_to_num().view(shape)), count


def _within(cells: Moments, count: Tensor) -> Tensor:
    """(batches, hidden) variance of a batch's cells around the means of their groups."""
    return (count[..., None] * cells.variance).sum(dim=0) / count.sum(dim=0).clamp(min=1)[:, None]


def _shifted(model: SCALEX, anchors: Anchors, cells: Moments, count: Tensor) -> Moments:
    """The whole reference's moments, shifted and spread as each batch is within the groups."""
    compared = torch.where(count >= LEAST_CELLS, count, 0.0)
    total = compared.sum(dim=0)[:, None]  # (batches, 1)
    shift = (compared[..., None] * (cells.mean - anchors.hidden[:, None])).sum(dim=0) / total.clamp(min=1)
    ratio = _within(cells, count) / anchors.within.clamp(min=1e-12)
    trust = total / (total + PSEUDO_CELLS)
    whole = model.encoder.running_moments()
    return Moments(whole.mean + trust * shift, whole.variance * (trust * ratio + 1 - trust))

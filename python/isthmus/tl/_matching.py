"""Batch statistics that compare like with like.

The statistics of a whole batch mix two things: what the batch does to every cell, and which cells it holds. A batch
that lacks a cell type, or holds little else, is pulled to the centre of the others by them (over-correction). Here
cells are put into groups of similar cells first; a batch's shift is the mean difference, within these groups, between
its cells and those of all batches, and its spread is compared within groups too. A cell belongs to several groups in
part, as in a mixture of Gaussians: no cell changes sides by a rounding error, and the order of cells does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from isthmus.data import Prepared
from isthmus.models import SCALEX
from isthmus.nn import Moments
from isthmus.tl._groups import ROUNDS, group_cells
from isthmus.tl._inference import encode, moments_of_groups

FEW_CELLS = 5.0  # of a batch in a group: half as much is made of them as of many
SHARPNESS = 10.0  # precision of a cell's membership over that of its group: nearly the nearest one, without a jump
PSEUDO_CELLS = 16.0  # cells' worth of trust in no shift at all


@dataclass(frozen=True)
class Anchors:
    """Groups of similar reference cells, against which new batches are held.

    Attributes
    ----------
    centres
        (groups, latent) float32, in the embedding.
    spread
        Variance of cells around the centre of their group, mean over latent dimensions.
    hidden
        (groups, hidden) float32, mean over batches of the group's mean, before the encoder's normalisation.
    within
        (hidden,) float32, variance within groups, mean over batches.
    """

    centres: np.ndarray
    spread: float
    hidden: Tensor
    within: Tensor

    def member(self, z: np.ndarray) -> np.ndarray:
        """(cells, groups) part of each group in each cell: posterior of narrow Gaussians around the centres."""
        distance = np.square(z).sum(axis=1, keepdims=True) - 2 * z @ self.centres.T
        distance += np.square(self.centres).sum(axis=1)
        return softmax(-0.5 * SHARPNESS / self.spread * distance, axis=1)


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
        centres, spread = _centres(z, seed)
        anchors = Anchors(centres, spread, torch.empty(0), torch.empty(0))
        cells, count = moments_of_groups(model, prepared, batch, len(exact.mean), anchors.member(z))
        hidden = _mean_over_batches(cells, count)
        anchors = replace(anchors, hidden=hidden, within=_within(cells, count).mean(dim=0))
        moments = _shifted(model, anchors, cells, count)
    return anchors, match(model, anchors, prepared, batch, exact)  # what a projection of the same cells would find


def match(model: SCALEX, anchors: Anchors, prepared: Prepared, batch: np.ndarray, exact: Moments) -> Moments:
    """Moments to encode batches with: each compared with the reference's groups that its cells belong to."""
    moments = exact
    for _ in range(ROUNDS):
        member = anchors.member(encode(model, prepared, moments, batch))
        moments = _shifted(model, anchors, *moments_of_groups(model, prepared, batch, len(exact.mean), member))
    return moments


def _centres(z: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Centres of groups of similar cells, (groups, latent), and the variance around them."""
    means = group_cells(z, seed)
    spread = float(means.inertia_) / (len(means.labels_) * z.shape[1])
    return means.cluster_centers_.astype(np.float32), max(spread, 1e-12)


def _mean_over_batches(cells: Moments, count: Tensor) -> Tensor:
    """(groups, hidden) each group's mean, in which every batch with more than a few cells has one vote."""
    vote = count / (count + FEW_CELLS)
    return (vote[..., None] * cells.mean).sum(dim=1) / vote.sum(dim=1).clamp(min=1e-12)[:, None]


def _within(cells: Moments, count: Tensor) -> Tensor:
    """(batches, hidden) variance of a batch's cells around the means of their groups."""
    return (count[..., None] * cells.variance).sum(dim=0) / count.sum(dim=0).clamp(min=1e-12)[:, None]


def _shifted(model: SCALEX, anchors: Anchors, cells: Moments, count: Tensor) -> Moments:
    """The whole reference's moments, shifted and spread as each batch is within the groups."""
    compared = count * count / (count + FEW_CELLS)
    total = compared.sum(dim=0)[:, None]  # (batches, 1)
    shift = (compared[..., None] * (cells.mean - anchors.hidden[:, None])).sum(dim=0) / total.clamp(min=1e-12)
    ratio = _within(cells, count) / anchors.within.clamp(min=1e-12)
    trust = total / (total + PSEUDO_CELLS)
    whole = model.encoder.running_moments()
    return Moments(whole.mean + trust * shift, whole.variance * (trust * ratio + 1 - trust))

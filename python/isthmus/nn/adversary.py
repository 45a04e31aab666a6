"""Adversaries: who tells batches apart, who tells generated cells from real ones."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.conditional import SLOPE
from isthmus.nn.dropout import Dropout
from isthmus.nn.linear import SparseLinear
from isthmus.nn.sparse import SparseRows


class BatchClassifier(nn.Module):
    """Guesses the batch from the latent state; 1 = no better than chance.

    Parameters
    ----------
    n_latent, n_hidden
        Widths.
    counts
        (batches,) cells of each batch: rare ones weigh as much as large ones.
    """

    def __init__(self, n_latent: int, n_hidden: int, counts: Tensor) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_latent, n_hidden), nn.LeakyReLU(SLOPE), nn.Linear(n_hidden, len(counts))
        )
        balanced = counts.sum() / (len(counts) * counts.clamp(min=1).float())
        self.register_buffer("weight", balanced.float())
        self.chance = math.log(max(len(counts), 2))

    def forward(self, z: Tensor, batch: Tensor) -> Tensor:
        """Class-balanced cross-entropy over ln(batches), a scalar."""
        return F.cross_entropy(self.layers(z).float(), batch, self.weight) / self.chance


class Discriminator(nn.Module):
    """A positive score for each cell, measured or generated."""

    def __init__(self, n_features: int, n_hidden: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_features, n_hidden)
        self.rest = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Linear(n_hidden, 1))

    def forward(self, x: SparseRows | Tensor) -> Tensor:
        """(cells,) positive scores of (cells, features)."""
        return F.softplus(self.rest(self.first(x)).float()).squeeze(1)


class ModalityDiscriminator(nn.Module):
    """Guesses the modality of a cell from its embedding.

    Parameters
    ----------
    n_latent, n_modalities, n_hidden, n_layers
        Sizes.
    dropout
        Share of hidden units left out in training.
    n_batches
        Batches that it is told; 0 = none.
    """

    def __init__(
        self, n_latent: int, n_modalities: int, n_hidden: int, n_layers: int, dropout: float, n_batches: int = 0
    ) -> None:
        super().__init__()
        self.n_batches = n_batches
        widths = [n_latent + n_batches, *[n_hidden] * n_layers]
        hidden = [nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(SLOPE), Dropout(dropout)) for a, b in pairwise(widths)]
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], n_modalities))

    def forward(self, u: Tensor, truth: Tensor, batch: Tensor | None = None) -> Tensor:
        """(cells,) cross-entropy of the modality ``truth``, in nats."""
        if batch is not None:
            u = torch.cat([u, F.one_hot(batch, self.n_batches).to(u.dtype)], dim=1)
        return F.cross_entropy(self.layers(u).float(), truth, reduction="none")


def bhattacharyya(u: Tensor, v: Tensor) -> Tensor:
    """Distance ``-ln sum_i sqrt(p_i q_i)`` of two sets of positive scores, each normalised to sum to one.

    The sum is at most 1 (Cauchy-Schwarz), so that the distance is never negative.

    Parameters
    ----------
    u, v
        (cells,) scores.
    """
    u, v = u + 1e-6, v + 1e-6  # a square root has no slope at zero
    return -torch.log(torch.sqrt(u / u.sum() * v / v.sum()).sum())

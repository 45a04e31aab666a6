"""Encoders: from measured features to a distribution over the latent space."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.conditional import SLOPE, GaussianHead
from isthmus.nn.dropout import Dropout
from isthmus.nn.gaussian import Gaussian
from isthmus.nn.linear import SparseLinear
from isthmus.nn.sparse import SparseRows


@dataclass(frozen=True)
class Moments:
    """Mean and variance that a batch normalisation uses instead of those of the mini-batch.

    Attributes
    ----------
    mean, variance
        (groups, width); one group, or one for each batch of cells.
    """

    mean: Tensor
    variance: Tensor

    def pooled(self, weight: Tensor) -> Moments:
        """Moments of all groups together, one group; ``weight`` (groups,) sums to 1."""
        w = weight[:, None]
        mean = (w * self.mean).sum(dim=0, keepdim=True)
        return Moments(mean, (w * (self.variance + (self.mean - mean).square())).sum(dim=0, keepdim=True))

    def towards(self, other: Moments, weight: Tensor) -> Moments:
        """Moments of the mixture ``weight`` x self + (1 - ``weight``) x other; ``weight`` is (groups,)."""
        w = weight[:, None]
        mean = w * self.mean + (1 - w) * other.mean
        spread = w * (self.mean - mean).square() + (1 - w) * (other.mean - mean).square()
        return Moments(mean, w * self.variance + (1 - w) * other.variance + spread)


class GaussianEncoder(nn.Module):
    """``q(z | x)``: sparse linear, batch norm, ReLU, then one linear head each for mean and log-variance.

    Parameters
    ----------
    n_features, n_hidden, n_latent
        Widths.
    dropout
        Share of a cell's features that are hidden from it in each step of the training.
    """

    def __init__(self, n_features: int, n_hidden: int, n_latent: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = SparseLinear(n_features, n_hidden)
        self.norm = nn.BatchNorm1d(n_hidden)
        self.mean = nn.Linear(n_hidden, n_latent)
        self.log_variance = nn.Linear(n_hidden, n_latent)

    def forward(
        self,
        x: SparseRows,
        fill: Tensor | None = None,
        moments: Moments | None = None,
        group: Tensor | None = None,
    ) -> Gaussian:
        """Encode cells.

        Parameters
        ----------
        x
            (cells, features).
        fill
            (features,) values of unmeasured features, see :class:`SparseLinear`.
        moments
            Statistics to normalise with; None = of the mini-batch in training, the running ones otherwise.
        group
            (cells,) which group of ``moments`` each cell belongs to.
        """
        if self.training and self.dropout > 0:
            x = x.dropout(self.dropout)
        h = self.first(x, fill)  # (cells, hidden)
        h = self.norm(h) if moments is None else self._normalise(h, moments, group)
        h = F.relu(h)
        return Gaussian(self.mean(h).float(), self.log_variance(h).float())  # divergences are summed in full precision

    def running_moments(self) -> Moments:
        """The running statistics, as one group."""
        return Moments(self.norm.running_mean[None], self.norm.running_var[None])

    def settle(self, moments: Moments) -> None:
        """Replace the running statistics, which mini-batches left noisy, by the one group of ``moments``."""
        self.norm.running_mean.copy_(moments.mean[0])
        self.norm.running_var.copy_(moments.variance[0])

    def _normalise(self, h: Tensor, moments: Moments, group: Tensor) -> Tensor:
        scale = self.norm.weight * torch.rsqrt(moments.variance + self.norm.eps)  # (groups, hidden)
        shift = self.norm.bias - moments.mean * scale
        return h * scale[group] + shift[group]


class RepresentationEncoder(nn.Module):
    """``q(u | r)`` of a dense representation: layers of linear, leaky ReLU, batch norm and dropout, then a Gaussian.

    Parameters
    ----------
    n_inputs, n_hidden, n_latent
        Widths.
    n_layers
        Hidden layers.
    dropout
        Share of hidden units left out in training.
    """

    def __init__(self, n_inputs: int, n_hidden: int, n_latent: int, n_layers: int, dropout: float) -> None:
        super().__init__()
        widths = [n_inputs, *[n_hidden] * n_layers]
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(SLOPE), nn.BatchNorm1d(b), Dropout(dropout))
                for a, b in pairwise(widths)
            )
        )
        self.head = GaussianHead(widths[-1], n_latent)

    def forward(self, r: Tensor) -> Gaussian:
        """Encode (cells, inputs)."""
        return self.head(self.hidden(r))

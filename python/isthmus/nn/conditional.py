"""Blocks that are told the batch of each cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus.nn.gaussian import Gaussian
from isthmus.nn.linear import SparseLinear
from isthmus.nn.sparse import SparseRows

SLOPE = 0.2  # of the leaky ReLU below zero
LARGEST_LOG_VARIANCE = 9.2  # variances stay in [1e-4, 1e4]


def hidden_layer(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    """Linear, leaky ReLU, dropout."""
    return nn.Sequential(nn.Linear(n_in, n_out), nn.LeakyReLU(SLOPE), nn.Dropout(dropout))


class GaussianHead(nn.Module):
    """Mean and log-variance of a diagonal Gaussian, one linear layer each."""

    def __init__(self, n_hidden: int, n_latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(n_hidden, n_latent)
        self.log_variance = nn.Linear(n_hidden, n_latent)

    def forward(self, h: Tensor) -> Gaussian:
        """(cells, hidden) to a Gaussian in float32."""
        limit = LARGEST_LOG_VARIANCE
        return Gaussian(self.mean(h).float(), self.log_variance(h).float().clamp(-limit, limit))


class ConditionalEncoder(nn.Module):
    """``h(x, b)``: sparse linear plus an offset for the batch, layer norm, leaky ReLU, dropout.

    The offset is what a one-hot batch beside the features would give. Cells with the code ``n_batches`` have no
    offset: that is the batch-free encoder, which is trained by hiding the batch of some cells.

    Parameters
    ----------
    n_features, n_batches, n_hidden
        Widths.
    dropout
        Share of hidden units left out in training.
    """

    def __init__(self, n_features: int, n_batches: int, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.first = SparseLinear(n_features, n_hidden)
        self.offset = nn.Embedding(n_batches + 1, n_hidden, padding_idx=n_batches)
        nn.init.zeros_(self.offset.weight)
        self.rest = nn.Sequential(nn.LayerNorm(n_hidden), nn.LeakyReLU(SLOPE), nn.Dropout(dropout))

    def forward(self, x: SparseRows, batch: Tensor, fill: Tensor | None = None) -> Tensor:
        """(cells, hidden).

        Parameters
        ----------
        x
            (cells, features).
        batch
            (cells,) codes; ``n_batches`` = unknown.
        fill
            (features,) values of unmeasured features, see :class:`SparseLinear`.
        """
        return self.rest(self.first(x, fill) + self.offset(batch))


class ConditionalDecoder(nn.Module):
    """``h(z, b)``: linear plus an offset for the batch, layer norm, leaky ReLU, dropout."""

    def __init__(self, n_latent: int, n_batches: int, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(n_latent, n_hidden)
        self.offset = nn.Embedding(n_batches, n_hidden)
        nn.init.normal_(self.offset.weight, std=0.1)
        self.rest = nn.Sequential(nn.LayerNorm(n_hidden), nn.LeakyReLU(SLOPE), nn.Dropout(dropout))

    def forward(self, z: Tensor, batch: Tensor) -> Tensor:
        """(cells, hidden) of latent states and batch codes."""
        return self.rest(self.first(z) + self.offset(batch))


def hide_batches(batch: Tensor, n_batches: int, share: float) -> Tensor:
    """The codes, a random ``share`` of them replaced by ``n_batches``, unknown."""
    if share == 0:
        return batch
    hidden = torch.rand(batch.shape, device=batch.device) < share
    return torch.where(hidden, n_batches, batch)

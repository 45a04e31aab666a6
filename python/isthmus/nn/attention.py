"""Attention within one cell: over views of it, and over anchors that are saved with the model."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention, ``softmax(Q K^T / sqrt(d)) V`` of learned projections (Vaswani et al. 2017).

    Parameters
    ----------
    n_latent
        Width of queries, keys and values.
    n_heads
        Heads, each ``n_latent / n_heads`` wide.
    """

    def __init__(self, n_latent: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value, self.out = (nn.Linear(n_latent, n_latent) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attend.

        Parameters
        ----------
        queries
            (cells, queries, latent).
        keys
            (cells or 1, keys, latent): what is attended to; one set for all cells, or one each.

        Returns
        -------
        torch.Tensor
            (cells, queries, latent).
        """
        q, k, v = self._split(self.query(queries)), self._split(self.key(keys)), self._split(self.value(keys))
        # a few numbers for each cell: one broadcast takes a tenth of the time of as many small matrix products
        alike = (q[..., :, None, :] * k[..., None, :, :]).sum(dim=-1) / math.sqrt(q.shape[-1])
        heads = (alike.softmax(dim=-1)[..., None] * v[..., None, :, :]).sum(dim=-2)  # (cells, heads, queries, width)
        return self.out(heads.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(cells, tokens, latent) to (cells, heads, tokens, latent / heads)."""
        return x.float().unflatten(2, (self.n_heads, -1)).transpose(1, 2)


class ViewFusion(nn.Module):
    """One code out of the codes of several views: self-attention over them, their maximum, a feed-forward network.

    Parameters
    ----------
    n_latent, n_heads
        As in :class:`Attention`.
    """

    def __init__(self, n_latent: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(n_latent, n_heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(n_latent, 4 * n_latent), nn.ReLU(), nn.Linear(4 * n_latent, n_latent)
        )

    def forward(self, views: Tensor) -> Tensor:
        """(cells, latent) of (cells, views, latent); the order of the views is of no matter."""
        return self.feed_forward(self.attention(views, views).amax(dim=1))


class AnchorAttention(nn.Module):
    """What a code says in terms of another modality: attention over anchors there, added and normalised.

    The anchors are parameters. They take the place of whatever cells would share the mini-batch, so that a cell's
    result is a matter of the cell alone.

    Parameters
    ----------
    n_latent, n_heads
        As in :class:`Attention`.
    n_anchors
        How many.
    """

    def __init__(self, n_latent: int, n_heads: int, n_anchors: int) -> None:
        super().__init__()
        self.anchors = nn.Parameter(torch.randn(n_anchors, n_latent))
        self.attention = Attention(n_latent, n_heads)
        self.norm = nn.LayerNorm(n_latent)
        nn.init.zeros_(self.attention.out.weight)  # at first a code says nothing of the other modality
        nn.init.zeros_(self.attention.out.bias)

    def forward(self, z: Tensor) -> Tensor:
        """(cells, latent) of (cells, latent)."""
        return self.norm(z + self.attention(z[None], self.anchors[None])[0])  # every cell is one query

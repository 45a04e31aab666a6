"""Contrast: views of one cell, pairs of codes against all others, pairs against the most similar others."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.sparse import SparseRows

TEMPERATURES = (0.01, 1.0)


def masked_views(x: SparseRows, n_views: int, share: float) -> list[SparseRows]:
    """Copies of the rows in which each cell misses its own random ``share`` of the features.

    What is left is scaled up, so that a cell seems no shallower for it. A feature without counts is masked unseen.
    """
    return [x.dropout(share) for _ in range(n_views)]


class InfoNCE(nn.Module):
    """Symmetric contrast: the partner of each cell is to be told from the partners of all others.

    With cosines ``s_ij`` of first and second codes and temperature t, the mean over i of
    ``-ln softmax_j(s_ij / t)_i`` and of the same with the two exchanged, halved (van den Oord et al. 2018).

    Parameters
    ----------
    temperature
        At the start.
    learnable
        Whether it is learned; it stays between 0.01 and 1.
    """

    def __init__(self, temperature: float = 0.1, learnable: bool = True) -> None:
        super().__init__()
        start = torch.tensor(math.log(temperature))
        if learnable:
            self.log_temperature = nn.Parameter(start)
        else:
            self.register_buffer("log_temperature", start)

    def forward(self, similarity: Tensor) -> Tensor:
        """A scalar, nats, of the (cells, cells) cosines; pairs stand on the diagonal."""
        least, most = (math.log(t) for t in TEMPERATURES)
        logits = similarity / self.log_temperature.clamp(least, most).exp()
        truth = torch.arange(len(logits), device=logits.device)
        return 0.5 * (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth))


def cosines(u: Tensor, v: Tensor) -> Tensor:
    """(cells, other cells) cosines of the rows of ``u`` with those of ``v``, in float32."""
    return F.normalize(u.float(), dim=1) @ F.normalize(v.float(), dim=1).T


def hard_negatives(similarity: Tensor, allowed: Tensor, n_negatives: int, temperature: float) -> tuple[Tensor, Tensor]:
    """For each row, columns drawn without replacement, the more similar the likelier.

    Column j comes with weight ``exp(s_ij / temperature)`` (the largest of scores with Gumbel noise).

    Parameters
    ----------
    similarity
        (cells, cells).
    allowed
        (cells, cells) bool, which columns may be drawn.
    n_negatives
        How many to draw; fewer where there are fewer columns.

    Returns
    -------
    index, valid
        (cells, negatives) columns, and whether each was allowed: a row may have too few.
    """
    uniform = torch.rand_like(similarity).clamp(min=1e-20)
    scores = similarity.detach() / temperature - (-uniform.log()).log()
    best = scores.masked_fill(~allowed, -math.inf).topk(min(n_negatives, similarity.shape[1]), dim=1)
    return best.indices, best.values > -math.inf

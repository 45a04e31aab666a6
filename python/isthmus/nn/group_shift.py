"""Cells of several kinds moved to each other, group by group."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SHARPNESS = 10.0  # precision of memberships, over that of the distances to the nearest centre: soft only between groups
FEW_CELLS = 20.0  # of a kind in a group: half as much is made of them as of many


class GroupShift(nn.Module):
    """``z + sum over groups g of p(g | z) s_kg``: cells of kind k move to where the others of their group are.

    A cell belongs to several groups in part, as in a mixture of Gaussians, so that near cells stay near. At first the
    map does nothing.

    Parameters
    ----------
    n_kinds
        Kinds of cells, such as modalities.
    n_groups, n_latent
        Groups of similar cells; width of the embedding.
    """

    def __init__(self, n_kinds: int, n_groups: int, n_latent: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_groups, n_latent))
        self.register_buffer("precision", torch.zeros(()))
        self.register_buffer("shift", torch.zeros(n_kinds, n_groups, n_latent))

    def learn(self, z: Sequence[Tensor], centre: Tensor) -> None:
        """Learn where the cells of each kind, (cells, latent) each, have to go.

        The cells of a group go from their kind's mean to the mean of the kinds, in which every kind with more than a
        few cells has one vote. Where a group has cells of one kind, they stay.

        Parameters
        ----------
        z
            (cells, latent) by kind.
        centre
            (groups, latent).
        """
        self.centre.copy_(centre)
        nearest = torch.stack([torch.cdist(part, self.centre).amin(dim=1).square().mean() for part in z])
        self.precision.copy_(SHARPNESS / nearest.mean().clamp(min=1e-12))
        member = [self.member(part) for part in z]
        count = torch.stack([p.sum(dim=0) for p in member])[..., None]  # (kinds, groups, 1)
        mean = torch.stack([p.T @ part for p, part in zip(member, z, strict=True)]) / count.clamp(min=1e-12)
        vote = count / (count + FEW_CELLS)
        together = (vote * mean).sum(dim=0) / vote.sum(dim=0).clamp(min=1e-12)
        self.shift.copy_(vote * (together - mean))

    def member(self, z: Tensor) -> Tensor:
        """(cells, groups) part of each group in each cell."""
        return torch.softmax(-0.5 * self.precision * torch.cdist(z, self.centre).square(), dim=1)

    def forward(self, z: Tensor, kind: int) -> Tensor:
        """(cells, latent) cells of a kind, moved."""
        return z + self.member(z) @ self.shift[kind]

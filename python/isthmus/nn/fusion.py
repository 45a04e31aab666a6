"""Codes of two modalities and one embedding of both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isthmus.nn.conditional import SLOPE
from isthmus.nn.linear import SparseLinear
from isthmus.nn.sparse import SparseRows

SMALL = 0.1  # what a block that was given a start may add to it at first
LEAST_VARIANCE = 1e-6  # a direction below this share of the largest variance is rounding
LEAST_WEIGHT = 0.01  # no direction is lost: the map can be undone
LEAST_DEVIATION = 1e-6


class CodeEncoder(nn.Module):
    """``z(x)``: sparse linear, then a linear path beside layer norm, leaky ReLU, dropout and linear.

    A code has mean 0 and variance 1 over its dimensions, so that no term gains by making codes small.

    Parameters
    ----------
    n_features, n_hidden, n_latent
        Widths.
    dropout
        Share of hidden units left out in training.
    """

    def __init__(self, n_features: int, n_hidden: int, n_latent: int, dropout: float) -> None:
        super().__init__()
        self.first = SparseLinear(n_features, n_hidden)
        self.straight = nn.Linear(n_hidden, n_latent)
        self.bent = nn.Sequential(
            nn.LayerNorm(n_hidden), nn.LeakyReLU(SLOPE), nn.Dropout(dropout), nn.Linear(n_hidden, n_latent)
        )
        self.norm = nn.LayerNorm(n_latent, elementwise_affine=False)

    @torch.no_grad()
    def start_at(self, loadings: Tensor, shift: Tensor) -> None:
        """Begin as the linear reduction ``x @ loadings + shift``, (features, components) and (components,)."""
        k = min(loadings.shape[1], self.first.weight.shape[1])
        self.first.weight.zero_()[:, :k] = loadings[:, :k]
        self.first.bias.zero_()[:k] = shift[:k]
        nn.init.eye_(self.straight.weight)
        self.straight.bias.zero_()
        self.bent[-1].weight.mul_(SMALL)

    def forward(self, x: SparseRows, fill: Tensor | None = None) -> Tensor:
        """(cells, latent) of (cells, features); ``fill`` as in :class:`isthmus.nn.SparseLinear`."""
        h = self.first(x, fill)
        return self.norm(self.straight(h) + self.bent(h)).float()


class ResidualFusion(nn.Module):
    """``f(u, v)``: a linear layer beside one with a hidden layer; at the start the two codes side by side, turned.

    Parameters
    ----------
    n_code, n_latent
        Widths of each code and of the embedding; with ``n_latent = 2 n_code`` the start loses nothing.
    """

    def __init__(self, n_code: int, n_latent: int) -> None:
        super().__init__()
        both = 2 * n_code
        self.straight = nn.Linear(both, n_latent)
        self.bent = nn.Sequential(nn.Linear(both, both), nn.LeakyReLU(SLOPE), nn.Linear(both, n_latent))
        nn.init.orthogonal_(self.straight.weight)
        with torch.no_grad():
            self.bent[-1].weight.mul_(SMALL)

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """(cells, latent) of two codes, (cells, code) each."""
        both = torch.cat([u, v], dim=1)
        return self.straight(both) + self.bent(both)


class Whitening(nn.Module):
    """An affine map to directions of equal variance, each then scaled by how well it is reproduced.

    A direction in which few cells differ, such as the one that parts two similar types, counts as much as one in which
    all do; one that two halves of a cell's counts do not agree on counts for less. At first the map does nothing.
    """

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_latent))
        self.register_buffer("matrix", torch.eye(n_latent))
        self.register_buffer("inverse", torch.eye(n_latent))

    def settle(self, z: Tensor, halves: tuple[Tensor, Tensor] | None = None, least: float = 0.0) -> None:
        """Learn the map from the reference.

        Parameters
        ----------
        z
            (cells, latent).
        halves
            The same cells from one half of their entries and from the other. With S their symmetric cross-covariance
            and T their mean covariance, the directions are the solutions of ``S w = rho T w``. None: the principal
            axes, none of them weighted.
        least
            Directions have the standard deviation rho, or this where rho is smaller.
        """
        z = z.double()
        mean = z.mean(dim=0)
        axes, deviation, rho = _principal(z - mean)
        if halves is not None:
            one, two = ((half.double() - mean) @ (axes / deviation) for half in halves)
            turn, rho = _reproduced(one, two)
            axes = (axes / deviation) @ turn
            deviation = ((z - mean) @ axes).std(dim=0).clamp(min=LEAST_DEVIATION)
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()  # no direction by chance
        self.mean.copy_(mean)
        self._take(axes / deviation * rho.clamp(max(least, LEAST_WEIGHT), 1.0))

    def hold_back(self, directions: Tensor, weight: Tensor) -> None:
        """Shrink whitened cells along some directions.

        Parameters
        ----------
        directions
            (latent, directions) orthonormal.
        weight
            (directions,) what the deviation along each is multiplied by, within 0..1.
        """
        a = directions.double()
        less = torch.eye(len(a), dtype=a.dtype) - a * (1.0 - weight.double().clamp(min=LEAST_WEIGHT)) @ a.T
        self._take(self.matrix.double() @ less)

    def _take(self, matrix: Tensor) -> None:
        self.matrix.copy_(matrix)
        self.inverse.copy_(torch.linalg.inv(matrix))

    def forward(self, z: Tensor) -> Tensor:
        """(cells, latent) whitened."""
        return (z - self.mean) @ self.matrix

    def undo(self, z: Tensor) -> Tensor:
        """(cells, latent) as it was before."""
        return z @ self.inverse + self.mean


def _principal(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Axes of centred cells, one a column, the standard deviation along each, and ones."""
    variance, axes = torch.linalg.eigh(z.T @ z / max(len(z) - 1, 1))
    variance, axes = variance.flip(0), axes.flip(1)
    deviation = torch.where(variance > LEAST_VARIANCE * variance[0], variance, 1.0).clamp(min=1e-12).sqrt()
    return axes, deviation, torch.ones_like(deviation)


def _reproduced(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Directions, one a column, in which two measurements of the same cells agree, the best first; how well they do."""
    one, two = one - one.mean(dim=0), two - two.mean(dim=0)
    total, both = (one.T @ one + two.T @ two) / 2, (one.T @ two + two.T @ one) / 2
    total = total + LEAST_VARIANCE * total.diagonal().mean() * torch.eye(len(total), dtype=total.dtype)
    unit = torch.linalg.inv(torch.linalg.cholesky(total))
    rho, turn = torch.linalg.eigh(unit @ both @ unit.T)
    return unit.T @ turn.flip(1), rho.flip(0)

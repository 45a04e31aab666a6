"""Diagonal Gaussians: posterior, sampling, divergence."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian for each cell.

    Attributes
    ----------
    mean
        (cells, latent).
    log_variance
        (cells, latent).
    """

    mean: Tensor
    log_variance: Tensor

    def rsample(self) -> Tensor:
        """One draw a cell, (cells, latent), differentiable in mean and variance."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)


def kl_standard_normal(q: Gaussian) -> Tensor:
    """Kullback-Leibler divergence from N(0, I), summed over dimensions: ``1/2 sum(mu^2 + s^2 - ln s^2 - 1)``.

    Returns
    -------
    torch.Tensor
        (cells,) nats.
    """
    return 0.5 * (q.mean.square() + q.log_variance.exp() - q.log_variance - 1.0).sum(dim=1)


def kl_gaussians(q: Gaussian, p: Gaussian) -> Tensor:
    """Kullback-Leibler divergence from ``p``, summed over dimensions.

    Returns
    -------
    torch.Tensor
        (cells,) nats.
    """
    difference = q.log_variance - p.log_variance
    distance = (q.mean - p.mean).square() * (-p.log_variance).exp()
    return 0.5 * (difference.exp() + distance - difference - 1.0).sum(dim=1)

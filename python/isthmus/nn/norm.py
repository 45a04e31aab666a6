"""Domain-specific batch normalisation, all domains at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DomainBatchNorm(nn.Module):
    """Batch normalisation with its own statistics, scale and shift for each domain (Chang et al. 2019; SCALEX eq. 2).

    ``y = gamma_b (x - mean_b) / sqrt(var_b + eps) + beta_b`` for a cell of domain b. One product with the one-hot
    membership gives the moments of all domains: no loop, no transfer to the host. A domain with fewer than two cells
    in the mini-batch is normalised by its running statistics, which it also leaves as they are.

    Parameters
    ----------
    n_features
        Width.
    n_domains
        Number of domains (batches of cells).
    eps, momentum
        As in ``nn.BatchNorm1d``.
    """

    def __init__(self, n_features: int, n_domains: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.n_domains, self.eps, self.momentum = n_domains, eps, momentum
        self.weight = nn.Parameter(torch.ones(n_domains, n_features))
        self.bias = nn.Parameter(torch.zeros(n_domains, n_features))
        self.register_buffer("running_mean", torch.zeros(n_domains, n_features))
        self.register_buffer("running_var", torch.ones(n_domains, n_features))

    @torch.no_grad()
    def start_at(self, shift: Tensor, scale: float) -> None:
        """Begin with this (domains, features) shift and this scale."""
        self.bias.copy_(shift)
        self.weight.fill_(scale)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Normalise (cells, features) by the (cells,) ``domain`` codes; in float32 whatever came before."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            member = nn.functional.one_hot(domain, self.n_domains).to(x.dtype)  # (cells, domains)
            mean, var = self._train_moments(x, member.T) if self.training else (self.running_mean, self.running_var)
            scale = self.weight * torch.rsqrt(var + self.eps)  # (domains, features)
            shift = self.bias - mean * scale
            return torch.addcmul(member @ shift, x, member @ scale)  # a product is a gather with a cheap gradient

    def _train_moments(self, x: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
        """Moments of each domain in the mini-batch; updates the running ones (unbiased variance, as PyTorch does)."""
        count = member.sum(dim=1, keepdim=True)  # (domains, 1)
        mean = member @ x / count.clamp(min=1)
        var = (member @ x.square() / count.clamp(min=1) - mean.square()).clamp(min=0)
        enough = count >= 2
        with torch.no_grad():
            step = self.momentum * enough
            unbiased = var * count / (count - 1).clamp(min=1)
            self.running_mean += step * (mean - self.running_mean)
            self.running_var += step * (unbiased - self.running_var)
        return torch.where(enough, mean, self.running_mean), torch.where(enough, var, self.running_var)

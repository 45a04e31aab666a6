"""Decoders of GLUE: a feature's value follows from the inner product of the cell's and the feature's embedding."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.graph import GAIN
from isthmus.nn.likelihoods import bernoulli_nll, nb_nll, zinb_nll
from isthmus.nn.sparse import SparseRows

LEAST_SD = 1e-4
ZERO = 1e-7  # what is smaller is a zero, for the zero-inflated likelihoods


class InnerProduct(nn.Module, ABC):
    """``a = softplus(s_b) * (u . v) + c_b``, with a scale and an offset for each batch and feature.

    Subclasses say what ``a`` means. All parameters start at zero, and are stored in units of :data:`GAIN`.

    Parameters
    ----------
    n_features, n_batches
        Sizes.
    """

    def __init__(self, n_features: int, n_batches: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(n_batches, n_features))
        self.offset = nn.Parameter(torch.zeros(n_batches, n_features))

    def activation(self, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells, features) float32 of (cells, latent), (features, latent) and the cells' batches."""
        return of_batch(F.softplus(GAIN * self.scale), batch) * (u @ v.T).float() + of_batch(GAIN * self.offset, batch)

    def shift(self, product: Tensor) -> None:
        """Take up in the offset what the (features,) inner products lose."""
        self.offset += F.softplus(GAIN * self.scale) * product / GAIN

    @abstractmethod
    def nll(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells,) nats of the values, summed over features."""

    @abstractmethod
    def expected(self, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) expected values of cells with the (cells, 1) ``library``."""


def of_batch(by_batch: Tensor, batch: Tensor) -> Tensor:
    """The row of each cell's batch; one row for all where there is one batch."""
    return by_batch if len(by_batch) == 1 else by_batch.index_select(0, batch)


class NegativeBinomial(InnerProduct):
    """Counts with the mean ``library * softmax(a)`` over the features; the library is the cell's sum of counts."""

    def __init__(self, n_features: int, n_batches: int) -> None:
        super().__init__(n_features, n_batches)
        self.log_theta = nn.Parameter(torch.zeros(n_batches, n_features))  # inverse dispersion

    def _log_mean(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        log_library = x.sums.clamp(min=1.0).log()[:, None]
        return log_library + F.log_softmax(self.activation(u, v, batch), dim=1)

    def nll(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells,) nats of the counts, summed over features."""
        group = None if len(self.log_theta) == 1 else batch
        log_theta = GAIN * (self.log_theta[0] if group is None else self.log_theta)
        return nb_nll(x, self._log_mean(x, u, v, batch), log_theta, group)

    def expected(self, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) expected counts."""
        return library * F.softmax(self.activation(u, v, batch), dim=1)


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """The same with more zeros, as likely in every cell of a batch."""

    def __init__(self, n_features: int, n_batches: int) -> None:
        super().__init__(n_features, n_batches)
        self.dropout_logits = nn.Parameter(torch.zeros(n_batches, n_features))

    def nll(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells,) nats of the counts, summed over features."""
        group = None if len(self.log_theta) == 1 else batch
        log_theta = GAIN * (self.log_theta[0] if group is None else self.log_theta)
        log_mean = self._log_mean(x, u, v, batch)
        return zinb_nll(x, log_mean, log_theta, of_batch(GAIN * self.dropout_logits, batch).expand_as(log_mean), group)

    def expected(self, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) expected counts."""
        return super().expected(u, v, batch, library) * torch.sigmoid(-of_batch(GAIN * self.dropout_logits, batch))


class Bernoulli(InnerProduct):
    """Open or closed, with the logit ``a``."""

    def nll(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells,) nats of values in [0, 1], summed over features."""
        return bernoulli_nll(x, self.activation(u, v, batch))

    def expected(self, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) probabilities."""
        return torch.sigmoid(self.activation(u, v, batch))


class Normal(InnerProduct):
    """Values around ``a`` with a standard deviation for each batch and feature."""

    def __init__(self, n_features: int, n_batches: int) -> None:
        super().__init__(n_features, n_batches)
        self.spread = nn.Parameter(torch.zeros(n_batches, n_features))

    def _log_density(self, value: Tensor, a: Tensor, batch: Tensor) -> Tensor:
        sd = F.softplus(of_batch(GAIN * self.spread, batch)) + LEAST_SD
        return -0.5 * ((value - a) / sd).square() - sd.log() - 0.5 * math.log(2 * math.pi)

    def nll(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells,) nats of the values, summed over features."""
        return -self._log_density(x.dense, self.activation(u, v, batch), batch).sum(dim=1)

    def expected(self, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) means."""
        return self.activation(u, v, batch)


class ZeroInflatedLogNormal(Normal):
    """Zero, or positive with a normal logarithm around ``a``; zeros are as likely in every cell of a batch."""

    def __init__(self, n_features: int, n_batches: int) -> None:
        super().__init__(n_features, n_batches)
        self.zero_logits = nn.Parameter(torch.zeros(n_batches, n_features))

    def nll(self, x: SparseRows, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """(cells,) nats of the values, summed over features."""
        value, logits = x.dense, of_batch(GAIN * self.zero_logits, batch)
        log_value = value.clamp(min=ZERO).log()
        positive = self._log_density(log_value, self.activation(u, v, batch), batch) - log_value - F.softplus(logits)
        return -torch.where(value < ZERO, F.logsigmoid(logits), positive).sum(dim=1)

    def expected(self, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) means."""
        sd = F.softplus(of_batch(GAIN * self.spread, batch)) + LEAST_SD
        mean = torch.exp(self.activation(u, v, batch) + 0.5 * sd.square())
        return mean * torch.sigmoid(-of_batch(GAIN * self.zero_logits, batch))


DECODERS = {
    "nb": NegativeBinomial,
    "zinb": ZeroInflatedNegativeBinomial,
    "bernoulli": Bernoulli,
    "normal": Normal,
    "ziln": ZeroInflatedLogNormal,
}

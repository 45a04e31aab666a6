"""Likelihoods that know sparsity."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus.nn.sparse import SparseRows


def bernoulli_nll(x: SparseRows, logits: Tensor) -> Tensor:
    """Negative log-likelihood of targets in [0, 1] under independent Bernoulli variables.

    ``sum_g softplus(l_g) - x_g l_g``: the first term is dense, the second needs the non-zero entries only.

    Parameters
    ----------
    x
        (cells, features) targets.
    logits
        (cells, features).

    Returns
    -------
    torch.Tensor
        (cells,) nats, summed over features.
    """
    logits = logits.float()  # sums over thousands of features need full precision
    zeros = F.softplus(logits).sum(dim=1)
    if "dense" in x.__dict__:  # some layer needed the dense rows already: a product is cheaper than a gather
        return zeros - (x.dense * logits).sum(dim=1)
    ones = x.values * x.at_entries(logits)
    return zeros.index_add(0, x.row, -ones)


def nb_nll(x: SparseRows, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """Negative log-likelihood of counts under negative binomials with mean m and inverse dispersion theta.

    A zero costs ``theta ln(1 + m / theta)``, the dense term; what a count costs more needs the non-zero entries only,
    and with them ``lgamma``.

    Parameters
    ----------
    x
        (cells, features) counts.
    log_mean
        (cells, features) ln m.
    log_theta
        (features,) ln theta.

    Returns
    -------
    torch.Tensor
        (cells,) nats, summed over features.
    """
    log_mean, log_theta = log_mean.float(), log_theta.float()
    zeros = _cost_of_zero(log_mean, log_theta)
    return zeros.sum(dim=1).index_add(0, x.row, _excess_of_counts(x, log_mean, log_theta))


def zinb_nll(x: SparseRows, log_mean: Tensor, log_theta: Tensor, dropout_logits: Tensor) -> Tensor:
    """Negative log-likelihood of counts under zero-inflated negative binomials.

    With c the cost of a zero under the negative binomial and p = sigmoid(l) the probability of a dropout, a zero costs
    ``-ln(p + (1 - p) e^-c) = softplus(-l) - softplus(-l - c)``. Every other count costs ``softplus(l)`` more than
    under the negative binomial.

    Parameters
    ----------
    x, log_mean, log_theta
        As in :func:`nb_nll`.
    dropout_logits
        (cells, features) l.

    Returns
    -------
    torch.Tensor
        (cells,) nats, summed over features.
    """
    log_mean, log_theta, logits = log_mean.float(), log_theta.float(), dropout_logits.float()
    zeros = _InflatedZeros.apply(log_mean, log_theta, logits)
    logit, cost = x.at_entries(logits), _cost_of_zero(x.at_entries(log_mean), log_theta.index_select(0, x.indices))
    inflated = F.softplus(-logit) - F.softplus(-logit - cost)
    excess = F.softplus(logit) + cost - inflated + _excess_of_counts(x, log_mean, log_theta)
    return zeros.index_add(0, x.row, excess)


class _InflatedZeros(torch.autograd.Function):
    """What zeros everywhere would cost each cell, (cells,): the dense part of :func:`zinb_nll`.

    With the slopes at hand from the forward pass, the backward pass is one product each: this is where the time goes.
    """

    @staticmethod
    def forward(ctx: Any, log_mean: Tensor, log_theta: Tensor, logits: Tensor) -> Tensor:
        theta, odds = log_theta.exp(), log_mean - log_theta
        cost = F.softplus(odds).mul_(theta)
        both = (logits + cost).neg_()  # ln of neither dropout nor zero count, up to a constant
        counted = both.sigmoid()  # probability that a zero is the negative binomial's
        d_mean = odds.sigmoid_().mul_(theta).mul_(counted)
        d_theta = cost.mul_(counted).sub_(d_mean)
        total = F.softplus(-logits).sub_(F.softplus(both)).sum(dim=1)
        ctx.save_for_backward(d_mean, d_theta, counted.sub_((-logits).sigmoid_()))
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d_mean, d_theta, d_logits = ctx.saved_tensors
        each = slope[:, None]
        return each * d_mean, slope @ d_theta, each * d_logits


def _cost_of_zero(log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """``-ln NB(0)``, (cells, features)."""
    return log_theta.exp() * F.softplus(log_mean - log_theta)


def _excess_of_counts(x: SparseRows, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """(entries,) what each count costs more than a zero would."""
    k, theta = x.values, log_theta.exp()
    by_feature = torch.stack([log_theta, theta, torch.lgamma(theta)]).index_select(1, x.indices)
    choose = torch.lgamma(k + by_feature[1]) - by_feature[2] - torch.lgamma(k + 1.0)
    odds = x.at_entries(log_mean) - by_feature[0]
    return -choose - k * F.logsigmoid(odds)  # ln(m / (m + theta)) = logsigmoid(ln m - ln theta)

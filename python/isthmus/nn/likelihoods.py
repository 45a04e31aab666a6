"""Likelihoods that know sparsity."""

from __future__ import annotations

from typing import Any, NamedTuple

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


def nb_nll(x: SparseRows, log_mean: Tensor, log_theta: Tensor, group: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of counts under negative binomials with mean m and inverse dispersion theta.

    A zero costs ``c = theta ln(1 + m / theta)``, which is dense; ``lgamma`` is needed at the non-zero entries only.

    Parameters
    ----------
    x
        (cells, features) counts.
    log_mean
        (cells, features) ln m.
    log_theta
        (features,) ln theta, or (groups, features).
    group
        (cells,) which row of ``log_theta`` each cell has; None = there is one for all.

    Returns
    -------
    torch.Tensor
        (cells,) nats, summed over features.
    """
    return _count_nll(log_mean.float(), log_theta.float(), None, x, group)


def zinb_nll(
    x: SparseRows, log_mean: Tensor, log_theta: Tensor, dropout_logits: Tensor, group: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of counts under zero-inflated negative binomials.

    With c the cost of a zero under the negative binomial and p = sigmoid(l) the probability of a dropout, a zero costs
    ``-ln(p + (1 - p) e^-c) = softplus(-l) - softplus(-l - c)``. Every other count costs ``softplus(l)`` more than
    under the negative binomial.

    Parameters
    ----------
    x, log_mean, log_theta, group
        As in :func:`nb_nll`.
    dropout_logits
        (cells, features) l.

    Returns
    -------
    torch.Tensor
        (cells,) nats, summed over features.
    """
    return _count_nll(log_mean.float(), log_theta.float(), dropout_logits.float(), x, group)


class _CountNll(torch.autograd.Function):
    """NB and ZINB with their slopes worked out in the forward pass, where all they need is at hand.

    Costs and slopes are first those of zeros everywhere, then put right at the entries. The backward pass is one
    product for each argument: this is where most of the time of a model of counts goes.
    """

    @staticmethod
    def forward(
        ctx: Any, log_mean: Tensor, log_theta: Tensor, logits: Tensor | None, x: SparseRows, group: Tensor | None
    ) -> Tensor:
        by_cell = log_theta if group is None else log_theta.index_select(0, group)
        theta, odds = by_cell.exp(), log_mean - by_cell  # odds: ln(m / theta)
        cost = F.softplus(odds).mul_(theta)
        zeros, slopes = _zeros(odds, theta, cost, logits)
        place = x.indices if group is None else group[x.row] * x.n_features + x.indices  # of each entry's theta
        at = _entries(x, odds, log_theta.reshape(-1), place, None if logits is None else x.at_entries(logits))
        for slope, right in zip(slopes, at.slopes, strict=True):
            slope.view(-1).index_copy_(0, x.entry, right)
        ctx.save_for_backward(*slopes)
        ctx.group, ctx.groups = group, len(log_theta)
        return zeros.index_add_(0, x.row, at.excess)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        d_mean, d_theta, *d_logits = ctx.saved_tensors
        each = slope[:, None]
        if ctx.group is None:
            to_theta = slope @ d_theta
        else:
            cells = F.one_hot(ctx.group, ctx.groups).to(slope.dtype)  # (cells, groups)
            to_theta = (cells * each).T @ d_theta
        return each * d_mean, to_theta, each * d_logits[0] if d_logits else None, None, None


_count_nll = _CountNll.apply


def leave_uncompiled() -> None:
    """Keep PyTorch's compiler out of the likelihoods of counts: it fails on slopes that are put right in place."""
    global _count_nll
    _count_nll = torch.compiler.disable(_CountNll.apply)


class _AtEntries(NamedTuple):
    """What is different at the entries: (entries,) cost beyond that of a zero, and slopes."""

    excess: Tensor
    slopes: list[Tensor]


def _zeros(odds: Tensor, theta: Tensor, cost: Tensor, logits: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """Cost of zeros everywhere, (cells,), and its slopes by ln m, ln theta and l, (cells, features) each."""
    if logits is None:
        d_mean = odds.sigmoid().mul_(theta)
        return cost.sum(dim=1), [d_mean, cost.sub_(d_mean)]
    against = logits.neg()
    neither = against - cost
    counted = neither.sigmoid()  # probability that a zero is the negative binomial's
    zeros = F.softplus(against).sub_(F.softplus(neither)).sum(dim=1)
    d_mean = odds.sigmoid().mul_(theta).mul_(counted)
    d_theta = cost.mul_(counted).sub_(d_mean)
    return zeros, [d_mean, d_theta, counted.sub_(against.sigmoid_())]


def _entries(
    x: SparseRows, odds: Tensor, log_theta: Tensor, place: Tensor, logits: Tensor | None
) -> _AtEntries:  # fmt: skip
    """Cost and slopes of the counts; each has its ln theta at ``place``; ``logits`` are those at the entries."""
    k, odds = x.values, x.at_entries(odds)
    theta = log_theta.exp()
    theta, lgamma, digamma = torch.stack([theta, torch.lgamma(theta), torch.digamma(theta)]).index_select(1, place)
    cost, share = F.softplus(odds) * theta, odds.sigmoid()
    excess = lgamma - torch.lgamma(k + theta) + torch.lgamma(k + 1.0) - k * F.logsigmoid(odds)
    missing = k * (1.0 - share) - theta * share
    slopes = [-missing, cost + missing - theta * (torch.digamma(k + theta) - digamma)]
    if logits is None:
        return _AtEntries(excess, slopes)
    zero = F.softplus(-logits) - F.softplus(-logits - cost)
    return _AtEntries(F.softplus(logits) + cost + excess - zero, [*slopes, logits.sigmoid()])

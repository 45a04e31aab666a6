"""Likelihoods that know sparsity."""

from __future__ import annotations

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
    ones = x.values * logits.reshape(-1)[x.row * x.n_features + x.indices]
    return zeros.index_add(0, x.row, -ones)

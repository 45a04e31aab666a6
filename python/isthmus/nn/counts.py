"""From a decoder's hidden layer to the likelihood of counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.likelihoods import nb_nll, zinb_nll
from isthmus.nn.sparse import SparseRows

LIKELIHOODS = ("zinb", "nb")
START_WEIGHT = 0.3  # how much the hidden layer says at the start, when the mean is known and nothing else
START_LOG_THETA, START_DROPOUT = 1.0, -3.0


class CountHead(nn.Module):
    """Counts of a cell: the library is shared out among the features, ``m = exp(l) softmax(W h)``.

    Parameters
    ----------
    n_hidden, n_features
        Widths.
    likelihood
        ``"zinb"`` or ``"nb"``, with one dispersion for each feature.
    """

    def __init__(self, n_hidden: int, n_features: int, likelihood: str = "zinb") -> None:
        super().__init__()
        self.profile = nn.Linear(n_hidden, n_features)
        self.dropout_logits = nn.Linear(n_hidden, n_features) if likelihood == "zinb" else None
        self.log_theta = nn.Parameter(torch.zeros(n_features))  # inverse dispersion

    @torch.no_grad()
    def start_at(self, share: Tensor) -> None:
        """Begin near the (features,) mean share of each feature, whatever the cell, with few dropouts."""
        self.profile.bias.copy_(share.log())
        self.profile.weight.mul_(START_WEIGHT)
        self.log_theta.fill_(START_LOG_THETA)
        if self.dropout_logits is not None:
            self.dropout_logits.bias.fill_(START_DROPOUT)
            self.dropout_logits.weight.mul_(START_WEIGHT)

    def shares(self, h: Tensor) -> Tensor:
        """(cells, features) expected share of each feature in a cell's counts; a cell's shares sum to 1."""
        return F.softmax(self.profile(h).float(), dim=1)

    def nll(self, counts: SparseRows, h: Tensor, log_library: Tensor) -> Tensor:
        """(cells,) nats of the counts, with the (cells, 1) logarithm of the library."""
        log_mean = log_library + F.log_softmax(self.profile(h).float(), dim=1)
        if self.dropout_logits is None:
            return nb_nll(counts, log_mean, self.log_theta)
        return zinb_nll(counts, log_mean, self.log_theta, self.dropout_logits(h))

"""Tensor blocks that the models are built of."""

from __future__ import annotations

from isthmus.nn.encoders import GaussianEncoder, Moments
from isthmus.nn.gaussian import Gaussian, kl_standard_normal
from isthmus.nn.likelihoods import bernoulli_nll
from isthmus.nn.linear import SparseLinear
from isthmus.nn.norm import DomainBatchNorm
from isthmus.nn.sparse import SparseRows

__all__ = [
    "DomainBatchNorm",
    "Gaussian",
    "GaussianEncoder",
    "Moments",
    "SparseLinear",
    "SparseRows",
    "bernoulli_nll",
    "kl_standard_normal",
]

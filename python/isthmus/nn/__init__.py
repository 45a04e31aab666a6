"""Tensor blocks that the models are built of."""

from __future__ import annotations

from isthmus.nn.adversary import BatchClassifier, Discriminator, bhattacharyya
from isthmus.nn.conditional import ConditionalDecoder, ConditionalEncoder, GaussianHead, hidden_layer, hide_batches
from isthmus.nn.counts import CountHead
from isthmus.nn.encoders import GaussianEncoder, Moments
from isthmus.nn.gaussian import Gaussian, kl_gaussians, kl_standard_normal
from isthmus.nn.likelihoods import bernoulli_nll, nb_nll, zinb_nll
from isthmus.nn.linear import SparseLinear
from isthmus.nn.norm import DomainBatchNorm
from isthmus.nn.sparse import SparseRows

__all__ = [
    "BatchClassifier",
    "ConditionalDecoder",
    "ConditionalEncoder",
    "CountHead",
    "Discriminator",
    "DomainBatchNorm",
    "Gaussian",
    "GaussianEncoder",
    "GaussianHead",
    "Moments",
    "SparseLinear",
    "SparseRows",
    "bernoulli_nll",
    "bhattacharyya",
    "hidden_layer",
    "hide_batches",
    "kl_gaussians",
    "kl_standard_normal",
    "nb_nll",
    "zinb_nll",
]

"""SCALEX: online integration through a batch-free encoder (Xiong et al. 2022, doi:10.1038/s41467-022-33758-z)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from isthmus.data.batch import Batch
from isthmus.nn import (
    DomainBatchNorm,
    Gaussian,
    GaussianEncoder,
    Moments,
    SparseRows,
    bernoulli_nll,
    kl_standard_normal,
)
from isthmus.train import Losses, Model, Phase

START_SCALE = 0.1  # how much z says at the start, when the mean is known and nothing else


@dataclass(eq=False)
class ScalexLosses(Losses):
    """The two terms of the evidence lower bound (eq. 1), nats per cell."""

    reconstruction: Tensor  # -E_q log p(x | z, b), summed over features
    kl: Tensor  # KL(q(z | x) || N(0, I)), summed over latent dimensions


class SCALEX(Model):
    """An encoder that never sees the batch, a decoder that knows it only through its normalisation.

    Parameters
    ----------
    n_features
        Features of the input, scaled to [0, 1].
    n_batches
        Batches of the reference.
    n_latent
        Dimensions of z.
    n_hidden
        Width of the encoder's hidden layer.
    kl_weight
        Weight of the divergence; 0.5 in the paper.
    feature_dropout
        Share of a cell's features that the encoder does not see in a training step; 0 in the paper.
    """

    def __init__(
        self,
        n_features: int,
        n_batches: int,
        n_latent: int = 10,
        n_hidden: int = 1024,
        kl_weight: float = 0.5,
        feature_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.kl_weight = kl_weight
        self.encoder = GaussianEncoder(n_features, n_hidden, n_latent, feature_dropout)  # q(z | x) = N(mu(x), s^2(x))
        self.decoder = nn.Linear(n_latent, n_features, bias=False)  # p(x | z, b) = Bernoulli(sigmoid(y)), where
        self.norm = DomainBatchNorm(n_features, n_batches)  # y = gamma_b (W z - mean_b) / sd_b + beta_b (eq. 2)

    def start_at(self, mean: Tensor) -> None:
        """Begin as a decoder that gives each batch its (batches, features) mean expression, in (0, 1), for any z."""
        self.norm.start_at(torch.logit(mean, eps=1e-4), START_SCALE)

    def losses(self, batch: Batch) -> ScalexLosses:
        """The terms of the evidence lower bound."""
        q = self.encoder(batch.x)  # (cells, latent)
        logits = self.norm(self.decoder(q.rsample()), batch.covariate)  # (cells, features)
        return ScalexLosses(
            reconstruction=bernoulli_nll(batch.x, logits).mean(),
            kl=kl_standard_normal(q).mean(),
        )

    def phases(self) -> Sequence[Phase]:
        """One player: encoder and decoder minimise the negative evidence lower bound."""
        return [Phase("autoencoder", [self], lambda terms, clock: terms.reconstruction + self.kl_weight * terms.kl)]

    def encode(
        self,
        x: SparseRows,
        fill: Tensor | None = None,
        moments: Moments | None = None,
        group: Tensor | None = None,
    ) -> Gaussian:
        """``q(z | x)``; the embedding is its mean. See :class:`isthmus.nn.GaussianEncoder` for the arguments."""
        return self.encoder(x, fill, moments, group)

    def hidden(self, x: SparseRows, fill: Tensor | None = None) -> Tensor:
        """What the encoder's normalisation sees, (cells, hidden): its moments are those of :meth:`encode`."""
        return self.encoder.first(x, fill)

    def decode(self, z: Tensor, domain: Tensor) -> Tensor:
        """Expected scaled expression (cells, features) in [0, 1], as batch ``domain`` would show it."""
        return torch.sigmoid(self.norm(self.decoder(z), domain))

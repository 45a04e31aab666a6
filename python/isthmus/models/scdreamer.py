"""scDREAMER and scDREAMER-Sup: adversarial integration of atlases.

Shree et al. 2023, doi:10.1038/s41467-023-43590-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.data.batch import Batch
from isthmus.nn import (
    BatchClassifier,
    ConditionalDecoder,
    ConditionalEncoder,
    CountHead,
    Discriminator,
    Gaussian,
    GaussianHead,
    SparseRows,
    bhattacharyya,
    hidden_layer,
    hide_batches,
    kl_gaussians,
    kl_standard_normal,
)
from isthmus.train import Losses, Model, Phase
from isthmus.train.schedules import Clock, ramp

ADVERSARIES_EVERY = 2  # steps of the autoencoder to one of theirs, which is 3.5 times as long


@dataclass(frozen=True)
class Weights:
    """How much each term of the autoencoder's loss counts."""

    kl: float = 1.0
    kl_warm_up: float = 0.2  # share of the training in which the divergences' weight rises
    consistency: float = 0.1
    bhattacharyya: float = 1.0
    batch: float = 10.0
    batch_warm_up: float = 0.1
    labels: float = 10.0


@dataclass(eq=False)
class ScdreamerLosses(Losses):
    """Terms of the games; nats per cell where nothing else is said."""

    reconstruction: Tensor  # -ln p(counts | z, batch, library), summed over features
    kl: Tensor  # of z (and of the library where it is learned) from the prior, summed over dimensions
    consistency: Tensor  # squared distance of z and the z of the cell with features masked, summed over dimensions
    bhattacharyya: Tensor  # distance of the discriminator's scores of real and generated cells
    batch: Tensor  # cross-entropy of the batch classifier, in units of chance


@dataclass(eq=False)
class ScdreamerSupLosses(ScdreamerLosses):
    """With labels."""

    kl_y: Tensor  # of the upper latent state y from N(0, I)
    labels: Tensor  # cross-entropy of the cell-type classifier over the labelled cells


class SCDREAMER(Model):
    """An autoencoder of counts that a batch classifier and a discriminator play against.

    Parameters
    ----------
    n_features
        Features of the input.
    batch_counts
        (batches,) cells of each batch.
    library
        Mean and variance of ln(counts of a cell): the prior where the library is learned; None = it is observed.
    n_latent, n_hidden
        Dimensions of z; width of the autoencoder's hidden layers.
    likelihood
        ``"zinb"`` or ``"nb"``.
    dropout
        Share of the autoencoder's hidden units left out in training.
    mask
        Share of a cell's features that the consistency term hides.
    batch_dropout
        Share of cells whose batch is hidden from the encoder in a training step; 1 = a batch-free encoder.
    weights
        Of the terms.
    n_hidden_adversary
        Width of the adversaries' hidden layers.
    adversary_rate
        Learning rate of the adversaries over that of the autoencoder.
    """

    needs_counts = True

    def __init__(
        self,
        n_features: int,
        batch_counts: Sequence[int],
        library: tuple[float, float] | None = None,
        n_latent: int = 10,
        n_hidden: int = 128,
        likelihood: str = "zinb",
        dropout: float = 0.1,
        mask: float = 0.1,
        batch_dropout: float = 0.1,
        weights: Weights | None = None,
        n_hidden_adversary: int = 128,
        adversary_rate: float = 3.5,
    ) -> None:
        super().__init__()
        self.n_batches, self.library = len(batch_counts), library
        self.mask, self.batch_dropout, self.adversary_rate = mask, batch_dropout, adversary_rate
        self.weights = weights or Weights()
        self.encoder = ConditionalEncoder(n_features, self.n_batches, n_hidden, dropout)  # q(z | x, b)
        self.latent = GaussianHead(n_hidden, n_latent)
        self.log_library = GaussianHead(n_hidden, 1) if library else None  # q(l | x, b)
        self.decoder = ConditionalDecoder(n_latent, self.n_batches, n_hidden, dropout)  # p(x | z, b, l)
        self.counts = CountHead(n_hidden, n_features, likelihood)
        self.generator = nn.Linear(n_hidden, n_features)  # sigmoid: the generated cell, on the scale of the input
        self.discriminator = Discriminator(n_features, n_hidden_adversary)
        self.classifier = BatchClassifier(n_latent, n_hidden_adversary, torch.as_tensor(batch_counts))

    def losses(self, batch: Batch) -> ScdreamerLosses:
        """All terms from one pass of the encoder; consistency and likeness from half of the cells, to save time."""
        seen = hide_batches(batch.covariate, self.n_batches, self.batch_dropout) if self.training else batch.covariate
        hidden = self.encoder(batch.x, seen)
        q = self.latent(hidden)
        z = q.rsample()
        log_library, kl_library = self._library(hidden, batch.values["counts"])
        h = self.decoder(z, batch.covariate)
        half = -(-len(batch) // 2)
        some = batch.x.rows(0, half)
        masked = self.latent(self.encoder(some.dropout(self.mask), seen[:half])).rsample()
        real, generated = self.discriminator(some), self.discriminator(torch.sigmoid(self.generator(h[:half])))
        return self._with_prior(
            batch, q, z,
            reconstruction=self.counts.nll(batch.values["counts"], h, log_library).mean(),
            kl=kl_library.mean(),
            consistency=(z[:half] - masked).square().sum(dim=1).mean(),
            bhattacharyya=bhattacharyya(real, generated),
            batch=self.classifier(z, batch.covariate),
        )  # fmt: skip

    def _with_prior(self, batch: Batch, q: Gaussian, z: Tensor, /, kl: Tensor, **terms: Tensor) -> ScdreamerLosses:
        """Complete the record by the divergence of z from its prior N(0, I)."""
        return ScdreamerLosses(kl=kl + kl_standard_normal(q).mean(), **terms)

    def _library(self, hidden: Tensor, counts: SparseRows) -> tuple[Tensor, Tensor]:
        """Ln of the library, (cells, 1), and its divergence from the prior, (cells,)."""
        if self.log_library is None:
            total = counts.sums.clamp(min=1.0)
            return total.log()[:, None], torch.zeros_like(total)
        q, (mean, variance) = self.log_library(hidden), self.library
        prior = Gaussian(torch.full_like(q.mean, mean), torch.full_like(q.mean, variance).log())
        return q.rsample(), kl_gaussians(q, prior)

    def phases(self) -> Sequence[Phase]:
        """Three players: the autoencoder, and two adversaries whose loss it raises."""
        adversaries = [self.discriminator, self.classifier]
        autoencoder = [module for module in self.children() if module not in adversaries]
        return [
            Phase("autoencoder", autoencoder, self._autoencoder_loss),
            Phase(
                "discriminator", [self.discriminator], lambda terms, clock: -terms.bhattacharyya,
                learning_rate_factor=self.adversary_rate, every=ADVERSARIES_EVERY,
            ),
            Phase(
                "batch classifier", [self.classifier], lambda terms, clock: terms.batch,
                learning_rate_factor=self.adversary_rate, every=ADVERSARIES_EVERY,
            ),
        ]  # fmt: skip

    def _autoencoder_loss(self, terms: ScdreamerLosses, clock: Clock) -> Tensor:
        """Evidence lower bound, consistency, likeness to real cells; batches no easier to tell than by chance."""
        w = self.weights
        hiding = w.batch * ramp(clock.fraction, w.batch_warm_up)
        return (
            terms.reconstruction
            + w.kl * ramp(clock.fraction, w.kl_warm_up) * terms.kl
            + w.consistency * terms.consistency
            + w.bhattacharyya * terms.bhattacharyya
            - hiding * terms.batch.clamp(max=1.0)
        )

    def encode(self, x: SparseRows, batch: Tensor, fill: Tensor | None = None) -> Gaussian:
        """``q(z | x, b)``; the embedding is its mean. ``n_batches`` as a code means that the batch is unknown."""
        return self.latent(self.encoder(x, batch, fill))

    def decode(self, z: Tensor, batch: Tensor) -> Tensor:
        """rho(z, b), (cells, features): the expected share of each feature in a cell's counts; sums to 1."""
        return self.counts.shares(self.decoder(z, batch))


class SCDREAMERSup(SCDREAMER):
    """scDREAMER-Sup: a classifier on z, and a prior of z that depends on the type, ``p(z | y, c) p(y)``.

    Parameters
    ----------
    n_labels
        Cell types.
    n_y
        Dimensions of y.
    n_hidden_y
        Width of the hidden layer of the prior's decoder; 8 in the authors' code.
    labels_in_prior
        ``"predicted"``: the prior is told what the classifier says of every cell, as in the authors' code.
        ``"known"``: what is known of the labelled cells.
    **settings
        Of :class:`SCDREAMER`.
    """

    def __init__(
        self, n_features: int, batch_counts: Sequence[int], n_labels: int, *, n_latent: int = 10, n_hidden: int = 128,
        dropout: float = 0.1, n_y: int = 6, n_hidden_y: int = 128, labels_in_prior: str = "known", **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(n_features, batch_counts, n_latent=n_latent, n_hidden=n_hidden, dropout=dropout, **settings)
        self.n_labels, self.labels_in_prior = n_labels, labels_in_prior
        self.cell_type = nn.Linear(n_latent, n_labels)  # p(c | z)
        self.upper = hidden_layer(n_latent + n_labels, n_hidden, dropout)  # q(y | z, c)
        self.y = GaussianHead(n_hidden, n_y)
        self.prior_hidden = hidden_layer(n_y + n_labels, n_hidden_y, dropout)  # p(z | y, c)
        self.prior = GaussianHead(n_hidden_y, n_latent)

    def _with_prior(self, batch: Batch, q: Gaussian, z: Tensor, /, kl: Tensor, **terms: Tensor) -> ScdreamerSupLosses:
        """Complete the record by the divergences of the two levels and the classifier's cross-entropy."""
        logits = self.cell_type(z).float()
        c = self._types(logits, batch.label)
        y = self.y(self.upper(torch.cat([z, c], dim=1)))
        prior = self.prior(self.prior_hidden(torch.cat([y.rsample(), c], dim=1)))
        known = (batch.label >= 0).sum().clamp(min=1)
        return ScdreamerSupLosses(
            kl=kl + kl_gaussians(q, prior).mean(),
            kl_y=kl_standard_normal(y).mean(),
            labels=F.cross_entropy(logits, batch.label, ignore_index=-1, reduction="sum") / known,
            **terms,
        )

    def _types(self, logits: Tensor, label: Tensor) -> Tensor:
        """(cells, types) what the prior is told."""
        predicted = logits.softmax(dim=1)
        if self.labels_in_prior == "predicted":
            return predicted
        known = F.one_hot(label.clamp(min=0), self.n_labels).float()
        return torch.where((label >= 0)[:, None], known, predicted)

    def _autoencoder_loss(self, terms: ScdreamerSupLosses, clock: Clock) -> Tensor:
        """The unsupervised loss, the upper divergence and the classifier."""
        w = self.weights
        divergence = w.kl * ramp(clock.fraction, w.kl_warm_up) * terms.kl_y
        return super()._autoencoder_loss(terms, clock) + divergence + w.labels * terms.labels

    def classify(self, z: Tensor) -> Tensor:
        """(cells, types) probability of each type."""
        return self.cell_type(z).float().softmax(dim=1)

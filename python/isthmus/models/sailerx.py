"""SAILERX: an autoencoder of accessibility that keeps the cells to each other as RNA has them.

Cao et al. 2022, doi:10.1093/nar/gkac781; the invariance to depth and batch is that of SAILER, Cao et al. 2021,
doi:10.1093/bioinformatics/btab303.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.data.batch import Batch, JointBatch
from isthmus.nn import Gaussian, GaussianHead, SparseRows, kl_standard_normal
from isthmus.nn.grouped import GroupedBernoulli, GroupedLinear, GroupedSparseLinear, chances_of_sum
from isthmus.nn.structure import mean_pairwise_kl, structure_loss
from isthmus.train import Losses, Model, Phase
from isthmus.train.schedules import Clock, cyclical

START_NOISE = 0.1  # times the usual random weights, beside those of a linear start
START_LOG_VARIANCE = -2.0
PAIRED, UNPAIRED = "paired", "unpaired"  # the parts of a mini-batch: cells with RNA, cells without


@dataclass(frozen=True)
class Weights:
    """How much each term counts beside a cell's reconstruction, and when."""

    kl: float = 1.0
    invariance: float = 1.0
    structure: float = 1.0
    warm_up: float = 0.05  # share of the training without divergences, in which all pairs of cells count alike
    warm_up_structure: float | None = None  # weight of the structure there; None = as later
    warm_up_positive: float = 1.0  # how many zeros an open peak counts as there
    cycles: int = 4  # in each, the divergences' weight rises from 0 in the first half


@dataclass(eq=False)
class SailerxLosses(Losses):
    """The terms, nats per cell but for the last."""

    reconstruction: Tensor  # -ln p(x | z, depth, batch), summed over peaks
    kl: Tensor  # KL(q(z | x) || N(0, I)), summed over latent dimensions
    invariance: Tensor  # mean KL(q(z | x_i) || q(z | x_j)) over pairs of cells: a bound on I(z; depth, batch)
    structure: Tensor  # mean w_i w_j (cos(g_i, g_j) - cos(mu_i, mu_j))^2 over pairs of cells with RNA


class ChromosomeEncoder(nn.Module):
    """``q(z | x)``: two layers for each chromosome, then heads on all chromosomes together; sees open peaks only.

    Parameters
    ----------
    sizes
        Peaks of each chromosome.
    n_latent, n_hidden
        Dimensions of z; units of each chromosome's first layer, its second has half as many.
    typical
        Open peaks of a typical cell, to which the sums of all cells are brought; None = they stay as they are.
    dropout
        Share of a cell's open peaks that are hidden from it in each step of the training.
    """

    def __init__(
        self, sizes: Sequence[int], n_latent: int, n_hidden: int, typical: float | None, dropout: float
    ) -> None:
        super().__init__()
        groups, half = len(sizes), max(n_hidden // 2, 1)
        self.typical, self.dropout = typical, dropout
        self.first, self.first_norm = GroupedSparseLinear(sizes, n_hidden), nn.BatchNorm1d(groups * n_hidden)
        self.second, self.second_norm = GroupedLinear(groups, n_hidden, half), nn.BatchNorm1d(groups * half)
        self.first_slope, self.second_slope = nn.PReLU(groups), nn.PReLU(groups)
        self.head = GaussianHead(groups * half, n_latent)

    @torch.no_grad()
    def start_at(self, weight: Tensor) -> None:
        """Begin as a linear map to a few components; ``weight`` (peaks, components) is what an open peak adds to each.

        A component is the sum of its parts on all chromosomes, each of which the first normalisation brings to
        variance 1: it counts by the root of its peaks again.
        """
        k, groups = weight.shape[1], len(self.first.sizes)
        self.first.weight[:, :k] = weight / weight.std() * self.first.weight.std()
        self.first_slope.weight.fill_(1.0)
        self.second_slope.weight.fill_(1.0)
        _pass_on(self.second.weight, k)
        share = torch.tensor(self.first.sizes, dtype=torch.float32)
        to_mean = self.head.mean.weight.mul_(START_NOISE).unflatten(1, (groups, -1))
        for i in range(k):
            to_mean[i, :, i] += (share / share.sum()).sqrt()
        self.head.log_variance.weight.mul_(START_NOISE)
        self.head.log_variance.bias.fill_(START_LOG_VARIANCE)

    def forward(self, x: SparseRows, fill: Tensor | None = None) -> Gaussian:
        """Encode (cells, peaks); ``fill`` (peaks,) is the share of open cells where a peak was not measured, else 0."""
        scale = None
        if self.typical is not None:
            expected = self.typical if fill is None else self.typical - fill.sum()
            scale = expected / x.sums.clamp(min=1.0)
        if self.training and self.dropout > 0:
            x = x.thinned(self.dropout)
        h = self.first(x, scale, fill)  # (cells, chromosomes, hidden)
        h = self.first_slope(_normalise(self.first_norm, h))
        h = self.second_slope(_normalise(self.second_norm, self.second(h)))
        return self.head(h.flatten(1))


class ChromosomeDecoder(nn.Module):
    """``p(x | z, depth, batch)``: the encoder's layers in reverse; depth and batch enter here and nowhere else.

    Parameters
    ----------
    sizes, n_latent, n_batches, n_hidden
        As in the encoder; batches of the reference.
    direct
        Whether depth and batch also move the logit of each peak by themselves.
    """

    def __init__(self, sizes: Sequence[int], n_latent: int, n_batches: int, n_hidden: int, direct: bool) -> None:
        super().__init__()
        groups, half = len(sizes), max(n_hidden // 2, 1)
        self.groups, self.n_batches, self.direct = groups, n_batches, direct
        self.told = n_batches if n_batches > 1 else 0
        self.first, self.first_norm = nn.Linear(n_latent + 1 + self.told, groups * half), nn.BatchNorm1d(groups * half)
        self.second, self.second_norm = GroupedLinear(groups, half, n_hidden), nn.BatchNorm1d(groups * n_hidden)
        self.first_slope, self.second_slope = nn.PReLU(groups), nn.PReLU(groups)
        self.peaks = GroupedBernoulli(sizes, n_hidden + (1 + self.told if direct else 0))

    @torch.no_grad()
    def start_at(self, slope: Tensor, direct: Tensor) -> None:
        """Begin linear in the first components of z.

        Parameters
        ----------
        slope
            (peaks, components) by how much each component moves the logit of a peak.
        direct
            (peaks, 1 or 1 + batches) the same for a standard deviation of depth, and each batch.
        """
        k = slope.shape[1]
        self.first_slope.weight.fill_(1.0)
        self.second_slope.weight.fill_(1.0)
        to_units = self.first.weight.mul_(START_NOISE).unflatten(0, (self.groups, -1))
        for i in range(k):
            to_units[:, i, i] += 1.0
        _pass_on(self.second.weight, k)
        weight = self.peaks.weight.mul_(START_NOISE)
        weight[:, :k] += slope
        if self.direct:
            weight[:, -direct.shape[1] :] = direct
        self.peaks.start_at(weight=weight)

    def forward(self, z: Tensor, depth: Tensor, batch: Tensor) -> Tensor:
        """(cells, chromosomes, hidden), from which :attr:`peaks` tells each peak's chance to be open."""
        batches = [F.one_hot(batch, self.n_batches).type_as(z)] if self.told else []
        told = torch.cat([depth[:, None], *batches], dim=1)
        h = self.first(torch.cat([z, told], dim=1))
        h = _normalise(self.first_norm, h.unflatten(1, (self.groups, -1)))
        h = self.second_slope(_normalise(self.second_norm, self.second(self.first_slope(h))))
        if not self.direct:
            return h
        return torch.cat([h, told[:, None].expand(-1, self.groups, -1).type_as(h)], dim=2)


class SAILERX(Model):
    """A variational autoencoder of open peaks, whose latent cells lie to each other as those of a fixed reference.

    Parameters
    ----------
    sizes
        Peaks of each chromosome; those of a chromosome lie together.
    n_batches
        Batches of the reference.
    depth
        Mean and standard deviation of ln(open peaks of a cell), over all cells.
    typical
        See :class:`ChromosomeEncoder`.
    n_latent, n_hidden, dropout
        Dimensions of z; units of each chromosome's layers; share of a cell's open peaks hidden in training.
    within_batches
        Whether only cells of one batch are compared in the reference, which then may have batch effects.
    direct
        See :class:`ChromosomeDecoder`.
    peaks_share
        Share of the peaks, others in each step, that the likelihood looks at in training.
    weights
        Of the terms.
    """

    def __init__(
        self, sizes: Sequence[int], n_batches: int, depth: tuple[float, float], typical: float | None = None,
        n_latent: int = 50, n_hidden: int = 64, dropout: float = 0.0, within_batches: bool = False,
        direct: bool = True, peaks_share: float = 1.0, weights: Weights | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.peaks_share = peaks_share
        self.depth, self.within_batches, self.weights, self.warming = depth, within_batches, weights or Weights(), False
        self.encoder = ChromosomeEncoder(sizes, n_latent, n_hidden, typical, dropout)
        self.decoder = ChromosomeDecoder(sizes, n_latent, n_batches, n_hidden, direct)

    def at(self, clock: Clock) -> None:
        """In the warm-up all pairs of cells count alike, and open peaks may count more."""
        self.warming = clock.fraction < self.weights.warm_up

    def losses(self, batch: JointBatch) -> SailerxLosses:
        """All terms; the paired cells and those without RNA are as many, and of both every cell has its turn."""
        q = {k: self.encoder(part.x) for k, part in batch.parts.items()}
        everyone = Gaussian(*(torch.cat([getattr(p, name) for p in q.values()]) for name in ("mean", "log_variance")))
        paired = batch.parts[PAIRED]
        return SailerxLosses(
            reconstruction=sum(self._nll(part, q[k]) for k, part in batch.parts.items()) / len(q),
            kl=kl_standard_normal(everyone).mean(),
            invariance=mean_pairwise_kl(everyone),  # over both sets: this is what brings them together
            structure=structure_loss(
                q[PAIRED].mean, paired.representation, None if self.warming else paired.weight,
                paired.covariate if self.within_batches else None,
            ),
        )  # fmt: skip

    def _nll(self, part: Batch, q: Gaussian) -> Tensor:
        h = self.decoder(q.rsample(), self.standard_depth(part.x), part.covariate)
        share = self.peaks_share if self.training else 1.0
        return self.decoder.peaks.nll(part.x, h, self.weights.warm_up_positive if self.warming else 1.0, share)

    def standard_depth(self, x: SparseRows) -> Tensor:
        """(cells,) ln of the number of open peaks, standardised."""
        mean, spread = self.depth
        return (x.sums.clamp(min=1.0).log() - mean) / spread

    def phases(self) -> Sequence[Phase]:
        """One player; warm-up and main part share an optimiser."""
        return [Phase("autoencoder", [self], self._loss)]

    def _loss(self, terms: SailerxLosses, clock: Clock) -> Tensor:
        """Evidence lower bound, invariance and structure; divergences rise in cycles after the warm-up."""
        w = self.weights
        if clock.fraction < w.warm_up:
            structure = w.structure if w.warm_up_structure is None else w.warm_up_structure
            return terms.reconstruction + structure * terms.structure
        k = cyclical((clock.fraction - w.warm_up) / (1.0 - w.warm_up), w.cycles)
        divergences = w.kl * terms.kl + w.invariance * terms.invariance
        return terms.reconstruction + k * divergences + w.structure * terms.structure

    def encode(self, x: SparseRows, fill: Tensor | None = None) -> Gaussian:
        """``q(z | x)``; the embedding is its mean."""
        return self.encoder(x, fill)

    def decode(self, z: Tensor, open_peaks: Tensor, batch: Tensor) -> Tensor:
        """(cells, peaks) chance of each peak to be open in a cell of a batch with so many, (cells,), open peaks."""
        mean, spread = self.depth
        logits = self.decoder.peaks.logits(self.decoder(z, (open_peaks.log() - mean) / spread, batch))
        return chances_of_sum(logits, open_peaks)


def alignment_weights(rna_depth: Tensor, atac_depth: Tensor, clip: float = 0.01) -> Tensor:
    """How much each cell's place among the others is taken from RNA: high where RNA is deep and ATAC is shallow.

    ``w = (l - min l) / (max l - min l)`` with ``l = ln(RNA depth / ATAC depth)``, cut at the quantiles ``clip`` and
    ``1 - clip`` so that no single cell sets the scale.

    Parameters
    ----------
    rna_depth, atac_depth
        (cells,) counts of each cell, above 0.
    clip
        Share of the cells that are cut on either side; 0 = none, as in the paper.

    Returns
    -------
    torch.Tensor
        (cells,) in [0, 1]; 1 where all cells have the same ratio.
    """
    ratio = rna_depth.double().log() - atac_depth.double().log()
    low, high = ratio.quantile(clip), ratio.quantile(1.0 - clip)
    if high - low < 1e-9:
        return torch.ones_like(ratio, dtype=torch.float32)
    return ((ratio.clamp(low, high) - low) / (high - low)).float()


def _pass_on(weight: Tensor, k: int) -> None:
    """Make (groups, in, out) weights hand the first k units on."""
    weight.mul_(START_NOISE)
    weight.diagonal(dim1=1, dim2=2)[:, :k] += 1.0


def _normalise(norm: nn.BatchNorm1d, h: Tensor) -> Tensor:
    """Batch normalisation of (cells, chromosomes, units)."""
    return norm(h.flatten(1)).view_as(h)

"""scI2CL: RNA and chromatin of the same cells, fused by contrast within and between them.

Liu et al. 2025, doi:10.48550/arXiv.2508.18304.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.data.batch import Batch, JointBatch
from isthmus.nn import BatchClassifier, ConditionalDecoder, CountHead, SparseRows, hidden_layer
from isthmus.nn.attention import AnchorAttention, ViewFusion
from isthmus.nn.contrast import InfoNCE, cosines, hard_negatives, masked_views
from isthmus.nn.fusion import CodeEncoder, ResidualFusion, Whitening
from isthmus.train import Losses, Model, Phase
from isthmus.train.schedules import Clock

HARDNESS = 0.1  # temperature at which negatives are drawn by similarity
ADVERSARY_RATE = 3.5  # learning rate of the batch classifier over that of the others


@dataclass(frozen=True)
class Weights:
    """How much each term counts; a term of weight 0 is not computed."""

    reconstruction: float = 1.0
    mse: float = 1.0
    moc: float = 0.5
    mom: float = 0.5
    batch: float = 0.0


@dataclass(eq=False)
class Sci2clLosses(Losses):
    """Terms of the training, means over cells."""

    reconstruction: dict[str, Tensor]  # -ln p(counts of modality m | z, batch, library), nats, summed over features
    mse: dict[str, Tensor]  # squared distance of a cell's code and the fused code of its views, mean over dimensions
    moc: Tensor  # contrast of the two codes of each cell with those of all others, nats
    mom: Tensor  # cross-entropy of telling a cell's own pair of codes from a pair of two cells, nats
    batch: Tensor  # cross-entropy of the batch classifier, in units of chance
    across: Tensor  # squared distance of a code and what the other modality's code says it is, mean over dimensions

    def terms(self) -> dict[str, Tensor]:
        """All terms by name; those of each modality with its name behind."""
        out: dict[str, Tensor] = {}
        for name, value in super().terms().items():
            out |= {f"{name}_{m}": v for m, v in value.items()} if isinstance(value, dict) else {name: value}
        return out


class SCI2CL(Model):
    """Two autoencoders of counts whose codes are contrasted, fused, and decoded together.

    Parameters
    ----------
    n_features
        Features of each modality, two of them.
    n_batches
        Batches of each modality, which its decoder is told.
    n_latent, n_hidden
        Dimensions of the embedding, of which a code has half as many; width of hidden layers.
    likelihood
        ``"zinb"`` or ``"nb"``, of both modalities' counts.
    dropout
        Share of hidden units left out in training.
    n_views, mask
        Views of a cell, and the share of its features that each misses.
    n_heads, n_anchors
        Of the attention; the anchors stand for the cells of the other modality.
    temperature, learn_temperature
        Of the contrast at the start, and whether it is learned.
    n_negatives
        False pairs for each true one in each direction of the matching.
    batch_counts
        (batches,) cells of each batch, for the adversary; None = there is none.
    weights
        Of the terms.
    """

    needs_counts = True

    def __init__(
        self, n_features: Mapping[str, int], n_batches: Mapping[str, int], n_latent: int = 64, n_hidden: int = 128,
        likelihood: str = "zinb", dropout: float = 0.1, n_views: int = 4, mask: float = 0.4, n_heads: int = 4,
        n_anchors: int = 64, temperature: float = 0.1, learn_temperature: bool = True, n_negatives: int = 1,
        batch_counts: Sequence[int] | None = None, weights: Weights | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.modalities, self.weights = list(n_features), weights or Weights()
        self.n_views, self.mask, self.n_negatives = n_views, mask, n_negatives
        each, wide, code = self.modalities, n_hidden, n_latent // 2
        self.n_code = code
        self.encoders = nn.ModuleDict({m: CodeEncoder(n_features[m], wide, code, dropout) for m in each})  # z_m
        self.views = nn.ModuleDict({m: ViewFusion(code, n_heads) for m in each})  # z_m from its views
        self.attention = nn.ModuleDict({m: AnchorAttention(code, n_heads, n_anchors) for m in each})  # z'_m
        self.contrast = InfoNCE(temperature, learn_temperature)
        self.fusion = ResidualFusion(code, n_latent)  # z = f(z'_rna, z'_atac)
        self.matching = nn.Linear(n_latent, 1)  # are the two codes of one cell?
        self.decoders = nn.ModuleDict({m: ConditionalDecoder(n_latent, n_batches[m], wide, dropout) for m in each})
        self.counts = nn.ModuleDict({m: CountHead(wide, n_features[m], likelihood) for m in each})  # p(x_m | z, b, l)
        self.across = nn.ModuleDict(
            {m: nn.Sequential(hidden_layer(code, wide, 0.0), nn.Linear(wide, code)) for m in each}
        )  # z_m from the other modality's code
        adversary = None if batch_counts is None else BatchClassifier(n_latent, wide, torch.as_tensor(batch_counts))
        self.classifier = adversary
        self.whitening = Whitening(n_latent)  # the embedding; learned from all cells after the training

    def losses(self, batch: JointBatch) -> Sci2clLosses:
        """All terms; terms of weight 0 are left out."""
        w, (one, two), there = self.weights, self.modalities, batch.present
        z = {m: self.encoders[m](part.x) for m, part in batch.parts.items()}
        own = self.attended(z, there)
        fused, both = self.fuse(own), there[one] & there[two]
        none = fused.new_zeros(())
        pairs = {m: own[m][both] for m in own}
        alike = cosines(pairs[one], pairs[two]) if w.moc or w.mom else None
        contrast = both.any() and alike is not None
        covariate = torch.where(there[one], batch.parts[one].covariate, batch.parts[two].covariate)
        return Sci2clLosses(
            reconstruction={m: self._nll(m, batch.parts[m], fused, there[m]) for m in z},
            mse={m: self._mse(m, batch.parts[m], z[m]) if w.mse else none for m in z},
            moc=self.contrast(alike) if w.moc and contrast else none,
            mom=self._mom(pairs, alike, self._allowed(batch, both)) if w.mom and contrast else none,
            batch=self.classifier(fused, covariate) if self.classifier is not None else none,
            across=sum(self._across(m, z, both) for m in z),
        )

    def attended(self, z: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Z' of both modalities, (cells, latent) each; where a cell lacks one, from what the other says of it."""
        codes = {m: torch.where(there[m][:, None], z[m], self.across[m](z[self._other(m)]).float()) for m in z}
        return {m: self.attention[m](codes[m]) for m in z}

    def fuse(self, attended: Mapping[str, Tensor]) -> Tensor:
        """z, (cells, latent)."""
        return self.fusion(*(attended[m] for m in self.modalities)).float()

    def _other(self, m: str) -> str:
        return self.modalities[1 - self.modalities.index(m)]

    def _nll(self, m: str, part: Batch, z: Tensor, there: Tensor) -> Tensor:
        """Nats of the counts of the cells that have the modality, given their observed library."""
        counts = part.values["counts"]
        library = counts.sums.clamp(min=1.0).log()[:, None]
        nats = self.counts[m].nll(counts, self.decoders[m](z, part.covariate), library)
        return (nats * there).sum() / there.sum().clamp(min=1)

    def _mse(self, m: str, part: Batch, z: Tensor) -> Tensor:
        """Distance of code and fused views, for half of the cells, to save time; gradients flow into both."""
        half = -(-len(part) // 2)
        views = [self.encoders[m](view) for view in masked_views(part.x.rows(0, half), self.n_views, self.mask)]
        return F.mse_loss(self.views[m](torch.stack(views, dim=1)).float(), z[:half])

    def _across(self, m: str, z: Mapping[str, Tensor], both: Tensor) -> Tensor:
        """The codes are as given here: only the map learns."""
        error = self.across[m](z[self._other(m)].detach()).float() - z[m].detach()
        return (error.square().mean(dim=1) * both).sum() / both.sum().clamp(min=1)

    def _allowed(self, batch: JointBatch, both: Tensor) -> Tensor:
        """(pairs, pairs) bool: which cells may be a false partner. With labels, those that may be of another type."""
        label = batch.parts[self.modalities[0]].label
        others = ~torch.eye(int(both.sum()), dtype=torch.bool, device=both.device)
        if label is None:
            return others
        label = label[both]
        return others & ((label[:, None] != label) | (label[:, None] < 0) | (label < 0))

    def _mom(self, pairs: Mapping[str, Tensor], alike: Tensor, allowed: Tensor) -> Tensor:
        """A cell's own pair is a match; one with the code of a similar cell is none, in either modality."""
        one, two = self.modalities
        loss = F.softplus(-self._match(pairs)).mean()
        for kept, swapped, similarity in ((one, two, alike), (two, one, alike.T)):
            index, valid = hard_negatives(similarity, allowed, self.n_negatives, HARDNESS)
            false = {
                kept: pairs[kept].repeat_interleave(index.shape[1], dim=0),
                swapped: pairs[swapped][index.flatten()],
            }
            wrong = F.softplus(self._match(false)) * valid.flatten()
            loss = loss + 0.5 * wrong.sum() / valid.sum().clamp(min=1)
        return 0.5 * loss

    def _match(self, pairs: Mapping[str, Tensor]) -> Tensor:
        """(pairs,) logits that both codes are of one cell."""
        return self.matching(self.fuse(pairs)).float().squeeze(1)

    def phases(self) -> Sequence[Phase]:
        """The autoencoders with all contrasts; the maps between codes; the adversary whose loss the first raises."""
        beside = [self.across, *([] if self.classifier is None else [self.classifier])]
        learning = [module for module in self.children() if all(module is not other for other in beside)]
        return [
            Phase("autoencoders", learning, self._loss),
            Phase("maps", [self.across], lambda terms, clock: terms.across),
            *(
                Phase("batch classifier", [module], lambda t, clock: t.batch, learning_rate_factor=ADVERSARY_RATE)
                for module in beside[1:]
            ),
        ]

    def _loss(self, terms: Sci2clLosses, clock: Clock) -> Tensor:
        """L = w1 rec + w2 MSE + w3 MOC + w4 MOM; batches no easier to tell than by chance."""
        w = self.weights
        within = w.reconstruction * sum(terms.reconstruction.values()) + w.mse * sum(terms.mse.values())
        between = w.moc * terms.moc + w.mom * terms.mom
        return within + between - w.batch * terms.batch.clamp(max=1.0)

    def encode(self, modality: str, x: SparseRows, fill: Tensor | None = None) -> Tensor:
        """(cells, code) code of one modality of cells."""
        return self.encoders[modality](x, fill)

    def embed(self, z: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> Tensor:
        """(cells, latent) embedding from the codes of cells, and which of them are measured."""
        return self.whitening(self.fuse(self.attended(z, there)))

    def decode(self, modality: str, embedding: Tensor, batch: Tensor) -> Tensor:
        """(cells, features) expected share of each feature in a cell's counts; a cell's shares sum to 1."""
        z = self.whitening.undo(embedding)
        return self.counts[modality].shares(self.decoders[modality](z, batch))

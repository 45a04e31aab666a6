"""GLUE: modalities with different features, aligned through a graph of what their features have to do with each other.

Cao and Gao 2022, doi:10.1038/s41587-022-01284-4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.data.batch import Batch, JointBatch
from isthmus.nn import Gaussian, kl_standard_normal
from isthmus.nn.adversary import ModalityDiscriminator
from isthmus.nn.encoders import RepresentationEncoder
from isthmus.nn.graph import Edges, EdgeSampler, GraphEncoder
from isthmus.nn.group_shift import GroupShift
from isthmus.nn.inner_product import DECODERS
from isthmus.train import Losses, Model, Phase
from isthmus.train.schedules import Clock

GROUPS = 20  # of similar cells, in which the modalities are laid on each other at the end


@dataclass(frozen=True)
class Weights:
    """How much each term counts, and how the discriminator is held back at first."""

    data: Mapping[str, float] | None = None  # of each modality, 1 on average; None = all alike
    kl: float = 1.0
    graph: float = 0.02
    align: float = 0.05
    labels: float = 0.02
    joint_cross: float = 0.02  # cells that are known to be measured twice: from the mean of their embeddings,
    real_cross: float = 0.02  # from the other modality's embedding,
    cosine: float = 0.02  # and how alike their embeddings are
    noise: float = 1.5  # on what the discriminator sees, in standard deviations of the mini-batch
    burn_in: float | None = None  # share of the training in which the noise falls to nothing; None = it stays


@dataclass(eq=False)
class GlueLosses(Losses):
    """Terms of the game. Those of cells are nats per feature, so that each modality counts alike."""

    reconstruction: dict[str, Tensor]  # -ln p(x_k | u, V), mean over cells and features of modality k
    kl: dict[str, Tensor]  # of u from N(0, I), mean over cells, over the number of features
    graph: Tensor  # -ln p(edges | V), mean of the means over edges and over negative pairs
    graph_kl: Tensor  # of V from N(0, I), mean over nodes, over the number of nodes
    discriminator: Tensor  # cross-entropy of the modality discriminator, weighted by cell
    judge: Callable[[], Tensor]  # the same anew, after the discriminator's step
    labels: Tensor  # cross-entropy of the cell-type classifier over the labelled cells
    joint_cross: Tensor  # the three terms of paired cells, see Weights
    real_cross: Tensor
    cosine: Tensor

    def terms(self) -> dict[str, Tensor]:
        """All terms by name; those of each modality with its name behind."""
        out: dict[str, Tensor] = {}
        for name, value in super().terms().items():
            if name == "judge":
                continue
            out |= {f"{name}_{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
        return out


class GLUE(Model):
    """One autoencoder a modality, whose decoders share the embedding of a guidance graph, and a discriminator.

    Parameters
    ----------
    edges
        The guidance graph, both directions and loops; its nodes are the features of the first modality, then those
        of the second, and so on.
    n_features
        Features of each modality.
    n_inputs
        Components of each modality's representation.
    n_batches
        Batches of each modality; they have their own decoder parameters.
    likelihoods
        Of each modality's values, a key of :data:`isthmus.nn.inner_product.DECODERS`.
    n_latent
        Dimensions of cells and of features.
    n_hidden, n_layers, dropout
        Of encoders and discriminator.
    n_labels
        Cell types; 0 = no labels.
    shared_batches
        Whether the batches are the same ones in all modalities; then the discriminator is told them.
    frozen
        Whether encoders and discriminator stay as they are: only graph and decoders learn.
    weights
        Of the terms.
    """

    gains_by_compiling = False  # a compiled step takes half again as long on a CPU (measured)

    def __init__(
        self, edges: Edges, n_features: Mapping[str, int], n_inputs: Mapping[str, int], n_batches: Mapping[str, int],
        likelihoods: Mapping[str, str], n_latent: int = 50, n_hidden: int = 256, n_layers: int = 2,
        dropout: float = 0.2, n_labels: int = 0, shared_batches: bool = False, frozen: bool = False,
        weights: Weights | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.modalities, self.n_features = list(n_features), list(n_features.values())
        self.shared_batches, self.frozen, self.weights = shared_batches, frozen, weights or Weights()
        self.graph = GraphEncoder(edges, sum(self.n_features), n_latent)  # q(V | G)
        self.edges = EdgeSampler(edges, sum(self.n_features))  # p(G | V)
        self.encoders = nn.ModuleDict(
            {k: RepresentationEncoder(n_inputs[k], n_hidden, n_latent, n_layers, dropout) for k in self.modalities}
        )  # q(u | x_k)
        self.decoders = nn.ModuleDict(
            {k: DECODERS[likelihoods[k]](n_features[k], n_batches[k]) for k in self.modalities}
        )  # p(x_k | u, V)
        told = max(n_batches.values()) if shared_batches else 0
        self.discriminator = ModalityDiscriminator(n_latent, len(self.modalities), n_hidden, n_layers, dropout, told)
        self.cell_type = nn.Linear(n_latent, n_labels) if n_labels else None
        self.groups = GroupShift(len(self.modalities), GROUPS, n_latent)  # learned from all cells after the training
        if frozen:
            self.encoders.requires_grad_(False)
            self.discriminator.requires_grad_(False)
        self.register_buffer("noise", torch.tensor(float(self.weights.noise)), persistent=False)

    def at(self, clock: Clock) -> None:
        """Less and less noise hides the cells from the discriminator."""
        burn_in = self.weights.burn_in
        left = 1.0 if burn_in is None else max(1.0 - clock.fraction / burn_in, 0.0) if burn_in > 0 else 0.0
        self.noise.fill_(self.weights.noise * left)

    def train(self, mode: bool = True) -> GLUE:
        """Frozen encoders use their running statistics also in training."""
        super().train(mode)
        if self.frozen:
            self.encoders.eval()
        return self

    def losses(self, batch: JointBatch) -> GlueLosses:
        """All terms from one pass of the encoders."""
        features = self.graph()
        v = features.rsample()
        q = {k: self.encoders[k](part.representation) for k, part in batch.parts.items()}
        u = {k: posterior.rsample() for k, posterior in q.items()}
        by_modality = dict(zip(self.modalities, v.split(self.n_features), strict=True))
        none = v.new_zeros(())
        joint, real, cosine = self._paired(batch, u, by_modality) if batch.present else (none, none, none)
        judge = self._judge(batch, q)
        return GlueLosses(
            reconstruction={k: self._nll(k, part, u[k], by_modality).mean() for k, part in batch.parts.items()},
            kl={k: kl_standard_normal(q[k]).mean() / len(by_modality[k]) for k in q},
            graph=self.edges.nll(v),
            graph_kl=kl_standard_normal(features).mean() / len(v),
            discriminator=judge(),
            judge=judge,
            labels=none if self.cell_type is None else self._label_loss(batch, q),
            joint_cross=joint, real_cross=real, cosine=cosine,
        )  # fmt: skip

    def _nll(self, k: str, part: Batch, u: Tensor, v: Mapping[str, Tensor]) -> Tensor:
        """(cells,) nats per feature of modality k."""
        return self.decoders[k].nll(part.x, u, v[k], part.covariate) / len(v[k])

    def _judge(self, batch: JointBatch, q: Mapping[str, Gaussian]) -> Callable[[], Tensor]:
        """Cross-entropy of telling the modality from the posterior mean and noise, whenever it is asked for."""
        mean = torch.cat([posterior.mean for posterior in q.values()])
        seen = mean + self.noise * mean.detach().std(dim=0) * torch.randn_like(mean)
        parts = [batch.parts[k] for k in q]
        truth = torch.cat([torch.full_like(part.index, i) for i, part in enumerate(parts)])
        weight = torch.cat([torch.ones(len(p), device=mean.device) if p.weight is None else p.weight for p in parts])
        covariate = torch.cat([part.covariate for part in parts]) if self.shared_batches else None
        return lambda: (weight * self.discriminator(seen, truth, covariate)).mean()

    def _label_loss(self, batch: JointBatch, q: Mapping[str, Gaussian]) -> Tensor:
        label = torch.cat([batch.parts[k].label for k in q])
        logits = torch.cat([self.cell_type(posterior.mean) for posterior in q.values()]).float()
        known = (label >= 0).sum().clamp(min=1)
        return F.cross_entropy(logits, label, ignore_index=-1, reduction="sum") / known

    def _paired(
        self, batch: JointBatch, u: Mapping[str, Tensor], v: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Terms of rows that are one cell: values decoded from the mean and from each other, and likeness."""
        there = {k: mask.float()[:, None] for k, mask in batch.present.items()}
        mean = sum(there[k] * u[k] for k in u) / sum(there.values()).clamp(min=1)
        share = {k: self._share(k) for k in u}

        def over(mask: Tensor, values: Tensor) -> Tensor:
            return (mask.squeeze(1) * values).sum() / mask.sum().clamp(min=1)

        joint = sum(share[k] * over(there[k], self._nll(k, batch.parts[k], mean, v)) for k in u)
        real = sum(
            share[b] * over(there[a] * there[b], self._nll(b, batch.parts[b], u[a], v)) for a, b in permutations(u, 2)
        )
        unlike = sum(over(there[k], 1.0 - F.cosine_similarity(u[k], mean, dim=1)) for k in u)
        return joint, real, unlike

    def _share(self, k: str) -> float:
        """Weight of a modality, 1 on average."""
        data = self.weights.data or {}
        given = [data.get(name, 1.0) for name in self.modalities]
        return data.get(k, 1.0) * len(given) / sum(given)

    def phases(self) -> Sequence[Phase]:
        """Two players: the autoencoders with the graph, and the discriminator whose loss they raise."""
        learning = [self.graph, self.decoders]
        if self.frozen:
            return [Phase("graph", learning, self._autoencoder_loss)]
        learning += [self.encoders, *([] if self.cell_type is None else [self.cell_type])]
        return [
            Phase("autoencoders", learning, self._autoencoder_loss, watched=self._evidence),
            Phase("discriminator", [self.discriminator], lambda terms, clock: terms.discriminator, ahead=True),
        ]

    def _autoencoder_loss(self, terms: GlueLosses, clock: Clock) -> Tensor:
        """The bounds; and the modality no easier to tell than by chance."""
        hiding = self.weights.align * terms.judge() if self.weights.align and not self.frozen else 0.0
        return self._evidence(terms, clock) - hiding

    def _evidence(self, terms: GlueLosses, clock: Clock) -> Tensor:
        """Evidence lower bounds of cells and graph, with labels and pairs where there are any."""
        w = self.weights
        cells = sum(self._share(k) * (terms.reconstruction[k] + w.kl * terms.kl[k]) for k in self.modalities)
        graph = w.graph * len(self.modalities) * (terms.graph + w.kl * terms.graph_kl)
        paired = w.joint_cross * terms.joint_cross + w.real_cross * terms.real_cross + w.cosine * terms.cosine
        return cells + graph + w.labels * terms.labels + paired

    @torch.no_grad()
    def centre(self, means: Mapping[str, Tensor]) -> None:
        """Move the cells of each modality, whose mean is given, to the origin; what is decoded does not change."""
        v = self.embed_features()
        for k, mean in means.items():
            self.encoders[k].head.mean.bias -= mean
            self.decoders[k].shift(v[k] @ mean)

    def encode(self, modality: str, representation: Tensor) -> Gaussian:
        """``q(u | x_k)``."""
        return self.encoders[modality](representation)

    def embed(self, modality: str, representation: Tensor) -> Tensor:
        """(cells, latent) embedding: the mean of ``q(u | x_k)``, moved as the cell's group is."""
        return self.groups(self.encode(modality, representation).mean, self.modalities.index(modality))

    def embed_features(self) -> dict[str, Tensor]:
        """The mean of ``q(V | G)`` by modality, (features, latent) each."""
        return dict(zip(self.modalities, self.graph().mean.split(self.n_features), strict=True))

    def decode(self, modality: str, u: Tensor, v: Tensor, batch: Tensor, library: Tensor) -> Tensor:
        """(cells, features) expected values of a modality from the embedding of cells of any modality."""
        return self.decoders[modality].expected(u, v, batch, library)

    def classify(self, u: Tensor) -> Tensor:
        """(cells, types) probability of each type."""
        return self.cell_type(u).float().softmax(dim=1)

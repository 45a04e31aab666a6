"""From several studies and a guidance graph to a trained GLUE network: prepare, pre-train, balance, fine-tune."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from isthmus.data import Categories, SparseLoader, Study, split_validation
from isthmus.data.joint import JointLoader
from isthmus.genomics import GuidanceGraph
from isthmus.models.glue import GLUE, GROUPS, Weights
from isthmus.nn.graph import Edges
from isthmus.tl._balance import balancing_weights
from isthmus.tl._groups import group_cells
from isthmus.tl._inference import CELLS_AT_ONCE
from isthmus.tl._sides import Side, trained_graph, usual_reduction, variable_inputs
from isthmus.tl._training import HELD_OUT_AT_ONCE, facts_of, loop_options, one_history, planned_steps
from isthmus.train import Options, train

GRADIENT_CLIP = 10.0
BETAS = (0.0, 0.99)  # with momentum, encoders and adversary chase each other and the modalities end up unaligned


@dataclass(frozen=True)
class Cells:
    """The cells of one modality, ready for the network.

    Attributes
    ----------
    side
        The modality.
    targets
        (cells, features) float32 CSR that the decoder explains.
    representation
        (cells, components) float32 that the encoder sees.
    batch
        (cells,) int64 codes.
    label
        (cells,) int64 codes, -1 where not known; None = there are no labels.
    depth
        (cells,) float64 sum of all values of the cell.
    """

    side: Side
    targets: sp.csr_matrix
    representation: np.ndarray
    batch: np.ndarray
    label: np.ndarray | None
    depth: np.ndarray


def prepare(
    studies: Mapping[str, Study], graph: GuidanceGraph, labels: Mapping[str, np.ndarray] | None, settings: Any
) -> tuple[dict[str, Cells], GuidanceGraph]:
    """Fit the transforms of every modality and choose what is trained.

    Features of the first modality are chosen by their variability; those of the others are what the graph leads to
    from there.
    """
    first, sides, representations, wanted = next(iter(studies)), {}, {}, {}
    for name, study in studies.items():
        reduction = settings.representations.get(name) or usual_reduction(study)
        among = study.features.isin(graph.features) if name == first else np.ones(study.n_features, dtype=bool)
        inputs = among if reduction == "lsi" else variable_inputs(study, settings.n_features, among)
        sides[name], representations[name] = Side.fit(
            name, study, likelihood=settings.likelihoods.get(name) or usual_likelihood(study), reduction=reduction,
            inputs=inputs, n_components=settings.n_components, seed=settings.seed,
        )  # fmt: skip
        wanted[name] = study.features[inputs] if name == first else study.features
    part = trained_graph(graph, wanted, first)
    cells = {}
    for name, study in studies.items():
        own = wanted[name][wanted[name].isin(part.features)]
        side = sides[name].with_features(own)
        label = None if labels is None else labels[name]
        depth = np.asarray(study.x.sum(axis=1), dtype=np.float64).ravel()
        cells[name] = Cells(side, side.targets(study), representations[name], study.batch, label, depth)
    order = np.concatenate([c.side.features for c in cells.values()])
    return cells, part.subset(order)


def usual_likelihood(study: Study) -> str:
    """Negative binomials for counts, normal distributions for other numbers."""
    return "nb" if study.values == "counts" else "normal"


def make_network(
    sides: Mapping[str, Side], graph: GuidanceGraph, labels: Categories | None, settings: Mapping[str, Any],
    **changes: Any,
) -> GLUE:  # fmt: skip
    """The network that these settings describe."""
    closed = graph.with_reverse_and_loops()
    edges = Edges(
        torch.tensor(closed.source), torch.tensor(closed.target), torch.tensor(closed.sign, dtype=torch.float32),
        torch.tensor(closed.weight),
    )  # fmt: skip
    return GLUE(
        edges,
        {k: len(s.features) for k, s in sides.items()},
        {k: s.reduction.n_components for k, s in sides.items()},
        {k: len(s.batches) for k, s in sides.items()},
        {k: s.likelihood for k, s in sides.items()},
        n_labels=0 if labels is None else len(labels),
        weights=weights_of(settings),
        **{name: settings[name] for name in ("n_latent", "n_hidden", "n_layers", "dropout", "shared_batches")},
        **changes,
    )


def weights_of(settings: Mapping[str, Any], burn_in: float | None = None) -> Weights:
    """Weights of the terms; without a burn-in the discriminator sees noise all the time."""
    named = ("kl", "graph", "align", "labels", "joint_cross", "real_cross", "cosine")
    given = {name: settings[f"{name}_weight"] for name in named}
    return Weights(data=settings["data_weights"], burn_in=burn_in, **given)


def _checksum(network: GLUE) -> str:
    """Of the edges: the state of a run with another graph is not taken for this one's."""
    digest = hashlib.sha256()
    for part in ("source", "target", "sign", "by_weight"):
        digest.update(getattr(network.edges, part).numpy().data)
    return digest.hexdigest()


def run_phases(
    network: GLUE, cells: Mapping[str, Cells], pairs: np.ndarray | None, settings: Any, *,
    progress: str | Callable[[str], Any], checkpoint: str | None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray] | None]:  # fmt: skip
    """Pre-train, weigh the cells by what the modalities share, fine-tune; history, and the weights by modality."""
    batch_size, most = batch_size_of(settings, cells), max(len(c.batch) for c in cells.values())
    steps = planned_steps(settings, most, batch_size, default_steps)
    before = round(settings.pretrain_share * steps)
    parts, weight = [], None
    facts = {**facts_of(settings), "edges": _checksum(network)}

    def phase(name: str, number: int, n_steps: int) -> None:
        loader, held_out = joint_loaders(cells, pairs, weight, batch_size, settings, settings.seed + number)
        folder = None if checkpoint is None else f"{checkpoint}/{name}"
        run = options_of(settings, n_steps, settings.seed + number)
        history = train(network, loader, held_out, run, progress=progress, checkpoint=folder, facts=facts)
        parts.append(history.assign(phase=number))

    if before:
        network.weights = weights_of({**vars(settings), "align_weight": settings.pretrain_align_weight})
        phase("pre-training", 0, before)
        latents = embed_all(network, cells)
        means = {k: z.mean(axis=0) for k, z in latents.items()}
        network.centre({k: torch.from_numpy(mean) for k, mean in means.items()})
        if settings.balance:
            weight = balancing_weights({k: z - means[k] for k, z in latents.items()}, settings.seed)
    network.weights = weights_of(vars(settings), settings.burn_in)
    phase("fine-tuning", 1, steps - before)
    return one_history(parts), weight


def joint_loaders(
    cells: Mapping[str, Cells], pairs: np.ndarray | None, weight: Mapping[str, np.ndarray] | None, batch_size: int,
    settings: Any, seed: int,
) -> tuple[JointLoader, JointLoader | None]:  # fmt: skip
    """Loaders of the cells to train with and of those held out."""
    fraction = settings.validation_fraction if settings.early_stopping else 0.0
    kept, held = _split(cells, pairs, fraction, settings.seed)
    train_loaders, held_loaders = {}, {}
    for i, (name, c) in enumerate(cells.items()):
        facts = {"representation": c.representation, "label": c.label, "weight": weight and weight[name]}
        facts = {key: array for key, array in facts.items() if array is not None}
        train_loaders[name] = SparseLoader(
            c.targets, c.batch, kept.rows[name], batch_size, shuffle=True, seed=seed + i, cells=facts
        )
        held_loaders[name] = SparseLoader(c.targets, c.batch, held.rows[name], HELD_OUT_AT_ONCE, cells=facts)
    everywhere = all(len(rows) for rows in held.rows.values())
    return JointLoader(train_loaders, kept.pairs), JointLoader(held_loaders, held.pairs) if everywhere else None


class Part(NamedTuple):
    """Some of the cells: the rows of each modality, ascending, and which of them are one cell."""

    rows: dict[str, np.ndarray]
    pairs: np.ndarray | None


def _split(cells: Mapping[str, Cells], pairs: np.ndarray | None, fraction: float, seed: int) -> tuple[Part, Part]:
    """Cells to train with and held-out ones; a cell that was measured twice is held out twice."""
    if pairs is None:
        parts = {k: split_validation(c.batch, fraction, seed + i) for i, (k, c) in enumerate(cells.items())}
        return tuple(Part({k: rows[side] for k, rows in parts.items()}, None) for side in (0, 1))
    measured = (pairs >= 0) @ (1 << np.arange(len(cells)))  # in which modalities: each kind of cell has its share
    parts = [pairs[rows] for rows in split_validation(measured, fraction, seed)]
    return tuple(Part({k: np.sort(p[p[:, i] >= 0, i]) for i, k in enumerate(cells)}, p) for p in parts)


def options_of(settings: Any, n_steps: int, seed: int) -> Options:
    """The loop's options of one phase."""
    return loop_options(settings, max_steps=max(n_steps, 1), seed=seed, gradient_clip=GRADIENT_CLIP, betas=BETAS)


def batch_size_of(settings: Any, cells: Mapping[str, Cells]) -> int:
    """Cells of each modality in a mini-batch."""
    return min(settings.batch_size, *(len(c.batch) for c in cells.values()))


def default_steps(n_cells: int, batch_size: int) -> int:
    """Steps for data whose largest modality has this size."""
    return int(np.clip(50 * np.sqrt(n_cells), 2800, 40_000))


def settle(network: GLUE, cells: Mapping[str, Cells], seed: int) -> None:
    """Lay the modalities on each other in groups of similar cells, where the adversary has left them side by side."""
    z = list(embed_all(network, cells).values())
    alike = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in z])  # modalities count alike
    centre = group_cells(np.concatenate(z), seed, GROUPS, alike / alike.mean()).cluster_centers_
    network.groups.learn([torch.from_numpy(part) for part in z], torch.from_numpy(centre))


def embed_all(network: GLUE, cells: Mapping[str, Cells]) -> dict[str, np.ndarray]:
    """Embedding of all cells, (cells, latent) float32 by modality."""
    return {name: embed_cells(network, name, c.representation) for name, c in cells.items()}


def embed_cells(network: GLUE, modality: str, representation: np.ndarray) -> np.ndarray:
    """(cells, latent) float32 embedding."""
    blocks = range(0, len(representation), CELLS_AT_ONCE)
    with torch.inference_mode():
        parts = [
            network.embed(modality, torch.from_numpy(representation[start : start + CELLS_AT_ONCE])).numpy()
            for start in blocks
        ]
    return np.concatenate(parts)

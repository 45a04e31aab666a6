"""From paired studies to a trained scI2CL network, and cells through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch

from isthmus.data import Pca, Pipeline, Prepared, SparseLoader, Study, split_validation
from isthmus.data.joint import JointLoader
from isthmus.data.reductions import leading, tf_idf
from isthmus.models.sci2cl import SCI2CL, Weights
from isthmus.nn.fusion import Whitening
from isthmus.tl._groups import ROUNDS, batch_directions, group_cells
from isthmus.tl._inference import CELLS_AT_ONCE, fill_of
from isthmus.tl._paired import MODALITIES, Paired
from isthmus.tl._training import HELD_OUT_AT_ONCE, facts_of, loop_options, one_history, planned_steps
from isthmus.train import train

GRADIENT_CLIP = 10.0
LEAST_SPREAD = 1e-6
TERMS = ("reconstruction", "mse", "moc", "mom", "batch")
SAME = (
    "n_latent", "n_hidden", "likelihood", "dropout", "n_views", "mask", "n_heads", "n_anchors", "temperature",
    "learn_temperature", "n_negatives",
)  # fmt: skip


@dataclass(frozen=True)
class Input:
    """From a study of one modality to what its encoder sees: log-normalised genes, or peaks by TF-IDF.

    Attributes
    ----------
    pipeline
        Depth, choice of features and scale.
    idf
        (features,) float64 weights of peaks, see :class:`isthmus.data.Lsi`; None for genes.
    """

    pipeline: Pipeline
    idf: np.ndarray | None = None

    @classmethod
    def fit(cls, modality: str, study: Study, n_features: int) -> tuple[Input, Prepared]:
        """Learn the transforms, and apply them."""
        pipeline, prepared = Pipeline.fit(study, profile=modality, n_features=n_features)
        if modality == "rna":
            return cls(pipeline), prepared
        total = np.asarray(prepared.counts.sum(axis=0)).ravel()
        out = cls(pipeline, np.divide(study.n_cells, total, out=np.zeros(len(total)), where=total > 0))
        return out, out._weighed(prepared)

    def apply(self, study: Study, min_coverage: float) -> Prepared:
        """The same for other cells; see :meth:`isthmus.data.Pipeline.apply`."""
        prepared = self.pipeline.apply(study, None, min_coverage)
        return prepared if self.idf is None else self._weighed(prepared)

    def _weighed(self, prepared: Prepared) -> Prepared:
        """Peaks that were not measured take no part in their cell's shares, and need not be filled in."""
        x, largest = prepared.x, self.pipeline.scale.overall
        share = sp.csr_matrix((np.expm1(x.data * largest[x.indices]), x.indices, x.indptr), shape=x.shape)
        return replace(prepared, x=tf_idf(share, self.idf), fill=np.zeros_like(prepared.fill))

    def reduction(self, x: sp.csr_matrix, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Loadings and shift of a linear reduction of what the encoder sees, components of equal variance."""
        if self.idf is None:
            pca = Pca.fit(x, n_components, seed=seed)
            spread = np.maximum(pca.apply(x).std(axis=0), LEAST_SPREAD)
            return pca.scale[:, None] * pca.loadings / spread, -(
                pca.mean * pca.scale + pca.center
            ) @ pca.loadings / spread
        singular, vectors = leading(x, np.zeros(x.shape[1]), n_components + 1, seed)
        loadings = vectors[:, 1:] / singular[1:] * np.sqrt(x.shape[0])  # the first component is depth
        return loadings, np.zeros(loadings.shape[1])


def prepare(paired: Paired, n_genes: int, n_peaks: int) -> dict[str, tuple[Input, Prepared]]:
    """Transforms of both modalities, fitted, and their cells: variable genes, and the peaks open in most cells."""
    sizes = {"rna": n_genes, "atac": n_peaks}
    return {m: Input.fit(m, paired.studies[m], sizes[m]) for m in MODALITIES}


def make_network(
    n_features: Mapping[str, int], n_batches: Mapping[str, int], batch_counts: list[int], settings: Mapping[str, Any]
) -> SCI2CL:
    """The network that these settings describe; an adversary only where its term has a weight."""
    weights = Weights(**{name: settings[f"{name}_weight"] for name in TERMS})
    counts = batch_counts if weights.batch and len(batch_counts) > 1 else None
    return SCI2CL(
        n_features, n_batches, batch_counts=counts, weights=weights, **{name: settings[name] for name in SAME}
    )


def start(network: SCI2CL, prepared: Mapping[str, tuple[Input, Prepared]], how: str, seed: int) -> None:
    """Decoders begin at the mean share of each feature, encoders as PCA and LSI."""
    for m, (own, part) in prepared.items():
        total = np.bincount(part.counts.indices, weights=part.counts.data, minlength=part.counts.shape[1]) + 0.5
        network.counts[m].start_at(torch.from_numpy((total / total.sum()).astype(np.float32)))
        if how == "linear":
            components = own.reduction(part.x, network.n_code, seed)
            network.encoders[m].start_at(*(torch.from_numpy(a.astype(np.float32)) for a in components))


def run(
    network: SCI2CL, prepared: Mapping[str, tuple[Input, Prepared]], paired: Paired, label: np.ndarray | None,
    settings: Any, *, progress: str | Callable[[str], Any], checkpoint: str | None,
) -> pd.DataFrame:  # fmt: skip
    """Pre-train without the contrasts between modalities, then with all terms; history."""
    rows, held = _split(paired, settings)
    size = min(settings.batch_size, len(rows))
    steps = planned_steps(settings, len(rows), size, default_steps)
    before = round(settings.pretrain_share * steps)
    everything, parts = network.weights, []
    for number, (name, n_steps) in enumerate((("pre-training", before), ("contrast", steps - before))):
        if not n_steps:
            continue
        network.weights = everything if name == "contrast" else replace(everything, moc=0.0, mom=0.0)
        seed = settings.seed + number
        loader = _loader(prepared, paired, label, rows, size, seed, shuffle=True)
        held_out = None
        if (paired.rows[held] >= 0).any(axis=0).all():
            held_out = _loader(prepared, paired, label, held, HELD_OUT_AT_ONCE, seed, shuffle=False)
        options = loop_options(settings, max_steps=n_steps, seed=seed, gradient_clip=GRADIENT_CLIP)
        folder = None if checkpoint is None else f"{checkpoint}/{name}"
        history = train(
            network, loader, held_out, options, progress=progress, checkpoint=folder, facts=facts_of(settings)
        )
        parts.append(history.assign(phase=number))
    network.weights = everything
    return one_history(parts)


def default_steps(n_cells: int, batch_size: int) -> int:
    """Steps for a study of this size: 1,000 for 2,500 cells, 2,000 for 10,000, 20,000 at the most."""
    return int(np.clip(20 * np.sqrt(n_cells), 600, 20_000))


def _split(paired: Paired, settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Distinct cells to train with and held-out ones, of cells with both modalities and of others in proportion."""
    fraction = settings.validation_fraction if settings.early_stopping else 0.0
    measured = (paired.rows >= 0) @ np.array([1, 2])
    return split_validation(measured, fraction, settings.seed)


def _loader(
    prepared: Mapping[str, tuple[Input, Prepared]], paired: Paired, label: np.ndarray | None, cells: np.ndarray,
    size: int, seed: int, shuffle: bool,
) -> JointLoader:  # fmt: skip
    """Some of the distinct cells, both modalities side by side; cells that lack one count for the other alone."""
    loaders, pairs = {}, paired.rows[cells]
    for i, m in enumerate(MODALITIES):
        part = prepared[m][1]
        facts = {} if label is None else {"label": paired.of(m, label)}
        loaders[m] = SparseLoader(
            part.x, paired.studies[m].batch, np.sort(pairs[pairs[:, i] >= 0, i]), size, shuffle=shuffle, seed=seed,
            beside={"counts": part.counts.data}, cells=facts,
        )  # fmt: skip
    return JointLoader(loaders, pairs)


def codes_of(network: SCI2CL, modality: str, prepared: Prepared) -> torch.Tensor:
    """(cells, code) codes of one modality."""
    fill, nobody = fill_of(prepared), np.zeros(prepared.x.shape[0], dtype=np.int64)
    with torch.inference_mode():
        blocks = SparseLoader(prepared.x, nobody, batch_size=CELLS_AT_ONCE).epoch()
        return torch.cat([network.encode(modality, block.x, fill) for block in blocks])


def embed_rows(network: SCI2CL, prepared: Mapping[str, Prepared], rows: np.ndarray) -> np.ndarray:
    """(distinct cells, latent) float32 embedding.

    Parameters
    ----------
    prepared
        Cells of each modality, or of one.
    rows
        (distinct cells, 2) position of each cell in RNA and ATAC, -1 where it was not measured.
    """
    codes = {m: codes_of(network, m, part) for m, part in prepared.items()}
    out = []
    with torch.inference_mode():
        for begin in range(0, len(rows), CELLS_AT_ONCE):
            block = torch.from_numpy(rows[begin : begin + CELLS_AT_ONCE])
            there = {m: block[:, i] >= 0 for i, m in enumerate(MODALITIES)}
            z = {
                m: codes[m][block[:, i].clamp(min=0)] if m in codes else torch.zeros(len(block), network.n_code)
                for i, m in enumerate(MODALITIES)
            }
            out.append(network.embed(z, there).numpy())
    return np.concatenate(out)


def settle(network: SCI2CL, prepared: Mapping[str, Prepared], paired: Paired, least: float, seed: int) -> None:
    """Scale the embedding for good: equal variance in each direction, less where halves of a cell do not agree.

    Learned from the cells with both modalities. Each entry of what the encoders see falls to one of two halves by lot,
    and is doubled there. What is left of batches would count as much as any direction; it is then scaled by the share
    of the variance within groups of similar cells that is not the batches'.
    """
    both, rng = paired.rows[paired.both], np.random.default_rng(seed)
    halves: tuple[dict[str, Prepared], dict[str, Prepared]] = ({}, {})
    for m, part in prepared.items():
        first = rng.random(part.x.nnz) < 0.5
        for half, kept in zip(halves, (first, ~first), strict=True):
            data = np.where(kept, 2.0 * part.x.data, 0.0).astype(np.float32)
            half[m] = replace(part, x=sp.csr_matrix((data, part.x.indices, part.x.indptr), shape=part.x.shape))
    z, one, two = (torch.from_numpy(embed_rows(network, p, both)) for p in (prepared, *halves))
    network.whitening.settle(z, (one, two), least)
    if any(len(study.batches) > 1 for study in paired.studies.values()):
        batches = [paired.studies[m].batch[both[:, i]] for i, m in enumerate(MODALITIES)]
        hold_back_batches(network.whitening, z, batches, seed)


def hold_back_batches(whitening: Whitening, z: torch.Tensor, batches: Sequence[np.ndarray], seed: int) -> None:
    """Shrink directions by what batches explain of them within groups of similar cells, which are then sought anew.

    Parameters
    ----------
    whitening
        Settled on the cells ``z``, (cells, latent); it is changed.
    batches
        Codes, (cells,) each, of one factor or more.
    """
    for _ in range(ROUNDS):
        scaled = whitening(z).numpy()
        directions, share = batch_directions(scaled, group_cells(scaled, seed).predict(scaled), batches)
        whitening.hold_back(torch.from_numpy(directions), torch.from_numpy(1.0 - share))

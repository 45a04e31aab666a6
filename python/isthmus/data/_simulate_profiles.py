"""What the simulator's populations express: rates per node, batch shifts, and the links that tie them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from isthmus.data._simulate_cells import Node
from isthmus.data._simulate_settings import Settings

N_PROGRAMMES = 10  # K: transcription-factor activities that vary from cell to cell within a type
STATE_CLIP = 2.5  # |z_ck| at most
STATE_LIMIT = 1.2  # a cell's state moves a log rate by at most this much
TYPE_LIMIT = 2.5  # and its type by at most this much
STATE_SD = 0.5  # of a loading; two programmes move a feature
VARIABLE = 0.3  # share of the features that differ between types; linked features always do
BATCH_SHARE = 0.5  # share of the features that a batch shifts


@dataclass(frozen=True)
class FeatureModel:
    """All that the counts of one modality depend on, apart from the cells; symbols as in ``simulate``."""

    rate: np.ndarray  # rho, (nodes, features) float32; rows sum to one
    shift: np.ndarray  # beta, (batches, features) float32, natural log
    loadings: np.ndarray  # W, (features, programmes) float32
    dispersion: np.ndarray | None  # phi, (features,) float32; None: Poisson
    ceiling: np.ndarray  # (features,) float32: no cell's log modifier of this feature is larger
    envelope: np.ndarray  # (nodes, features) float64: rate * exp(ceiling)


def draw_feature_models(
    settings: Settings,
    nodes: list[Node],
    genes: pd.Index,
    peaks: pd.Index,
    links: pd.DataFrame,
    rng: np.random.Generator,
) -> dict[str, FeatureModel]:
    """Rates of genes and peaks, tied together by the links: a gene follows the accessibility of its peaks.

    Returns
    -------
    dict
        ``{"rna": FeatureModel, "atac": FeatureModel}``, both whatever the modalities asked for, so that the
        RNA of a multiome is the RNA of the same seed alone.
    """
    slope = _slopes(links, genes, peaks)
    is_linked_gene, is_linked_peak = slope.getnnz(axis=0) > 0, slope.getnnz(axis=1) > 0
    own = _walk(nodes, "rna", np.ones(len(genes), dtype=bool), ~is_linked_gene, settings.type_strength, rng)
    access = _walk(nodes, "atac", ~is_linked_peak, ~is_linked_peak, settings.type_strength, rng)
    peak_loadings = _loadings(is_linked_peak, rng)
    gene_loadings = _loadings(np.zeros(len(genes), dtype=bool), rng)
    gene_loadings[is_linked_gene] = 0.0  # a linked gene moves with its peaks and with nothing else
    gene_loadings = gene_loadings + slope.T @ peak_loadings
    own[:, is_linked_gene] *= 0.5
    expression = own + access @ slope  # (nodes, genes)
    gene_level = 2.0 * np.clip(rng.normal(size=len(genes)), -2.0, 3.0)  # heavy tail: lognormal, sd 2
    peak_level = 1.0 * np.clip(rng.normal(size=len(peaks)), -2.5, 2.5) + 0.7 * is_linked_peak
    dispersion = np.clip(rng.lognormal(np.log(0.3), 0.5, len(genes)), 0.05, 2.0).astype(np.float32)
    shifts = [_batch_shift(settings, n, sd, rng) for n, sd in ((len(genes), 0.4), (len(peaks), 0.25))]
    return {
        "rna": _assemble(gene_level, expression, gene_loadings, shifts[0], dispersion),
        "atac": _assemble(peak_level, access, peak_loadings, shifts[1], None),
    }


def _slopes(links: pd.DataFrame, genes: pd.Index, peaks: pd.Index) -> sparse.csr_matrix:
    """Slopes sign * effect as a matrix (peaks, genes); the peaks of one gene share its variance."""
    peak, gene = peaks.get_indexer(links["peak"]), genes.get_indexer(links["gene"])
    per_gene = np.bincount(gene, minlength=len(genes))[gene]
    value = (links["sign"] * links["effect"]).to_numpy() / np.sqrt(per_gene)
    return sparse.csr_matrix((value, (peak, gene)), shape=(len(peaks), len(genes)))


def _walk(
    nodes: list[Node],
    modality: str,
    movable: np.ndarray,
    sometimes: np.ndarray,
    strength: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Log rates of each node against the mean, (nodes, features): a fresh draw, or the parent's plus a step.

    ``sometimes`` marks features of which only a share varies; the others vary in every step. A step that
    concerns one modality alone touches only ``movable`` features: a linked peak would drag its gene along.
    """
    varies = ~sometimes | (rng.random(sometimes.size) < VARIABLE)
    profiles = np.zeros((len(nodes), varies.size))
    for i, node in enumerate(nodes):
        step = strength * rng.normal(size=varies.size) * varies
        if node.parent >= 0:
            profiles[i] = profiles[node.parent]
        if node.changes == "both":
            profiles[i] += step
        elif node.changes == modality:
            profiles[i] += step * movable
    return profiles


def _loadings(linked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Programmes that move each feature, (features, programmes): two for linked and for some others."""
    loadings = np.zeros((linked.size, N_PROGRAMMES), dtype=np.float32)
    rows = np.flatnonzero(linked | (rng.random(linked.size) < VARIABLE))
    for _ in range(2):
        loadings[rows, rng.integers(N_PROGRAMMES, size=rows.size)] += rng.normal(0, STATE_SD, rows.size)
    return loadings


def _batch_shift(settings: Settings, n_features: int, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Log shifts of half of the features, (batches, features); zero with a single batch."""
    touched = rng.random(n_features) < BATCH_SHARE
    noise = np.clip(rng.normal(size=(settings.n_batches, n_features)), -2.5, 2.5)
    strength = settings.batch_strength * sd * (settings.n_batches > 1)
    return strength * noise * touched


def _assemble(
    level: np.ndarray,
    profiles: np.ndarray,
    loadings: np.ndarray,
    shift: np.ndarray,
    dispersion: np.ndarray | None,
) -> FeatureModel:
    """Normalise the rates, and find the envelope under which every cell's rates lie."""
    log_rate = level + TYPE_LIMIT * np.tanh(profiles / TYPE_LIMIT)
    rate = np.exp(log_rate - log_rate.max())
    rate /= rate.sum(axis=1, keepdims=True)
    shift = shift - 0.5 * (loadings**2).sum(axis=1)  # exp(w z) has mean exp(|w|^2 / 2): keep the mean at the rate
    shift = shift - np.log(np.exp(shift) @ rate.mean(axis=0))[:, None]  # a batch changes features, not depth
    reach = STATE_CLIP * np.abs(loadings).sum(axis=1)
    ceiling = shift.max(axis=0) + STATE_LIMIT * np.tanh(reach / STATE_LIMIT) + 1e-5  # room for float32 rounding
    return FeatureModel(
        rate=rate.astype(np.float32),
        shift=shift.astype(np.float32),
        loadings=loadings.astype(np.float32),
        dispersion=dispersion,
        ceiling=ceiling.astype(np.float32),
        envelope=rate * np.exp(ceiling),
    )

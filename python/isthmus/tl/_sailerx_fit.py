"""From paired studies to a trained SAILERX network: peaks by chromosome, the teacher, the weights of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Alignment, Coverage, Lsi, Pca, SparseLoader, Study, split_validation
from isthmus.data.align import warn_of_blank
from isthmus.data.categories import shorten
from isthmus.data.joint import JointLoader
from isthmus.data.pipeline import LEAST_CELLS
from isthmus.data.reductions import LSI_DEPTH
from isthmus.genomics._columns import has_positions
from isthmus.genomics.intervals import Intervals
from isthmus.metrics import nearest
from isthmus.models.sailerx import PAIRED, SAILERX, UNPAIRED, Weights, alignment_weights
from isthmus.tl._inference import CELLS_AT_ONCE
from isthmus.tl._sides import variable_values
from isthmus.tl._training import facts_of, loop_options, planned_steps
from isthmus.train import train
from isthmus.train.devices import randomness

LEAST_PEAKS = 64  # a chromosome with fewer shares its layers with others of that kind
ONE_GROUP = 4  # times as wide are the layers of peaks without positions, which are all in one group
HELD_OUT_AT_ONCE = 256
# Adam's coupled decay pulls against a gradient that grows with the loss: it has to grow with it
DECAY_PER_NAT = 2e-4
PSEUDO_CELLS = 100.0
N_GENES, CLIP = 2000, 10.0  # of the principal components that are computed where no reference is there


@dataclass(frozen=True)
class Peaks:
    """The peaks of a model: those that are open in any cell of the reference, by chromosome.

    Attributes
    ----------
    names
        Of the peaks; those of a chromosome lie together.
    chromosomes, sizes
        Name and number of peaks of each group.
    frequency
        (peaks,) float32 share of the reference cells in which each is open.
    """

    names: pd.Index
    chromosomes: tuple[str, ...]
    sizes: tuple[int, ...]
    frequency: np.ndarray

    @classmethod
    def fit(cls, study: Study, chromosome: np.ndarray | None) -> tuple[Peaks, sp.csr_matrix]:
        """The peaks, and the (cells, peaks) CSR of ones; ``chromosome`` names that of each feature of the study."""
        cells_open = study.x.getnnz(axis=0)
        kept = np.flatnonzero(cells_open)
        groups = np.full(len(kept), "all", dtype=object) if chromosome is None else chromosome[kept].astype(object)
        number = pd.Series(groups).map(pd.Series(groups).value_counts())
        if chromosome is not None:
            groups = np.where(number < LEAST_PEAKS, "other", groups)
        names, code = np.unique(groups.astype(str), return_inverse=True)
        kept = kept[np.argsort(code, kind="stable")]
        frequency = (cells_open[kept] / study.n_cells).astype(np.float32)
        sizes = tuple(int(n) for n in np.bincount(code))
        peaks = cls(study.features[kept], tuple(names), sizes, frequency)
        return peaks, peaks.open(study)[0]

    def open(self, study: Study, min_coverage: float = 0.0) -> tuple[sp.csr_matrix, np.ndarray | None, Coverage]:
        """(cells, peaks) CSR of ones, the (peaks,) frequency of peaks that were not measured, and how many were.

        Raises
        ------
        InputError
            If the study covers too little.
        """
        alignment = Alignment.of(study.features, self.names)
        coverage = Coverage.of(alignment, self.names, self.frequency)
        coverage.demand(min_coverage)
        x = alignment.take(study.x)
        warn_of_blank(x)
        ones = sp.csr_matrix((np.ones(len(x.indices), np.float32), x.indices, x.indptr), shape=x.shape, copy=False)
        fill = None if alignment.found.all() else np.where(alignment.found, 0, self.frequency).astype(np.float32)
        return ones, fill, coverage


def chromosomes_of(adata: AnnData) -> np.ndarray | None:
    """(peaks,) chromosome of each, from columns of ``var`` where there are any, else from names; None = from neither.

    Raises
    ------
    InputError
        If there are columns, but not a position for every peak.
    """
    if has_positions(adata.var):
        return np.asarray(Intervals.from_frame(adata.var, names=adata.var_names).chrom.astype(str))
    try:
        return np.asarray(Intervals.from_names(adata.var_names.astype(str)).chrom.astype(str))
    except InputError:
        return None


@dataclass(frozen=True)
class Cells:
    """All cells with ATAC, ready for the network.

    Attributes
    ----------
    x
        (cells, peaks) float32 CSR of ones.
    batch
        (cells,) int64 codes.
    reference
        (cells, components) float32 embedding of the cells with RNA; 0 for the others.
    paired
        (cells,) bool, has RNA.
    rna_depth
        (cells,) counts of RNA; 0 without.
    """

    x: sp.csr_matrix
    batch: np.ndarray
    reference: np.ndarray
    paired: np.ndarray
    rna_depth: np.ndarray

    @property
    def open_peaks(self) -> np.ndarray:
        """(cells,) number of open peaks."""
        return np.diff(self.x.indptr).astype(np.float64)


def principal_components(study: Study, n_components: int, seed: int) -> np.ndarray:
    """(cells, components) float32: 10,000 counts a cell, log1p, 2,000 variable genes, scaled and cut at 10, PCA."""
    seen = study.x.getnnz(axis=0) >= min(LEAST_CELLS, study.n_cells)
    logged, chosen = variable_values(study, N_GENES, seen)
    if len(chosen) == 0:
        raise InputError("genes with counts in at least 3 cells", "none", "check the RNA, or give reference=")
    return Pca.fit(logged[:, chosen], n_components, CLIP, seed).apply(logged[:, chosen])


def given_reference(reference: Any, rna: AnnData, study: Study, paired: np.ndarray) -> np.ndarray:
    """(RNA cells, components) float32 from a word, a table or an array; ``paired`` (RNA cells,) have ATAC too.

    Raises
    ------
    InputError
        If there is no such embedding, it has another number of rows, or a value of a paired cell is not finite.
    """
    if isinstance(reference, str):
        if reference not in rna.obsm:
            raise InputError(
                f"an embedding '{reference}' in obsm of the RNA",
                shorten(list(rna.obsm)) or "none",
                "name one of them, or give reference='X_pca' to have principal components computed",
            )
        reference = rna.obsm[reference]
    if isinstance(reference, pd.DataFrame):
        absent = study.cells[paired & ~study.cells.isin(reference.index)]
        if len(absent):
            raise InputError(
                "a row of the reference for every cell with RNA and ATAC",
                f"none for {len(absent)}, such as '{absent[0]}'",
                "name the rows by cell",
            )
        reference = reference[~reference.index.duplicated()].reindex(study.cells)
    values = np.asarray(reference.toarray() if sp.issparse(reference) else reference)
    numbers = np.issubdtype(values.dtype, np.number)
    if values.ndim != 2 or not numbers or len(values) not in (study.n_cells, int(paired.sum())):
        raise InputError(
            f"a reference of {study.n_cells} cells of the RNA (or the {int(paired.sum())} with ATAC too) x components",
            f"an array of {values.dtype} of the shape {values.shape}",
            "give one row of numbers for each cell, in the order of the RNA",
        )
    out = np.zeros((study.n_cells, values.shape[1]), dtype=np.float32)
    out[slice(None) if len(values) == study.n_cells else paired] = values
    wrong = paired & ~np.isfinite(out).all(axis=1)
    if wrong.any():
        raise InputError(
            "finite numbers in the reference",
            f"{int(wrong.sum())} cells without, such as '{study.cells[wrong][0]}'",
            "leave these cells out of the RNA, or give a reference that covers them",
        )
    return out


def teacher(reference: np.ndarray, paired: np.ndarray, group: np.ndarray, n_neighbors: int, seed: int) -> np.ndarray:
    """The (cells, components) reference without what cosines should not see.

    The mean of each group of paired cells is at 0, as cosines need an origin, and every cell is averaged with its
    nearest cells of the group: what is left of a cell is what it has in common with its like.
    """
    out = np.zeros_like(reference, dtype=np.float32)
    for code in np.unique(group[paired]):
        rows = np.flatnonzero(paired & (group == code))
        values = reference[rows] - reference[rows].mean(axis=0, dtype=np.float64)
        if n_neighbors and len(rows) > 1:
            near = nearest(values, n_neighbors, seed=seed).indices
            values = (values + values[near].sum(axis=1)) / (1 + near.shape[1])
        out[rows] = values
    return out


def make_network(peaks: Peaks, n_batches: int, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> SAILERX:
    """The network that these settings describe."""
    widths = settings["n_hidden"] * (ONE_GROUP if len(peaks.sizes) == 1 else 1)
    named = ("kl", "invariance", "structure")
    warm = settings["warm_up_structure"]
    weights = Weights(
        **{name: settings[f"{name}_weight"] for name in named}, warm_up=settings["warm_up"], cycles=settings["cycles"],
        warm_up_structure=None if warm is None else warm * len(peaks.names),
        warm_up_positive=settings["warm_up_positive"],
    )  # fmt: skip
    typical = float(facts["open_peaks"]) if settings["scaling"] == "depth" else None
    depth = (float(facts["depth_mean"]), float(facts["depth_sd"]))
    return SAILERX(
        peaks.sizes, n_batches, depth, typical, settings["n_latent"], widths, settings["dropout"],
        bool(facts["within_batches"]), settings["conditioning"] == "direct", settings["peaks_share"], weights,
    )  # fmt: skip


def run(
    cells: Cells, peaks: Peaks, n_batches: int, facts: Mapping[str, Any], settings: Any, *,
    progress: str | Callable[[str], Any], checkpoint: str | None,
) -> tuple[SAILERX, pd.DataFrame]:  # fmt: skip
    """Make the network and train it; the network and its history."""
    with randomness(settings.seed):
        network = make_network(peaks, n_batches, facts, vars(settings))
    if settings.start != "zero":
        network.decoder.peaks.start_at(torch.from_numpy(peaks.frequency))
    if settings.start == "lsi":
        begin_linear(network, cells, peaks, n_batches, settings.seed)
    loader, held_out = _loaders(cells, settings)
    most = max(part.n_cells for part in loader.loaders.values())
    steps = planned_steps(settings, most, loader.batch_size, default_steps)
    decay = settings.weight_decay
    if decay is None:
        decay = DECAY_PER_NAT * nats_of_frequencies(peaks.frequency)
    options = loop_options(settings, max_steps=steps, seed=settings.seed, weight_decay=decay)
    facts = facts_of(settings)
    return network, train(network, loader, held_out, options, progress=progress, checkpoint=checkpoint, facts=facts)


def begin_linear(network: SAILERX, cells: Cells, peaks: Peaks, n_batches: int, seed: int) -> None:
    """Let the network begin as latent semantic indexing: the encoder gives it, the decoder explains peaks by it.

    An open peak adds its loading, weighted as in the indexing of a cell of the usual depth, and divided by the
    cell's open peaks. What tells depth and batch is taken out of the components. By how much a component moves a
    peak's logit is the covariance of the two over the peak's frequency; :data:`PSEUDO_CELLS` hold back what rests on
    few cells.
    """
    encoder, decoder, x, frequency = network.encoder, network.decoder, cells.x, peaks.frequency
    n_components = min(encoder.second.weight.shape[2], encoder.head.mean.out_features, min(x.shape) - 1)
    lsi = Lsi.fit(x, n_components, seed)
    n_components = lsi.n_components  # fewer where the cells differ in fewer ways
    usual = np.log1p(LSI_DEPTH * lsi.idf / (frequency @ lsi.idf))
    loadings = (lsi.vectors / lsi.singular) * usual[:, None]
    scores = (x @ loadings) / cells.open_peaks[:, None].clip(1)
    spread = scores.std(axis=0)
    scores = (scores - scores.mean(axis=0)) / spread
    depth = np.log(cells.open_peaks.clip(1))
    member = np.eye(n_batches)[cells.batch]
    told = np.column_stack([member - member.mean(axis=0), (depth - depth.mean()) / (depth.std() or 1.0)])
    directions, strength, _ = np.linalg.svd(scores.T @ told / len(scores), full_matrices=False)
    directions = directions[:, strength > 1e-6][:, : n_components // 4]
    free = np.eye(n_components) - directions @ directions.T
    scores, loadings = scores @ free, (loadings / spread) @ free
    expected = x.shape[0] * frequency + PSEUDO_CELLS
    slope = (x.T @ scores) / expected[:, None]
    direct = [np.full(len(frequency), depth.std())]
    for code in range(n_batches if n_batches > 1 else 0):
        share = cells.open_peaks[cells.batch == code].sum() / cells.open_peaks.sum()
        seen = np.asarray(x[cells.batch == code].sum(axis=0)).ravel()
        direct.append(np.log((seen + PSEUDO_CELLS) / (share * x.shape[0] * frequency + PSEUDO_CELLS)))
    encoder.start_at(torch.from_numpy(loadings.astype(np.float32)))
    decoder.start_at(*(torch.from_numpy(part.astype(np.float32)) for part in (slope, np.column_stack(direct))))


def nats_of_frequencies(frequency: np.ndarray) -> float:
    """Nats that a cell costs which is coded by the (peaks,) share of cells in which each peak is open."""
    p = np.clip(frequency.astype(np.float64), 1e-5, 1 - 1e-5)
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).sum())


def default_steps(n_cells: int, batch_size: int) -> int:
    """Steps for a study of this size: 800, or 8 epochs where that is more, but 20,000 at the most."""
    return int(np.clip(8 * n_cells / batch_size, 800, 20_000))


def _loaders(cells: Cells, settings: Any) -> tuple[JointLoader, JointLoader | None]:
    """Paired cells and those without RNA, as many of each in a step, and every one of both in its turn."""
    weight = np.zeros(len(cells.paired), dtype=np.float32)
    rna, atac = (torch.from_numpy(depth[cells.paired]) for depth in (cells.rna_depth, cells.open_peaks))
    weight[cells.paired] = alignment_weights(rna, atac, settings.weight_clip).numpy()
    facts = {"representation": cells.reference, "weight": weight}
    fraction = settings.validation_fraction if settings.early_stopping else 0.0
    parts = {PAIRED: np.flatnonzero(cells.paired), UNPAIRED: np.flatnonzero(~cells.paired)}
    split = {k: [r[s] for s in split_validation(cells.batch[r], fraction, settings.seed)] for k, r in parts.items()}
    size = min(settings.batch_size, len(split[PAIRED][0]))
    train_loaders, held_loaders = {}, {}
    for i, (name, (kept, held)) in enumerate(split.items()):
        if len(kept):
            train_loaders[name] = SparseLoader(
                cells.x, cells.batch, kept, size, shuffle=True, seed=settings.seed + i, cells=facts
            )
        if len(held):
            held_loaders[name] = SparseLoader(cells.x, cells.batch, held, HELD_OUT_AT_ONCE, cells=facts)
    return JointLoader(train_loaders), JointLoader(held_loaders) if PAIRED in held_loaders else None


def encode_all(network: SAILERX, x: sp.csr_matrix, fill: np.ndarray | None = None) -> np.ndarray:
    """Posterior means, (cells, latent) float32."""
    missing = None if fill is None else torch.from_numpy(fill)
    nobody = np.zeros(x.shape[0], dtype=np.int64)
    with torch.inference_mode():
        parts = [
            network.encode(part.x, missing).mean.numpy()
            for part in SparseLoader(x, nobody, batch_size=CELLS_AT_ONCE).epoch()
        ]
    return np.concatenate(parts)

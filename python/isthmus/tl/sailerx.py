"""The verb for SAILERX: paired RNA and ATAC in, embedding and fitted model out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Alignment, Categories, Coverage, Study, from_anndata
from isthmus.data.door import check_choice, check_enough_cells
from isthmus.data.modalities import by_modality, objects_of
from isthmus.data.study import layer_or_usual
from isthmus.tl._paired import Paired, paired_studies, write_paired
from isthmus.tl._sailerx import Sailerx
from isthmus.tl._sailerx_fit import (
    Cells,
    Peaks,
    chromosomes_of,
    encode_all,
    given_reference,
    principal_components,
    run,
    teacher,
)
from isthmus.tl._settings import Settings
from isthmus.tl.fitted import new_manifest
from isthmus.train.progress import make_reporter, say

USUAL = "X_pca"  # computed where the data do not have it
PRESETS = {
    "default": {},
    # the authors' code: weights per cell, after the sums of 200 cells were divided by 20 x 200
    "reference": {
        "kl_weight": 0.05, "invariance_weight": 2.5e-4, "structure_weight": 6e4, "structure_pairs": "all",
        "n_neighbors": 0, "warm_up": 10 / 410, "warm_up_structure": 6000.0, "warm_up_positive": 20.0,
        "weight_clip": 0.0, "cycles": 4, "scaling": "none", "conditioning": "hidden", "start": "zero",
        "weight_decay": 0.0, "dropout": 0.0, "peaks_share": 1.0, "n_latent": 50, "n_hidden": 64, "batch_size": 200,
        "learning_rate": 1e-4, "max_epochs": 410, "max_steps": None, "early_stopping": False, "precision": "32-true",
    },
}  # fmt: skip


@dataclass(frozen=True)
class SailerxSettings(Settings):
    """All arguments of :func:`sailerx` that decide the numbers."""

    WORDS: ClassVar = {
        **Settings.WORDS, "scaling": ("depth", "none"), "start": ("lsi", "mean", "zero"),
        "conditioning": ("direct", "hidden"), "structure_pairs": ("auto", "all", "within"),
    }  # fmt: skip
    BOUNDS: ClassVar = {
        **Settings.BOUNDS, "n_components": (1, math.inf), "n_neighbors": (0, math.inf),
        "dropout": (0.0, 0.95), "peaks_share": (0.001, 1.0), "warm_up": (0.0, 0.95), "weight_clip": (0.0, 0.49),
        "weight_decay": (0.0, math.inf), "cycles": (1, 1000), "warm_up_structure": (0.0, math.inf),
        "warm_up_positive": (1.0, math.inf),
        **{f"{name}_weight": (0.0, math.inf) for name in ("kl", "invariance", "structure")},
    }  # fmt: skip

    rna: str
    atac: str
    reference: str
    batch_key: str | None
    layer: str | None
    n_components: int
    dropout: float
    peaks_share: float
    kl_weight: float
    invariance_weight: float
    structure_weight: float
    structure_pairs: str
    n_neighbors: int
    weight_clip: float
    warm_up: float
    warm_up_structure: float | None
    warm_up_positive: float
    cycles: int
    scaling: str
    conditioning: str
    start: str
    weight_decay: float | None


def sailerx(
    data: Mapping[str, AnnData] | Any, *, rna: str = "rna", atac: str = "atac", reference: Any = USUAL,
    batch_key: str | Mapping[str, str | None] | None = None, unpaired: AnnData | None = None,
    layer: str | Mapping[str, str | None] | None = None, n_latent: int = 50, n_hidden: int = 64,
    n_components: int = 50, dropout: float = 0.5, peaks_share: float = 0.25, kl_weight: float = 1.0,
    invariance_weight: float = 0.01, structure_weight: float = 5e4, structure_pairs: str = "auto",
    n_neighbors: int = 15, weight_clip: float = 0.01, warm_up: float = 0.05, warm_up_structure: float | None = None,
    warm_up_positive: float = 1.0, cycles: int = 4, scaling: str = "depth", conditioning: str = "direct",
    start: str = "lsi", preset: str = "default", max_epochs: int | None = None, max_steps: int | None = None,
    batch_size: int = 128, learning_rate: float = 3e-4, weight_decay: float | None = None, schedule: str = "cosine",
    validation_fraction: float = 0.1, early_stopping: bool = False, accelerator: str = "auto",
    devices: int | str = 1, precision: str = "auto", compile: bool | str = False, seed: int = 0,
    key_added: str = "sailerx", progress: str | Callable[[str], Any] = "auto", checkpoint: str | None = None,
) -> Sailerx:  # fmt: skip
    """Embed cells by their accessibility, with RNA as the teacher of how they lie to each other (Cao et al. 2022).

    Parameters
    ----------
    data
        A MuData, or a mapping from name to AnnData, with raw counts of RNA and ATAC; cells of the same name are the
        same cell. Each gets ``obsm["X_<key_added>"]`` and ``uns["<key_added>"]``, a MuData too; nothing else of them
        changes. Cells without RNA are embedded all the same (the hybrid part); cells without ATAC are not, and get
        NaN.
    rna, atac
        What the two are called in ``data``.
    reference
        The teacher: an embedding in ``obsm`` of the RNA, or an array or data frame of RNA cells (or paired cells) by
        components. Only the cosines between cells are used. ``"X_pca"`` is computed where it is not there: 10,000
        counts a cell, log1p, 2,000 variable genes, scaled, principal components.
    batch_key
        Column of ``obs`` with the batch of each cell, for both or by name; None = one batch. Batches enter the
        decoder only.
    unpaired
        Further cells with ATAC only and the same peaks; get the embedding too. Without ``batch_key`` they are taken
        as a batch of their own.
    layer
        Layer with the counts, for both or by name; None = ``X``.
    n_latent, n_hidden
        Latent dimensions; units of each chromosome's layers (four times as many where peaks have no positions).
    n_components
        Principal components, where they are computed.
    dropout
        Share of a cell's open peaks that the encoder does not see in a training step.
    peaks_share
        Share of the peaks, others in each step, that the likelihood looks at: a step takes less time, and its
        expectation is the same.
    kl_weight, invariance_weight, structure_weight
        Of the divergence from the prior, of that between cells (a bound on what the embedding knows of depth and
        batch), and of the likeness to the reference, beside one cell's reconstruction in nats.
    structure_pairs
        Which cells are compared in the reference: ``"all"``, those ``"within"`` a batch, or ``"auto"``: within, where
        there are batches and the reference is ``"X_pca"``, which has batch effects.
    n_neighbors
        Nearest cells that each cell of the reference is averaged with; 0 = none, as in the paper.
    weight_clip
        Quantile at which the ratios of RNA to ATAC depth are cut before they become the cells' weights.
    warm_up
        Share of the steps without divergences, with equal weights of cells.
    warm_up_structure, warm_up_positive
        There, weight of the likeness for each peak (None = ``structure_weight`` in all), and of open over closed peaks.
    cycles
        How often the divergences' weight rises from 0.
    scaling
        ``"depth"``: the encoder's sums over open peaks are brought to the same depth. ``"none"``: as in the paper.
    conditioning
        ``"direct"``: depth and batch also move the logit of each peak by themselves. ``"hidden"``: they enter the
        decoder's first layer only, as in the paper.
    start
        ``"lsi"``: the network begins as latent semantic indexing, which it then bends to the reference. ``"mean"``: the
        decoder begins at each peak's frequency. ``"zero"``: at one half, as in the paper.
    preset
        ``"reference"``: the authors' weights and schedule, which replace the arguments they concern.
    max_epochs, max_steps
        Passes over the cells and optimiser steps at the most; None = by the number of cells.
    batch_size
        Paired cells a step, and as many of those without RNA.
    learning_rate, weight_decay, schedule
        Of Adam, its decay coupled (None = 2e-4 times the nats that a cell costs at the peaks' frequencies);
        ``"cosine"`` (down to zero), ``"constant"`` or ``"plateau"`` (cut to a tenth where held-out cells get no
        better).
    validation_fraction, early_stopping
        Share of cells held out; stop when their loss stays above its best for 10 looks, and restore the best weights.
    accelerator, devices, precision, compile
        As in :class:`isthmus.train.Options`.
    seed
        Of all that is random.
    key_added
        Stem of the keys written.
    progress
        ``"auto"``, ``"rich"``, ``"plain"``, ``"silent"`` or a callable that takes lines.
    checkpoint
        Folder for the state of the run; an interrupted run goes on from it.

    Returns
    -------
    Sailerx
        The fitted model.

    Warns
    -----
    UserWarning
        If cells lack RNA or ATAC, or peaks have no positions.

    Raises
    ------
    InputError
        If the data or an argument cannot be used; nothing was written then.
    TrainingError
        If a loss stops being finite.

    Examples
    --------
    >>> import isthmus as im
    >>> data = im.data.simulate(n_cells=300, n_genes=200, n_peaks=600)
    >>> model = im.tl.sailerx(data, max_steps=50, progress="silent")
    >>> data["atac"].obsm["X_sailerx"].shape
    (300, 50)
    """
    check_choice(preset, tuple(PRESETS), "preset")
    make_reporter(progress)  # an unknown word is refused before the work, not after
    names = [*objects_of(data)]
    of_atac = {n: by_modality(given, names, n).get(atac) for n, given in (("batch_key", batch_key), ("layer", layer))}
    told = reference if isinstance(reference, str) else "given"
    settings = SailerxSettings.take({**locals(), **of_atac, "reference": told}, PRESETS[preset])
    paired = paired_studies(data, rna=rna, atac=atac, batch_key=batch_key, layer=layer)
    check_enough_cells(int(paired.both.sum()), 4)
    objects = objects_of(data)
    study, further = _with_unpaired(paired.studies["atac"], unpaired, settings)
    given = _reference(reference, objects[rna], paired, settings, progress)
    chromosome = chromosomes_of(objects[atac])
    if chromosome is None:
        _warn_no_positions(paired.studies["atac"].features)
    model = fit(study, paired, given, chromosome, settings, progress=progress, checkpoint=checkpoint)
    z = np.full((len(paired.cells), settings.n_latent), np.nan, dtype=np.float32)
    there = paired.has("atac")
    z[there] = model.latent[paired.rows[there, 1]]
    write_paired(model, data, paired, z, key_added)
    if further:
        model.write_embedding(unpaired, model.latent[-further:].copy(), key_added)
    return model


def fit(
    study: Study, paired: Paired, given: np.ndarray, chromosome: np.ndarray | None, settings: SailerxSettings, *,
    progress: str | Callable[[str], Any], checkpoint: str | None,
) -> Sailerx:  # fmt: skip
    """Prepare the cells, train, and store what inference needs; ``study`` is all cells with ATAC."""
    peaks, x = Peaks.fit(study, chromosome)
    both, n_batches = paired.rows[paired.both], len(study.batches)
    has_rna, rna_depth = np.zeros(study.n_cells, dtype=bool), np.zeros(study.n_cells)
    has_rna[both[:, 1]] = True
    rna_depth[both[:, 1]] = np.asarray(paired.studies["rna"].x.sum(axis=1)).ravel()[both[:, 0]]
    reference = np.zeros((study.n_cells, given.shape[1]), dtype=np.float32)
    reference[both[:, 1]] = given[both[:, 0]]
    pairs = settings.structure_pairs
    within = n_batches > 1 and (pairs == "within" or (pairs == "auto" and settings.reference == USUAL))
    group = study.batch if within else np.zeros_like(study.batch)
    told = teacher(reference, has_rna, group, settings.n_neighbors, settings.seed)
    cells = Cells(x, study.batch, told, has_rna, rna_depth)
    depth = np.log(np.maximum(cells.open_peaks, 1.0))
    facts = {
        "n_cells": study.n_cells, "n_paired": int(has_rna.sum()), "n_batches": n_batches,
        "n_features": len(peaks.names), "open_peaks": float(cells.open_peaks.mean()),
        "depth_mean": float(depth.mean()), "depth_sd": float(depth.std()) or 1.0, "within_batches": within,
    }  # fmt: skip
    network, history = run(cells, peaks, n_batches, facts, settings, progress=progress, checkpoint=checkpoint)
    latent = encode_all(network, x)
    return Sailerx(
        manifest=new_manifest("sailerx", asdict(settings), facts, latent), network=network, peaks=peaks,
        batches=study.batches, paired=has_rna, cells=pd.Index(study.cells), latent=latent, history=history,
    )  # fmt: skip


def _reference(
    reference: Any, rna: AnnData, paired: Paired, settings: SailerxSettings, progress: str | Callable[[str], Any]
) -> np.ndarray:
    """(RNA cells, components) the teacher, computed where none is there."""
    study, both = paired.studies["rna"], paired.rows[paired.both, 0]
    has_atac = np.zeros(study.n_cells, dtype=bool)
    has_atac[both] = True
    if not (isinstance(reference, str) and reference == USUAL and USUAL not in rna.obsm):
        return given_reference(reference, rna, study, has_atac)
    say(progress, f"the RNA has no '{USUAL}': {settings.n_components} principal components are computed")
    return principal_components(study, settings.n_components, settings.seed)


def _with_unpaired(study: Study, unpaired: AnnData | None, settings: SailerxSettings) -> tuple[Study, int]:
    """The cells with ATAC and further ones behind them; how many these are."""
    if unpaired is None:
        return study, 0
    key = settings.batch_key
    more = from_anndata(unpaired, key, layer=layer_or_usual(unpaired, None, settings.layer))
    twice = more.cells[more.cells.isin(study.cells)]
    if len(twice):
        raise InputError(
            "unpaired cells that are not in the data too",
            f"{len(twice)} of the same name, such as '{twice[0]}'",
            "leave them out of unpaired, or rename them",
        )
    alignment = Alignment.of(more.features, study.features)
    Coverage.of(alignment, study.features, np.ones(study.n_features)).demand(1.0)
    if key is None:
        study, more = (replace(s, batches=Categories((n,))) for s, n in ((study, "paired"), (more, "unpaired")))
    batches = Categories(tuple(dict.fromkeys([*study.batches.names, *more.batches.names])))
    codes = [batches.encode(list(s.batches.names))[s.batch] for s in (study, more)]
    joined = Study(
        sp.vstack([study.x, alignment.take(more.x)], format="csr"), study.cells.append(more.cells), study.features,
        np.concatenate(codes), batches,
    )  # fmt: skip
    return joined, more.n_cells


def _warn_no_positions(features: pd.Index) -> None:
    warnings.warn(
        f"Peaks have no positions, neither in columns of var nor in names such as 'chr1:100-200' (the first is "
        f"'{features[0]}'): they are all taken as one chromosome.",
        stacklevel=3,
    )

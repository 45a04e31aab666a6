"""The verb for scI2CL: paired RNA and ATAC in, one embedding of both and fitted model out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data.door import check_choice, check_enough_cells
from isthmus.data.modalities import by_modality, objects_of
from isthmus.nn.counts import LIKELIHOODS
from isthmus.tl._cell_types import known_labels, label_categories, label_codes
from isthmus.tl._paired import MODALITIES, Paired, paired_studies
from isthmus.tl._sci2cl import Sci2cl, measured_of
from isthmus.tl._sci2cl_fit import embed_rows, make_network, prepare, run, settle, start
from isthmus.tl._settings import Settings
from isthmus.tl.fitted import new_manifest
from isthmus.train.devices import randomness
from isthmus.train.progress import make_reporter

PRESETS = {
    "default": {},
    # the authors' code, as far as settings can say it: sizes of PBMC-10k, all weights 1 (per feature, of 10,000)
    "reference": {
        "n_genes": 10_000, "n_peaks": 10_000, "n_latent": 1024, "n_hidden": 1000, "dropout": 0.0, "n_views": 8,
        "mask": 0.4, "n_heads": 4, "temperature": 1.0, "learn_temperature": False, "n_negatives": 3,
        "reconstruction_weight": 1e-4, "mse_weight": 1.0, "moc_weight": 1.0, "mom_weight": 1.0, "batch_weight": 0.0,
        "pretrain_share": 0.375, "max_epochs": 800, "max_steps": None, "batch_size": 128, "learning_rate": 1e-5,
        "schedule": "constant", "start": "random", "whiten": False, "likelihood": "zinb", "precision": "32-true",
        "early_stopping": False,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Sci2clSettings(Settings):
    """All arguments of :func:`sci2cl` that decide the numbers."""

    WORDS: ClassVar = {
        **Settings.WORDS, "likelihood": LIKELIHOODS, "start": ("linear", "random"),
        **dict.fromkeys(("whiten", "learn_temperature"), (True, False)),
    }  # fmt: skip
    BOUNDS: ClassVar = {
        **Settings.BOUNDS, **dict.fromkeys(("n_genes", "n_peaks", "n_views", "n_heads", "n_anchors"), (1, math.inf)),
        "n_latent": (2, math.inf), "n_negatives": (1, math.inf), "dropout": (0.0, 0.95), "mask": (0.0, 0.95),
        "temperature": (0.01, 1.0), "pretrain_share": (0.0, 1.0), "least_agreement": (0.0, 1.0),
        **{f"{name}_weight": (0.0, math.inf) for name in ("reconstruction", "mse", "moc", "mom", "batch")},
    }  # fmt: skip

    rna: str
    atac: str
    batch_key: dict[str, str] | None
    labels_key: str | None
    layer: dict[str, str] | None
    n_genes: int
    n_peaks: int
    likelihood: str
    dropout: float
    n_views: int
    mask: float
    n_heads: int
    n_anchors: int
    temperature: float
    learn_temperature: bool
    n_negatives: int
    reconstruction_weight: float
    mse_weight: float
    moc_weight: float
    mom_weight: float
    batch_weight: float
    pretrain_share: float
    start: str
    whiten: bool
    least_agreement: float

    def check(self) -> None:
        """Also that the heads share out the dimensions of a code."""
        super().check()
        if self.n_latent % (2 * self.n_heads):
            raise InputError(
                "n_latent to be a multiple of twice n_heads",
                f"n_latent={self.n_latent} and n_heads={self.n_heads}",
                "change one of them, for example n_heads=1",
            )


def sci2cl(
    data: Mapping[str, AnnData] | Any, *, rna: str = "rna", atac: str = "atac",
    batch_key: str | Mapping[str, str | None] | None = None, labels_key: str | None = None,
    layer: str | Mapping[str, str | None] | None = None, n_genes: int = 4000, n_peaks: int = 20_000,
    n_latent: int = 64, n_hidden: int = 128, likelihood: str = "zinb", dropout: float = 0.1, n_views: int = 4,
    mask: float = 0.4, n_heads: int = 4, n_anchors: int = 64, temperature: float = 0.1,
    learn_temperature: bool = True, n_negatives: int = 1, reconstruction_weight: float = 1.0,
    mse_weight: float = 1.0, moc_weight: float = 0.5, mom_weight: float = 0.5, batch_weight: float = 0.0,
    pretrain_share: float = 0.5, start: str = "linear", whiten: bool = True,
    least_agreement: float = 0.4, preset: str = "default",
    max_epochs: int | None = None, max_steps: int | None = None, batch_size: int = 128, learning_rate: float = 2e-3,
    schedule: str = "cosine", validation_fraction: float = 0.1, early_stopping: bool = False,
    accelerator: str = "auto", devices: int | str = 1, precision: str = "auto", compile: bool | str = False,
    seed: int = 0, key_added: str = "sci2cl", progress: str | Callable[[str], Any] = "auto",
    checkpoint: str | None = None,
) -> Sci2cl:  # fmt: skip
    """Fuse RNA and chromatin of the same cells by contrast within and between the two (Liu et al. 2025).

    No label is looked at unless ``labels_key`` names some.

    Parameters
    ----------
    data
        A MuData, or a mapping from name to AnnData, with raw counts of RNA and ATAC; cells of the same name are the
        same cell. Each gets ``obsm["X_<key_added>"]``, ``uns["<key_added>"]`` and ``obs["<key_added>_measured"]``
        (``"both"``, ``"rna"`` or ``"atac"``), a MuData the first two; nothing else of them changes. Cells with one
        modality take part, and are embedded by what the model expects of the other.
    rna, atac
        What the two are called in ``data``.
    batch_key
        Column of ``obs`` with the batch of each cell, for both or by name; None = one batch. Batches enter the
        decoders, the adversary if ``batch_weight`` is above 0, and the scale of the embedding (``whiten``).
    labels_key
        Column of ``obs`` with cell types, any share of which may be missing. The matching then takes false partners
        of *another type* only, as the authors' code does, and the embedding is **no longer unsupervised**: it must
        not be scored by these labels. None = no labels.
    layer
        Layer with the counts, for both or by name; None = ``X``.
    n_genes, n_peaks
        Variable genes, and peaks open in most cells, that the model sees.
    n_latent, n_hidden
        Dimensions of the embedding, of which each modality's code has half as many; width of hidden layers.
    likelihood
        ``"zinb"`` or ``"nb"``, of the counts of both modalities.
    dropout
        Share of hidden units left out in training.
    n_views, mask
        Views of a cell, and the share of its features that each misses.
    n_heads, n_anchors
        Of the attention; the anchors stand for the cells of the other modality.
    temperature, learn_temperature
        Of the contrast at the start, and whether it is learned.
    n_negatives
        False pairs for each true one, in each direction, of the matching.
    reconstruction_weight, mse_weight, moc_weight, mom_weight
        Weights of the counts' likelihood (nats per cell), of the views, of the contrast and of the matching.
    batch_weight
        Weight of an adversary that tells batches from the embedding, as in scDREAMER; 0 = there is none.
    pretrain_share
        Share of the steps before the contrasts between modalities take part.
    start
        ``"linear"``: encoders begin as principal components (genes) and latent semantic indexing (peaks), components of
        equal variance. ``"random"``: as in the paper.
    whiten
        Whether the embedding is scaled, by a map that is stored: to equal variance of its directions over the
        reference, less of those that two halves of a cell's counts do not agree on, and less of those in which batches
        differ within groups of similar cells, by the share of the variance that they explain there.
    least_agreement
        How much less at most: a direction has the standard deviation rho, the correlation of the two halves along it,
        but no less than this. 1 gives all directions the same, and keeps the subtlest differences; 0 holds back noise.
    preset
        ``"reference"``: the authors' sizes, weights and rates, which replace the arguments they concern.
    max_epochs, max_steps
        Passes over the cells and optimiser steps at the most; None = by the number of cells.
    batch_size, learning_rate, schedule
        Cells a step; Adam's rate; ``"cosine"`` (down to zero in each of the two parts), ``"constant"`` or ``"plateau"``
        (cut to a tenth where held-out cells get no better).
    validation_fraction, early_stopping
        Share of cells held out; stop a part when their loss stays above its best for 10 looks, and restore the best
        weights.
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
    Sci2cl
        The fitted model.

    Warns
    -----
    UserWarning
        If cells lack one of the two.

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
    >>> model = im.tl.sci2cl(data, max_steps=60, progress="silent")
    >>> data["rna"].obsm["X_sci2cl"].shape
    (300, 64)
    """
    check_choice(preset, tuple(PRESETS), "preset")
    names = {"rna": rna, "atac": atac}
    of_each = {}
    for what, given in (("batch_key", batch_key), ("layer", layer)):
        words = by_modality(given, [*objects_of(data)], what)
        of_each[what] = {m: words[name] for m, name in names.items() if words.get(name) is not None} or None
    settings = Sci2clSettings.take({**locals(), **of_each}, PRESETS[preset])
    make_reporter(progress)  # an unknown word is refused before the work, not after
    paired = paired_studies(data, rna=rna, atac=atac, batch_key=batch_key, layer=layer)
    check_enough_cells(int(paired.both.sum()), 4)
    _check_adversary(paired, settings)
    label = None if labels_key is None else joint_labels(objects_of(data), paired, labels_key)
    model = fit(paired, label, settings, progress=progress, checkpoint=checkpoint)
    model.write(data, paired, model.latent.copy(), key_added, labels_used=labels_key is not None)
    return model


def fit(
    paired: Paired, label: np.ndarray | None, settings: Sci2clSettings, *, progress: str | Callable[[str], Any],
    checkpoint: str | None,
) -> Sci2cl:  # fmt: skip
    """Preprocess, train, and store what inference needs."""
    prepared = prepare(paired, settings.n_genes, settings.n_peaks)
    inputs, parts = ({m: pair[i] for m, pair in prepared.items()} for i in (0, 1))
    batches = {m: study.batches for m, study in paired.studies.items()}
    facts = {
        "n_cells": len(paired.cells), "n_paired": int(paired.both.sum()), "labels_used": label is not None,
        "n_features": {m: len(one.pipeline.features) for m, one in inputs.items()},
        "n_batches": {m: len(names) for m, names in batches.items()},
        "batch_counts": np.bincount(_batches(paired), minlength=len(batches["rna"])).tolist(),
        "target": {m: one.pipeline.depth.target for m, one in inputs.items()},
    }  # fmt: skip
    with randomness(settings.seed):
        network = make_network(facts["n_features"], facts["n_batches"], facts["batch_counts"], asdict(settings))
    start(network, prepared, settings.start, settings.seed)
    history = run(network, prepared, paired, label, settings, progress=progress, checkpoint=checkpoint)
    if settings.whiten:
        settle(network, parts, paired, settings.least_agreement, settings.seed)
    latent = embed_rows(network, parts, paired.rows)
    return Sci2cl(
        manifest=new_manifest("sci2cl", asdict(settings), facts, latent), network=network, inputs=inputs,
        batches=batches, cells=pd.Index(paired.cells), latent=latent, measured=measured_of(paired.rows),
        history=history,
    )  # fmt: skip


def _batches(paired: Paired) -> np.ndarray:
    """(distinct cells,) codes of the batches: the RNA's, where it is absent the ATAC's."""
    rna, atac = (paired.studies[m].batch[paired.rows[:, i]] for i, m in enumerate(MODALITIES))
    return np.where(paired.has("rna"), rna, atac)


def joint_labels(objects: Mapping[str, AnnData], paired: Paired, labels_key: str) -> np.ndarray:
    """(distinct cells,) int64 codes of the types, -1 where no modality has one; where both have, RNA's counts.

    Raises
    ------
    InputError
        If neither modality has the column, or it holds fewer than two types.
    """
    names = np.full(len(paired.cells), None, dtype=object)
    having = [m for m in MODALITIES if labels_key in objects[paired.names[m]].obs]
    if not having:
        known_labels(objects[paired.names["rna"]], labels_key)  # says which columns there are
    for m in reversed(having):
        column = known_labels(objects[paired.names[m]], labels_key)
        there = np.flatnonzero(paired.has(m))
        own = column.to_numpy(dtype=object)[paired.rows[there, MODALITIES.index(m)]]
        known = ~pd.isna(own)
        names[there[known]] = own[known]
    column = pd.Series(names)
    return label_codes(label_categories(column, labels_key), column)


def _check_adversary(paired: Paired, settings: Sci2clSettings) -> None:
    one, two = (paired.studies[m].batches for m in MODALITIES)
    if settings.batch_weight and (one != two or len(one) < 2):
        raise InputError(
            "two batches or more, in a column of both modalities, for batch_weight above 0",
            f"{len(one)} of RNA and {len(two)} of ATAC",
            "name the column by batch_key, or give batch_weight=0",
        )

"""The verb for SCALEX: AnnData in, embedding and fitted model out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Pipeline, Prepared, SparseLoader, Study, from_anndata, split_validation
from isthmus.data.door import check_choice, check_enough_cells, check_number
from isthmus.data.pipeline import PROFILES
from isthmus.data.study import VALUES, warn_single_batch
from isthmus.models import SCALEX
from isthmus.tl._inference import choose_moments, encode, mean_by_batch, moments_of_batches, nats_of_means
from isthmus.tl._matching import find_anchors
from isthmus.tl._scalex import STATISTICS, Scalex
from isthmus.tl.fitted import new_manifest
from isthmus.train import Options, train
from isthmus.train.devices import randomness
from isthmus.train.progress import make_reporter

PRESETS = {
    "default": {},
    # the authors' code: its rate, decay and step budget, last weights kept; inference by exact batch statistics is
    # the limit of what it does with mini-batches of one batch
    "reference": {
        "learning_rate": 2e-4, "weight_decay": 5e-4, "batch_size": 64, "max_steps": 30_000, "schedule": "constant",
        "early_stopping": False, "kl_weight": 0.5, "feature_dropout": 0.0, "start": "zero", "statistics": "exact",
        "scaling": "global", "precision": "32-true",
    },
}  # fmt: skip


# Adam's coupled decay pulls against a gradient that grows with the loss: a fixed pull needs a decay in its proportion
DECAY_PER_NAT = 2.2e-5
N_FEATURES = {"rna": 2000, "atac": 30_000}


@dataclass(frozen=True)
class Settings:
    """All arguments of :func:`scalex` that decide the numbers."""

    batch_key: str | None
    layer: str | None
    profile: str
    values: str
    n_features: int | None
    features: list[str] | None
    scaling: str
    n_latent: int
    n_hidden: int
    kl_weight: float
    feature_dropout: float
    start: str
    statistics: str
    max_steps: int | None
    batch_size: int
    learning_rate: float
    weight_decay: float | None
    schedule: str
    validation_fraction: float
    early_stopping: bool
    accelerator: str
    devices: int | str
    precision: str
    compile: bool | str
    seed: int
    key_added: str

    def check(self) -> None:
        """Every number in its range, every word a known one."""
        check_choice(self.profile, PROFILES, "profile")
        check_choice(self.values, VALUES, "values")
        check_choice(self.scaling, ("global", "batch"), "scaling")
        check_choice(self.statistics, STATISTICS, "statistics")
        check_choice(self.start, ("mean", "zero"), "start")
        check_number(self.feature_dropout, "feature_dropout", 0.0, 0.95)
        check_choice(self.schedule, ("cosine", "constant"), "schedule")
        for name in ("n_latent", "n_hidden"):
            check_number(getattr(self, name), name, 1, whole=True)
        for name in ("n_features", "max_steps"):
            if getattr(self, name) is not None:
                check_number(getattr(self, name), name, 1, whole=True)
        check_number(self.batch_size, "batch_size", 2, whole=True)
        check_number(self.seed, "seed", 0, 2**32 - 1, whole=True)
        check_number(self.learning_rate, "learning_rate", 1e-12)
        check_number(self.validation_fraction, "validation_fraction", 0.0, 0.5)
        check_number(self.kl_weight, "kl_weight", 0.0)
        if self.weight_decay is not None:
            check_number(self.weight_decay, "weight_decay", 0.0)
        check_choice(self.early_stopping, (True, False), "early_stopping")
        check_choice(self.compile, (True, False, "auto"), "compile")
        if not isinstance(self.key_added, str) or not self.key_added or "/" in self.key_added:
            raise InputError(
                "key_added to be a word without '/'", f"{self.key_added!r}", "name the stem of the keys to write"
            )
        if isinstance(self.features, str):
            raise InputError("a list of names of features", f"the text {self.features!r}", "put the names into a list")

    def plain(self) -> Settings:
        """The same with Python's own numbers, whatever NumPy or R gave: they go into JSON and h5ad files."""
        kinds = {"int": int, "int | None": int, "float": float, "float | None": float, "bool": bool}
        given = {field.name: (field.type, getattr(self, field.name)) for field in fields(self)}
        numbers = {
            name: kinds[kind](value) for name, (kind, value) in given.items() if kind in kinds and value is not None
        }
        features = None if self.features is None else [str(name) for name in self.features]
        compile = "auto" if isinstance(self.compile, str) else bool(self.compile)
        devices = self.devices if isinstance(self.devices, str) else int(self.devices)
        return replace(self, **numbers, features=features, compile=compile, devices=devices)


def scalex(
    adata: AnnData,
    batch_key: str | None,
    *,
    layer: str | None = None,
    profile: str = "rna",
    values: str = "counts",
    n_features: int | None = None,
    features: list[str] | None = None,
    scaling: str = "batch",
    n_latent: int = 10,
    n_hidden: int = 1024,
    kl_weight: float = 0.3,
    feature_dropout: float = 0.5,
    start: str = "mean",
    statistics: str = "matched",
    preset: str = "default",
    max_steps: int | None = None,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    weight_decay: float | None = None,
    schedule: str = "cosine",
    validation_fraction: float = 0.1,
    early_stopping: bool = False,
    accelerator: str = "auto",
    devices: int | str = 1,
    precision: str = "auto",
    compile: bool | str = "auto",
    seed: int = 0,
    key_added: str = "scalex",
    progress: str | Callable[[str], Any] = "auto",
    checkpoint: str | None = None,
) -> Scalex:
    """Integrate batches with SCALEX (Xiong et al. 2022): a batch-free encoder that also projects new data.

    Parameters
    ----------
    adata
        Cells by features with raw counts (or log-normalised values, see ``values``). Gets ``obsm["X_<key_added>"]``
        and ``uns["<key_added>"]``; nothing else of it changes.
    batch_key
        Column of ``obs`` with the batch of each cell; None = one batch (a reference to project onto).
    layer
        Layer with the values; None = ``X``.
    profile
        ``"rna"``: 2,000 genes that vary within batches. ``"atac"``: the 30,000 peaks open in most cells. Both are
        depth-normalised to 10,000 counts, log1p-transformed and scaled to [0, 1].
    values
        ``"counts"`` or ``"lognorm"`` (natural logarithm of depth-normalised counts plus one). Never guessed.
    n_features, features
        How many features to choose, or the names of those to use.
    scaling
        ``"batch"``: a feature's largest value in each batch is 1, as in the paper. ``"global"``: over all cells.
    n_latent, n_hidden
        Latent dimensions; width of the encoder's hidden layer.
    kl_weight
        Weight of the divergence from the prior.
    feature_dropout
        Share of a cell's features that the encoder does not see in a training step.
    start
        ``"mean"``: the decoder begins at each batch's mean expression. ``"zero"``: at one half, as in the paper.
    statistics
        What the encoder is normalised with at inference. ``"matched"``: what each batch does to groups of similar
        cells (:mod:`isthmus.tl._matching`). ``"exact"``: statistics of each whole batch, the limit of what the
        authors' code does. ``"running"``: those of the whole reference. ``"shrunk"``: between these two.
    preset
        ``"reference"``: the authors' optimisation settings (30,000 steps of 64 cells, constant rate 2e-4), which
        replace the arguments they concern.
    max_steps
        Optimiser steps at the most; None = by the number of cells.
    batch_size, learning_rate, schedule
        Cells a step; Adam's rate; ``"cosine"`` (down to zero) or ``"constant"``.
    weight_decay
        Adam's coupled decay; None = 2.2e-5 times the nats that a cell costs at the start, so that it pulls with the
        same force whatever the number and depth of the features.
    validation_fraction, early_stopping
        Share of cells held out; stop when their loss stays above its best for 10 looks, and restore the best weights.
    accelerator, devices, precision, compile
        As in :class:`isthmus.train.Options`.
    seed
        Of all that is random. The same seed gives the same numbers from Python, R and the command line.
    key_added
        Stem of the keys written.
    progress
        ``"auto"``, ``"rich"``, ``"plain"``, ``"silent"`` or a callable that takes lines.
    checkpoint
        Folder for the state of the run; an interrupted run goes on from it.

    Returns
    -------
    Scalex
        The fitted model.

    Raises
    ------
    InputError
        If the data or an argument cannot be used; nothing was written then.
    TrainingError
        If a loss stops being finite.

    Examples
    --------
    >>> import isthmus as im
    >>> adata = im.data.simulate(n_cells=600, modalities=("rna",))["rna"]
    >>> model = im.tl.scalex(adata, batch_key="batch", max_steps=200, progress="silent")
    >>> adata.obsm["X_scalex"].shape
    (600, 10)
    """
    check_choice(preset, tuple(PRESETS), "preset")
    given = {name: value for name, value in locals().items() if name in Settings.__dataclass_fields__}
    settings = Settings(**{**given, **PRESETS[preset]})
    settings.check()
    make_reporter(progress)  # an unknown word is refused before the work, not after
    settings = settings.plain()
    study = from_anndata(adata, batch_key, layer=layer, values=values)
    check_enough_cells(study.n_cells, settings.batch_size)
    warn_single_batch(study.batches, batch_key)
    model = fit(study, settings, progress=progress, checkpoint=checkpoint)
    adata.obsm[f"X_{key_added}"] = model.latent.copy()
    adata.uns[key_added] = model.record()
    return model


def fit(study: Study, settings: Settings, *, progress: str | Callable[[str], Any], checkpoint: str | None) -> Scalex:
    """Preprocess, train, and store what inference needs."""
    pipeline, prepared = Pipeline.fit(
        study, profile=settings.profile, n_features=settings.n_features or N_FEATURES[settings.profile],
        features=settings.features, per_batch_scale=settings.scaling == "batch",
    )  # fmt: skip
    n_features, n_batches = len(pipeline.features), len(study.batches)
    with randomness(settings.seed):
        network = SCALEX(
            n_features,
            n_batches,
            settings.n_latent,
            settings.n_hidden,
            settings.kl_weight,
            settings.feature_dropout,
        )
    mean = mean_by_batch(prepared.x, study.batch, n_batches)
    counts = np.bincount(study.batch, minlength=n_batches)
    if settings.start == "mean":
        network.start_at(mean)
    decay = settings.weight_decay if settings.weight_decay is not None else DECAY_PER_NAT * nats_of_means(mean, counts)
    history = _train(network, study, prepared, replace(settings, weight_decay=decay), progress, checkpoint)
    exact = moments_of_batches(network, prepared, study.batch, n_batches)
    network.encoder.settle(exact.pooled(torch.from_numpy(counts / counts.sum()).float()))
    anchors, matched = find_anchors(network, prepared, study.batch, exact, settings.seed)
    moments = (
        matched if settings.statistics == "matched" else choose_moments(network, exact, counts, settings.statistics)
    )
    latent = encode(network, prepared, moments, study.batch)
    plain, _ = pipeline.state()
    facts = {
        "n_cells": study.n_cells,
        "n_batches": n_batches,
        "n_features": n_features,
        "target": plain["target"],
        "weight_decay": decay,
    }
    return Scalex(
        manifest=new_manifest("scalex", asdict(settings), facts, latent), network=network, pipeline=pipeline,
        batches=study.batches, counts=counts, moments=moments, anchors=anchors,
        cells=pd.Index(study.cells), latent=latent, history=history,
    )  # fmt: skip


def _train(
    network: SCALEX,
    study: Study,
    prepared: Prepared,
    settings: Settings,
    progress: str | Callable[[str], Any],
    checkpoint: str | None,
) -> pd.DataFrame:
    """Hold cells out, train; history."""
    fraction = settings.validation_fraction if settings.early_stopping else 0.0
    rows, held_out = split_validation(study.batch, fraction, settings.seed)
    size = min(settings.batch_size, len(rows))
    loader = SparseLoader(prepared.x, study.batch, rows, size, shuffle=True, seed=settings.seed)
    validation = SparseLoader(prepared.x, study.batch, held_out, 512) if len(held_out) else None
    options = Options(
        max_steps=settings.max_steps or default_steps(len(rows), size),
        learning_rate=settings.learning_rate, weight_decay=settings.weight_decay, schedule=settings.schedule,
        accelerator=settings.accelerator, devices=settings.devices, precision=settings.precision,
        compile=settings.compile, seed=settings.seed, armed_from=0.5,
    )  # fmt: skip
    return train(network, loader, validation, options, progress=progress, checkpoint=checkpoint)


def default_steps(n_cells: int, batch_size: int) -> int:
    """Steps for a study of this size: 1,500, or ten epochs where that is more, but 30,000 at the most."""
    return int(np.clip(10 * n_cells / batch_size, 1_500, 30_000))

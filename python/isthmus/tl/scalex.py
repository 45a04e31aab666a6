"""The verb for SCALEX: AnnData in, embedding and fitted model out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from isthmus.data import Pipeline, Study, from_anndata
from isthmus.data.door import check_choice, check_enough_cells
from isthmus.data.pipeline import PROFILES
from isthmus.data.study import warn_single_batch
from isthmus.models import SCALEX
from isthmus.tl._inference import choose_moments, encode, mean_by_batch, moments_of_batches, nats_of_means
from isthmus.tl._matching import find_anchors
from isthmus.tl._scalex import STATISTICS, Scalex
from isthmus.tl._settings import SingleSettings
from isthmus.tl._training import run_training
from isthmus.tl.fitted import new_manifest
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
class ScalexSettings(SingleSettings):
    """All arguments of :func:`scalex` that decide the numbers."""

    WORDS: ClassVar = {
        **SingleSettings.WORDS, "profile": PROFILES, "scaling": ("batch", "global"), "statistics": STATISTICS,
        "start": ("mean", "zero"),
    }  # fmt: skip
    BOUNDS: ClassVar = {
        **SingleSettings.BOUNDS, "feature_dropout": (0.0, 0.95), "kl_weight": (0.0, float("inf")),
        "weight_decay": (0.0, float("inf")),
    }  # fmt: skip

    profile: str
    kl_weight: float
    feature_dropout: float
    start: str
    statistics: str
    weight_decay: float | None


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
    max_epochs: int | None = None,
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
    max_epochs, max_steps
        Passes over the cells and optimiser steps at the most; None = by the number of cells.
    batch_size, learning_rate, schedule
        Cells a step; Adam's rate; ``"cosine"`` (down to zero), ``"constant"`` or ``"plateau"`` (cut to a tenth where
        held-out cells get no better).
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
    settings = ScalexSettings.take(locals(), PRESETS[preset])
    make_reporter(progress)  # an unknown word is refused before the work, not after
    study = from_anndata(adata, batch_key, layer=layer, values=values)
    check_enough_cells(study.n_cells, settings.batch_size)
    warn_single_batch(study.batches, batch_key)
    model = fit(study, settings, progress=progress, checkpoint=checkpoint)
    model.write_embedding(adata, model.latent.copy(), key_added)
    return model


def fit(
    study: Study, settings: ScalexSettings, *, progress: str | Callable[[str], Any], checkpoint: str | None
) -> Scalex:
    """Preprocess, train, and store what inference needs."""
    pipeline, prepared = Pipeline.fit(
        study, profile=settings.profile, n_features=settings.n_features or N_FEATURES[settings.profile],
        features=settings.features, scaling=settings.scaling,
    )  # fmt: skip
    n_features, n_batches = len(pipeline.features), len(study.batches)
    with randomness(settings.seed):
        own = ("n_latent", "n_hidden", "kl_weight", "feature_dropout")
        network = SCALEX(n_features, n_batches, **{name: getattr(settings, name) for name in own})
    mean = mean_by_batch(prepared.x, study.batch, n_batches)
    counts = np.bincount(study.batch, minlength=n_batches)
    if settings.start == "mean":
        network.start_at(mean)
    decay = settings.weight_decay if settings.weight_decay is not None else DECAY_PER_NAT * nats_of_means(mean, counts)
    history = run_training(
        network, prepared, study.batch, settings, progress=progress, checkpoint=checkpoint, weight_decay=decay,
        default_steps=default_steps,
    )  # fmt: skip
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


def default_steps(n_cells: int, batch_size: int) -> int:
    """Steps for a study of this size: 1,500, or ten epochs where that is more, but 30,000 at the most."""
    return int(np.clip(10 * n_cells / batch_size, 1_500, 30_000))

"""The verb for scDREAMER and scDREAMER-Sup: AnnData in, embedding, labels and fitted model out."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus.data import Categories, Pipeline, Study, from_anndata
from isthmus.data.door import check_choice, check_enough_cells
from isthmus.data.pipeline import SCALINGS
from isthmus.data.study import warn_single_batch
from isthmus.nn.counts import LIKELIHOODS
from isthmus.tl._cell_types import known_labels, label_categories, label_codes
from isthmus.tl._classifier import batch_odds, classify, refit
from isthmus.tl._scdreamer import Scdreamer, digest, encode, make_network
from isthmus.tl._settings import SingleSettings
from isthmus.tl._training import run_training
from isthmus.tl.fitted import new_manifest
from isthmus.train.devices import randomness
from isthmus.train.progress import make_reporter

PRESETS = {
    "default": {},
    # the authors' code: its input, likelihood on that input, weights, rates and plain players
    "reference": {
        "scaling": "double-log", "target": "input", "batch_size": 128, "learning_rate": 2e-4, "schedule": "constant",
        "max_epochs": 300, "kl_weight": 0.001, "kl_warm_up": 0.0, "consistency_weight": 0.128, "batch_weight": 1.0,
        "batch_warm_up": 0.0, "batch_dropout": 0.0, "library": "learned", "likelihood": "zinb", "adversary_rate": 3.5,
        "n_hidden_adversary": 512,
        "labels_in_prior": "predicted", "n_hidden": 512, "dropout": 0.1, "precision": "32-true",
        "early_stopping": False,
    },
}  # fmt: skip
N_FEATURES = 2000
GRADIENT_CLIP = 10.0
COLLAPSED = 1e-4  # an adversary that is nearer to chance than this has nothing to say any more


@dataclass(frozen=True)
class ScdreamerSettings(SingleSettings):
    """All arguments of :func:`scdreamer` that decide the numbers."""

    WORDS: ClassVar = {
        **SingleSettings.WORDS, "scaling": SCALINGS, "target": ("counts", "input"), "likelihood": LIKELIHOODS,
        "library": ("observed", "learned"), "labels_in_prior": ("known", "predicted"), "values": ("counts",),
    }  # fmt: skip
    BOUNDS: ClassVar = {
        **SingleSettings.BOUNDS, "dropout": (0.0, 0.95), "mask": (0.0, 0.95), "batch_dropout": (0.0, 1.0),
        "kl_warm_up": (0.0, 1.0), "batch_warm_up": (0.0, 1.0), "adversary_rate": (0.0, 1e3),
        "n_hidden_adversary": (1, math.inf),
        **{f"{n}_weight": (0.0, math.inf) for n in ("kl", "consistency", "bhattacharyya", "batch", "labels")},
    }  # fmt: skip

    labels_key: str | None
    target: str
    likelihood: str
    library: str
    dropout: float
    mask: float
    batch_dropout: float
    labels_in_prior: str
    n_hidden_adversary: int
    adversary_rate: float
    kl_weight: float
    kl_warm_up: float
    consistency_weight: float
    bhattacharyya_weight: float
    batch_weight: float
    batch_warm_up: float
    labels_weight: float


def scdreamer(
    adata: AnnData, batch_key: str | None, *, labels_key: str | None = None, layer: str | None = None,
    values: str = "counts", n_features: int | None = None, features: list[str] | None = None,
    scaling: str = "global", target: str = "counts", likelihood: str = "zinb", library: str = "observed",
    n_latent: int = 10, n_hidden: int = 128, dropout: float = 0.1, mask: float = 0.1, batch_dropout: float = 0.1,
    labels_in_prior: str = "known", kl_weight: float = 1.0, kl_warm_up: float = 0.2, consistency_weight: float = 0.1,
    bhattacharyya_weight: float = 1.0, batch_weight: float = 10.0, batch_warm_up: float = 0.1,
    labels_weight: float = 10.0, n_hidden_adversary: int = 128, adversary_rate: float = 3.5, preset: str = "default",
    max_epochs: int | None = None, max_steps: int | None = None, batch_size: int = 256, learning_rate: float = 2e-3,
    schedule: str = "cosine", validation_fraction: float = 0.1, early_stopping: bool = False,
    accelerator: str = "auto", devices: int | str = 1, precision: str = "auto", compile: bool | str = "auto",
    seed: int = 0, key_added: str = "scdreamer", progress: str | Callable[[str], Any] = "auto",
    checkpoint: str | None = None,
) -> Scdreamer:  # fmt: skip
    """Integrate batches with scDREAMER, or with scDREAMER-Sup where labels are given (Shree et al. 2023).

    Parameters
    ----------
    adata
        Cells by genes with raw counts. Gets ``obsm["X_<key_added>"]`` and ``uns["<key_added>"]``; with labels also
        ``obs["<key_added>_label"]`` and ``obs["<key_added>_confidence"]``, the classifier's type of every cell and
        its probability. Nothing else of it changes.
    batch_key
        Column of ``obs`` with the batch of each cell; None = one batch.
    labels_key
        Column of ``obs`` with cell types, any share of which may be missing (NaN, None, "NA", "" or "unknown").
        None = unsupervised.
    layer
        Layer with the counts; None = ``X``.
    values
        ``"counts"``: the likelihood is one of counts.
    n_features, features
        How many highly variable genes to choose (None = 2,000), or the names of those to use.
    scaling
        How log-normalised values are brought to [0, 1] for the encoder, see :class:`isthmus.data.Pipeline`.
    target
        ``"counts"``: the likelihood is that of the raw counts. ``"input"``: of the encoder's scaled input, as in the
        authors' code.
    likelihood
        ``"zinb"`` or ``"nb"``.
    library
        ``"observed"``: a cell's total over the chosen genes. ``"learned"``: a latent variable with a log-normal prior.
    n_latent, n_hidden
        Latent dimensions; width of the hidden layers.
    dropout
        Share of hidden units left out in training.
    mask
        Share of a cell's genes that the consistency term hides.
    batch_dropout
        Share of cells whose batch is hidden from the encoder in a training step: it learns to do without, and can
        embed cells of new batches. 0 = always told, 1 = a batch-free encoder.
    labels_in_prior
        ``"known"``: the prior is told the labels where there are any, and predictions elsewhere. ``"predicted"``:
        predictions everywhere, as in the authors' code.
    kl_weight, consistency_weight, bhattacharyya_weight, batch_weight, labels_weight
        Weights of the divergences, of the consistency of masked cells, and of what the discriminator, the batch
        classifier and the cell-type classifier say.
    kl_warm_up, batch_warm_up
        Shares of the training in which these weights rise from zero.
    n_hidden_adversary
        Width of the adversaries' hidden layers; 512 in the authors' code.
    adversary_rate
        Learning rate of the adversaries over that of the autoencoder.
    preset
        ``"reference"``: the authors' input, likelihood, weights and rates, which replace the arguments they concern.
    max_epochs, max_steps
        Passes over the cells and optimiser steps at the most; None = by the number of cells.
    batch_size, learning_rate, schedule
        Cells a step; Adam's rate; ``"cosine"`` (down to zero), ``"constant"`` or ``"plateau"`` (cut to a tenth where
        held-out cells get no better).
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
    Scdreamer
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
    >>> model = im.tl.scdreamer(adata, batch_key="batch", max_steps=200, progress="silent")
    >>> adata.obsm["X_scdreamer"].shape
    (600, 10)
    """
    check_choice(preset, tuple(PRESETS), "preset")
    settings = ScdreamerSettings.take(locals(), PRESETS[preset])
    make_reporter(progress)  # an unknown word is refused before the work, not after
    study = from_anndata(adata, batch_key, layer=layer, values=values)
    labels, code = None, None
    if labels_key is not None:
        column = known_labels(adata, labels_key)
        labels = label_categories(column, labels_key)
        code = label_codes(labels, column)
    check_enough_cells(study.n_cells, settings.batch_size)
    warn_single_batch(study.batches, batch_key)
    model = fit(study, labels, code, settings, progress=progress, checkpoint=checkpoint)
    model.write_embedding(adata, model.latent.copy(), key_added, batch_digest=digest(study.batches, study.batch))
    if labels is not None:
        model.predict_labels(adata)
    return model


def fit(
    study: Study, labels: Categories | None, code: np.ndarray | None, settings: ScdreamerSettings, *,
    progress: str | Callable[[str], Any], checkpoint: str | None,
) -> Scdreamer:  # fmt: skip
    """Preprocess, train, and store what inference needs."""
    pipeline, prepared = Pipeline.fit(
        study, n_features=settings.n_features or N_FEATURES, features=settings.features, scaling=settings.scaling
    )
    if settings.target == "input":
        prepared = replace(prepared, counts=prepared.x)
    counts = np.bincount(study.batch, minlength=len(study.batches))
    totals = np.log(np.maximum(np.asarray(prepared.counts.sum(axis=1)).ravel(), 1.0))
    library = (float(totals.mean()), float(totals.var())) if settings.library == "learned" else None
    with randomness(settings.seed):
        network = make_network(len(pipeline.features), counts.tolist(), labels, library, asdict(settings))
    history = run_training(
        network, prepared, study.batch, settings, label=code, progress=progress, checkpoint=checkpoint,
        gradient_clip=GRADIENT_CLIP, default_steps=default_steps,
    )  # fmt: skip
    if len(study.batches) > 1:
        warn_collapsed(history)
    latent = encode(network, prepared, study.batch)
    odds = None
    if code is not None:
        refit(network.cell_type, latent, code)
        odds = batch_odds(classify(network, latent), code, study.batch, len(study.batches))
    plain, _ = pipeline.state()
    facts = {
        "n_cells": study.n_cells,
        "n_batches": len(study.batches),
        "n_features": len(pipeline.features),
        "target": plain["target"],
        "n_labels": 0 if labels is None else len(labels),
        "n_labelled": 0 if code is None else int((code >= 0).sum()),
    }
    return Scdreamer(
        manifest=new_manifest("scdreamer", asdict(settings), facts, latent), network=network, pipeline=pipeline,
        batches=study.batches, labels=labels, odds=odds, cells=pd.Index(study.cells), latent=latent, history=history,
    )  # fmt: skip


def default_steps(n_cells: int, batch_size: int) -> int:
    """Steps for a study of this size: in proportion to the root of the cells, 600 for 1,200, 1,700 for 10,000."""
    return int(np.clip(17 * np.sqrt(n_cells), 300, 20_000))


def warn_collapsed(history: pd.DataFrame) -> None:
    """Say which adversary had nothing to say in the end."""
    last = history.iloc[-1]
    if last["train_bhattacharyya"] < COLLAPSED:
        warnings.warn(
            "The discriminator scores real and generated cells alike: it did not take part in the end. "
            "Raise adversary_rate or lower bhattacharyya_weight if the embedding disappoints.",
            stacklevel=4,
        )
    if abs(last["train_batch"] - 1.0) < COLLAPSED:
        warnings.warn(
            "The batch classifier is exactly at chance: either no batch can be told from the embedding, or it has "
            "stopped learning. Raise adversary_rate if batches are still apart.",
            stacklevel=4,
        )

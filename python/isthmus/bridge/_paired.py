"""Verbs of the systems that learn from RNA and ATAC of the same cells, and what describes their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from anndata import AnnData

import isthmus as im
from isthmus.bridge.study import RECORD
from isthmus.data import Coverage
from isthmus.data.door import check_choice
from isthmus.tl import FittedModel

Say = Callable[[str], Any]
PAIRED = ("sailerx", "sci2cl")
MODALITIES = ("rna", "atac")
UNPAIRED = "unpaired"  # study of further cells with ATAC only


def fit_paired(
    studies: Mapping[str, AnnData],
    *,
    folder: str,
    system: str,
    reference: str | None = None,
    progress: Say | str = "silent",
    **settings: Any,
) -> dict[str, Any]:
    """Fit a system of paired cells and save the model into ``folder``.

    Parameters
    ----------
    studies
        ``"rna"`` and ``"atac"``; and ``"unpaired"``, where there are further cells with ATAC only.
    folder
        Where to save the model.
    system
        Name of the verb in ``isthmus.tl``.
    reference
        Name, in the other language, of the embedding of the RNA that teaches; the verb's own where the RNA does not
        bring it.
    progress
        Called with one line at a time.
    settings
        Those of the verb.

    Returns
    -------
    dict
        ``embeddings``: (cells, latent) of each study, NaN for cells that the system cannot embed; ``measured``, where
        the system says it, of each cell ``"both"``, ``"rna"`` or ``"atac"``; and the description of the model.
    """
    check_choice(system, PAIRED, "system")
    data = {name: studies[name] for name in MODALITIES}
    given = {"unpaired": studies.get(UNPAIRED), "reference": reference and _key_of(data["rna"], reference)}
    settings |= {name: value for name, value in given.items() if value is not None}
    model = getattr(im.tl, system)(data, progress=progress, **settings)
    model.save(folder)
    return {**_written(model, studies), **describe_paired(model)}


def describe_paired(model: FittedModel) -> dict[str, Any]:
    """What a record of the model in another language holds; ``sizes`` is the number of cells by modality."""
    if model.system == "sailerx":
        sizes = {"rna": int(model.paired.sum()), "atac": len(model.cells)}
        features = list(model.peaks.names)
    else:
        sizes = {m: int(np.isin(model.measured, ["both", m]).sum()) for m in MODALITIES}
        features = [name for m in MODALITIES for name in model.pipelines[m].features]
    return {
        "manifest": model.manifest.model_dump(),
        "history": model.history,
        "cells": list(model.cells),
        "features": features,
        "sizes": sizes,
    }


def project_paired(model: FittedModel, studies: Mapping[str, AnnData], **settings: Any) -> dict[str, Any]:
    """Project cells of either or both modalities; embeddings and coverage by modality."""
    model.project(studies, **settings)
    return {**_written(model, studies), "coverage": {m: covered(part) for m, part in model.coverage.items()}}


def labels_paired(
    model: FittedModel, study: AnnData | Mapping[str, AnnData], labels: list[str | None], **settings: Any
) -> dict[str, Any]:
    """Transfer labels to cells that bring this model's embedding, or to the distinct ``cells`` of both modalities."""
    if isinstance(study, Mapping):
        table = model.transfer_labels(study, labels, **settings)
    else:  # the embedding suffices, also where the model's own method wants both modalities
        table = FittedModel.transfer_labels(model, study, labels, **settings)
    return {
        "label": [str(name) for name in table["label"]], "confidence": table["confidence"].to_numpy(),
        "cells": [str(name) for name in table.index],
    }  # fmt: skip


def covered(coverage: Coverage) -> dict[str, Any]:
    """How much of the model's features there was."""
    return {**coverage.as_dict(), "missing": list(coverage.missing)}


def _written(model: FittedModel, studies: Mapping[str, AnnData]) -> dict[str, Any]:
    """What the model wrote into the studies."""
    key = model.settings["key_added"]
    out = {"embeddings": {name: np.asarray(one.obsm[f"X_{key}"]) for name, one in studies.items()}}
    word = f"{key}_measured"
    if all(word in one.obs for one in studies.values()):
        out["measured"] = {name: [str(value) for value in one.obs[word]] for name, one in studies.items()}
    return out


def _key_of(study: AnnData, name: str) -> str | None:
    """The key in obsm of an embedding that has this name in the other language; None = there is none."""
    known = {theirs: key for key, theirs in study.uns.get(RECORD, {}).get("reducedDims", {}).items()}
    return known.get(name)

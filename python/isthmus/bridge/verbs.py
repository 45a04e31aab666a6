"""What another language or process may ask for: AnnData and plain settings in, plain results out.

Each verb takes the study first (None where there is none), then keyword settings under the names of the Python verbs,
and ``progress``, a callable that takes lines. Results are dicts of arrays, data frames, strings and numbers.
A study may bring the embedding that the model made of it as ``obsm["embedding"]``; it is projected otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import isthmus as im
from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus.data.door import check_choice
from isthmus.report._verbs import report, report_inputs
from isthmus.tl import FittedModel

Say = Callable[[str], Any]


def fit(
    study: AnnData, *, folder: str, system: str = "scalex", progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Fit a system and save the model into ``folder``."""
    check_choice(system, ("scalex",), "system")
    model = getattr(im.tl, system)(study, settings.pop("batch_key", None), progress=progress, **settings)
    model.save(folder)
    return {"embedding": model.latent, **_describe(model)}


def info(study: None = None, *, folder: str, progress: Say | str = "silent") -> dict[str, Any]:
    """Describe a saved model."""
    return _describe(im.load(folder))


def project(study: AnnData, *, folder: str, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """Project cells with a saved model."""
    model = im.load(folder)
    z = model.project(study, **settings)
    coverage = {**model.coverage.as_dict(), "missing": list(model.coverage.missing)}
    return {"embedding": z, "coverage": coverage}


def labels(
    study: AnnData, *, folder: str, labels: list[str | None], progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Transfer labels of the reference cells (in the model's order) to cells."""
    model = im.load(folder)
    _adopt(study, model)
    table = model.transfer_labels(study, labels, **settings)
    return {"label": [str(name) for name in table["label"]], "confidence": table["confidence"].to_numpy()}


def impute(study: AnnData, *, folder: str, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """Impute expression; with ``file`` the values stay there, in dataset ``X`` (cells, features)."""
    model = im.load(folder)
    _adopt(study, model)
    out = model.impute(study, **settings)
    result = {"features": list(out.var_names)}
    if settings.get("file") is not None:
        return {**result, "file": str(out.filename), "dataset": "X"}
    return {**result, "values": out.X}


def simulate(study: None = None, *, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """Simulated studies by modality, the planted links and the settings; with ``file`` the paths of the studies."""
    out = im.data.simulate(**settings)
    if settings.get("file") is not None:
        return {"paths": {name: str(path) for name, path in out.items()}}
    first = next(iter(out.values()))
    links, truth = first.uns.get("links", pd.DataFrame()), first.uns.get("simulation", {})
    for one in out.values():
        one.uns.clear()
    return {"studies": out, "links": pd.DataFrame(links), "simulation": dict(truth)}


def read(study: None = None, *, path: str, progress: Say | str = "silent") -> dict[str, Any]:
    """Read a study from an h5ad file."""
    import anndata

    if not Path(path).is_file():
        raise InputError("an .h5ad file", f"no file '{path}'", "check the path")
    return {"study": anndata.read_h5ad(path)}


def write(study: AnnData, *, path: str, progress: Say | str = "silent") -> dict[str, Any]:
    """Write a study to an h5ad file."""
    with atomic_path(path) as temporary:
        study.write_h5ad(temporary, compression="gzip")
    return {"path": path}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "fit": fit, "info": info, "project": project, "labels": labels, "impute": impute,
    "simulate": simulate, "read": read, "write": write, "report_inputs": report_inputs, "report": report,
}  # fmt: skip


def _describe(model: FittedModel) -> dict[str, Any]:
    """What a record of the model in another language holds."""
    return {
        "manifest": model.manifest.model_dump(),
        "history": model.history,
        "cells": list(model.cells),
        "features": list(model.pipeline.features),
        "batches": list(model.batches.names),
    }


def _adopt(study: AnnData, model: FittedModel) -> None:
    """Take the embedding that the study brings for this model's own."""
    if "embedding" in study.obsm:
        key = model.settings["key_added"]
        study.obsm[f"X_{key}"] = np.asarray(study.obsm["embedding"], dtype=np.float32)
        study.uns[key] = {"id": model.manifest.id}

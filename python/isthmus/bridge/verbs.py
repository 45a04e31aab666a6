"""What another language or process may ask for: AnnData and plain settings in, plain results out.

Each verb takes the study first (None where there is none), then keyword settings under the names of the Python verbs,
and ``progress``, a callable that takes lines. Results are dicts of arrays, data frames, strings and numbers.
A study may bring the embedding that the model made of it as ``obsm["embedding"]``; it is projected otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

import isthmus as im
from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus.bridge._activity import activity_graph
from isthmus.bridge._alignment import consistency, umap
from isthmus.bridge._glue import (
    describe_glue,
    fit_glue,
    genes,
    guidance,
    guidance_settings,
    links,
    predict_across,
)
from isthmus.bridge._h5ad import make_writable
from isthmus.bridge._paired import PAIRED, covered, describe_paired, fit_paired, labels_paired, project_paired
from isthmus.bridge._targets import tf_rankings, tf_targets
from isthmus.data.door import check_choice
from isthmus.report._verbs import report, report_inputs, report_modalities
from isthmus.tl import FittedModel
from isthmus.tl.fitted import SYSTEMS
from isthmus.tl.metacells import summed_up

Say = Callable[[str], Any]
Studies = Mapping[str, AnnData]


def fit(
    study: AnnData, *, folder: str, system: str = "scalex", progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Fit a system and save the model into ``folder``; with labels also the label of every cell, and a confidence."""
    check_choice(system, tuple(name for name in SYSTEMS if name not in ("glue", *PAIRED)), "system")
    model = getattr(im.tl, system)(study, settings.pop("batch_key", None), progress=progress, **settings)
    model.save(folder)
    result = {"embedding": model.latent, **_describe(model)}
    return {**result, **_predicted(model, study)} if result["labels"] else result


def info(study: None = None, *, folder: str, progress: Say | str = "silent") -> dict[str, Any]:
    """Describe a saved model."""
    model = im.load(folder)
    describe = {"glue": describe_glue, **dict.fromkeys(PAIRED, describe_paired)}
    return describe.get(model.system, _describe)(model)


def project(
    study: AnnData | Studies, *, folder: str, progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Project cells with a saved model; several studies are modalities of the same cells."""
    model = im.load(folder)
    if isinstance(study, Mapping):
        return project_paired(model, study, **settings)
    z = model.project(study, **settings)
    result = {"embedding": z, "coverage": covered(model.coverage)}
    record = study.uns[settings.get("key_added") or model.settings["key_added"]]["projection"]
    return {**result, **{name: record[name] for name in ("known_batches", "new_batches") if name in record}}


def labels(
    study: AnnData | Studies, *, folder: str, labels: list[str | None], progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Transfer labels of the reference cells (in the model's order) to cells."""
    model = im.load(folder)
    _adopt(study, model, settings.get("modality"))
    if model.system in PAIRED:
        return labels_paired(model, study, labels, **settings)
    table = model.transfer_labels(study, labels, **settings)
    return {"label": [str(name) for name in table["label"]], "confidence": table["confidence"].to_numpy()}


def predict(study: AnnData, *, folder: str, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """Label cells by the model's own classifier."""
    model = im.load(folder)
    if not _labels(model):
        raise InputError(
            "a model that was fitted with labels",
            f"a model of '{model.system}' without",
            "fit one with labels, or transfer labels from the reference cells",
        )
    _adopt(study, model, settings.get("modality"))
    return _predicted(model, study, **settings)


def impute(study: AnnData | Studies, *, folder: str, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """Impute values of ``cells``; with ``file`` the values stay there, in dataset ``X`` (cells, features)."""
    model = im.load(folder)
    _adopt(study, model, settings.get("modality"))
    out = predict_across(model, study, **settings) if model.system == "glue" else model.impute(study, **settings)
    result = {"features": list(out.var_names), "cells": list(out.obs_names)}
    if settings.get("file") is not None:
        return {**result, "file": str(out.filename), "dataset": "X", "sparse": not isinstance(out.X, h5py.Dataset)}
    return {**result, "values": out.X}


def gene_activity(
    study: AnnData | Studies,
    *,
    folder: str,
    genes: str | pd.DataFrame | None = None,
    rna: pd.DataFrame | None = None,
    peaks: pd.DataFrame | None = None,
    progress: Say | str = "silent",
    **settings: Any,
) -> dict[str, Any]:
    """Sum imputed peaks by gene, of the cells of ``study`` or its ``"atac"``; for the tables see ``activity_graph``."""
    model = im.load(folder)
    graph = activity_graph(model, genes=genes, rna=rna, peaks=peaks, **guidance_settings(settings))
    query = study["atac"] if isinstance(study, Mapping) else study
    _adopt(query, model)
    out = model.gene_activity(query, graph, **settings)
    return {"features": list(out.var_names), "cells": list(out.obs_names), "values": out.X}


def check_labels(study: AnnData, *, labels_key: str, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """Labels that the neighbourhood in ``obsm["embedding"]`` does not believe, and those that it suggests."""
    table = im.tl.check_labels(study, labels_key, "embedding", **settings)
    return {"wrong": table["wrong"].to_numpy(), "suggestion": [str(name) for name in table["suggestion"]]}


def metacells(
    study: AnnData, *, n_metacells: int | None = None, progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Alike cells, by ``obsm["embedding"]`` where the study brings it, summed up; and the group of each cell."""
    use_rep = "embedding" if "embedding" in study.obsm else None
    small, group = summed_up(study, n_metacells, use_rep=use_rep, **settings)
    return {"study": small, "group": group}


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
    make_writable(study)
    with atomic_path(path) as temporary:
        study.write_h5ad(temporary, compression="gzip")
    return {"path": path}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "fit": fit, "fit_glue": fit_glue, "fit_paired": fit_paired, "links": links, "genes": genes, "info": info,
    "project": project, "labels": labels, "predict": predict, "impute": impute, "simulate": simulate, "read": read,
    "write": write, "check_labels": check_labels, "gene_activity": gene_activity, "report_inputs": report_inputs,
    "report": report, "report_modalities": report_modalities, "consistency": consistency, "umap": umap,
    "tf_targets": tf_targets, "tf_rankings": tf_rankings, "metacells": metacells, "guidance": guidance,
}  # fmt: skip


def _describe(model: FittedModel) -> dict[str, Any]:
    """What a record of the model in another language holds."""
    return {
        "manifest": model.manifest.model_dump(),
        "history": model.history,
        "cells": list(model.cells),
        "features": list(model.pipeline.features),
        "batches": list(model.batches.names),
        "labels": _labels(model),
    }


def _labels(model: FittedModel) -> list[str]:
    """Names of the labels that the model can give by itself."""
    labels = getattr(model, "labels", None)
    return [] if labels is None else list(labels.names)


def _predicted(model: FittedModel, study: AnnData, **settings: Any) -> dict[str, Any]:
    """The most probable label of each cell, and its probability."""
    table = model.predict_labels(study, **settings)
    return {"label": [str(name) for name in table.idxmax(axis=1)], "confidence": table.max(axis=1).to_numpy()}


def _adopt(study: AnnData | Studies, model: FittedModel, modality: str | None = None) -> None:
    """Take the embedding that the study brings for this model's own, of a modality where it knows several."""
    if not isinstance(study, Mapping) and "embedding" in study.obsm:
        key = model.settings["key_added"]
        study.obsm[f"X_{key}"] = np.asarray(study.obsm["embedding"], dtype=np.float32)
        batches = {"batch_key": "batch"} if "batch" in study.obs else {}
        study.uns[key] = {"id": model.manifest.id, "modality": modality, "projection": batches}

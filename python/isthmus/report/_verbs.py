"""The report as a verb of the bridge: cells of both kinds in one study, since one study crosses at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import isthmus as im
from isthmus.pl._colors import as_categorical
from isthmus.report._baseline import baseline, choose_markers, log_normalised
from isthmus.report._cells import Cells
from isthmus.report._write import write, write_report

Say = Callable[[str], Any]


def report_inputs(
    study: AnnData,
    *,
    folder: str,
    labels: Sequence[str | None] | None = None,
    among: Sequence[str] | None = None,
    progress: Say | str = "silent",
) -> dict[str, Any]:
    """What a report needs of the whole reference: its embedding before integration, and genes that mark its labels.

    ``study`` is the reference with the batch column of the fit; ``labels`` (cells,) and ``among`` are as in
    :func:`isthmus.report.choose_markers`.
    """
    model = im.load(folder)
    markers: dict[str, list[str]] = {}
    if labels is not None:
        logged = log_normalised(study, model.settings["values"])
        markers = choose_markers(logged, study.var_names, labels, among)
    return {"before": baseline(model, study, seed=model.settings["seed"]), "markers": markers}


def report(
    study: AnnData,
    *,
    folder: str,
    file: str,
    markers: Mapping[str, Sequence[str]] | None = None,
    coverage: Mapping[str, Any] | None = None,
    title: str | None = None,
    notes: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Say | str = "silent",
) -> dict[str, Any]:
    """Write a report.

    ``study`` holds the reference cells and then the query cells: ``obs["role"]`` says which (``"reference"`` or
    ``"query"``), ``obs["batch"]``, ``["label"]``, ``["confidence"]``, ``["truth"]`` are there where known,
    ``obsm["embedding"]`` and ``obsm["before"]`` are the coordinates (NaN for cells without), ``X`` is the
    log-normalised expression of the marker genes.
    """
    model = im.load(folder)
    of_query = (study.obs["role"] == "query").to_numpy()
    write(
        file,
        model,
        _cells(study, ~of_query),
        _cells(study, of_query) if of_query.any() else None,
        markers=dict(markers or {}),
        coverage=dict(coverage) if coverage else None,
        title=title,
        notes=dict(notes or {}),
        facts=dict(facts or {}),
        seed=model.settings["seed"],
    )
    return {"file": file}


def report_modalities(
    studies: Mapping[str, AnnData],
    *,
    folder: str,
    file: str,
    labels_key: str | None = None,
    title: str | None = None,
    notes: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Say | str = "silent",
) -> dict[str, Any]:
    """Write the report of a fit of several modalities.

    ``studies`` are the modalities as they were fitted; ``obs["given"]`` are labels that the model gave, where known.
    """
    model = im.load(folder)
    for study in studies.values():
        study.obs = study.obs.rename(columns={"given": f"{model.settings['key_added']}_label"})
    seed = model.settings["seed"]
    write_report(
        file,
        model,
        studies,
        labels_key=labels_key,
        title=title,
        notes=dict(notes or {}),
        facts=dict(facts or {}),
        seed=seed,
    )
    return {"file": file}


def _cells(study: AnnData, rows: np.ndarray) -> Cells:
    obs = study.obs[rows]
    before = np.asarray(study.obsm["before"], dtype=np.float32)[rows] if "before" in study.obsm else None
    confidence = obs["confidence"].to_numpy(dtype=float) if "confidence" in obs else None
    x = study.X[rows] if study.n_vars else np.zeros((len(obs), 0))
    return Cells(
        z=np.asarray(study.obsm["embedding"], dtype=np.float32)[rows],
        batch=_groups(obs, "batch"),
        label=_groups(obs, "label"),
        confidence=None if confidence is None or np.isnan(confidence).all() else confidence,
        truth=_groups(obs, "truth"),
        before=None if before is None or np.isnan(before).any() else before,
        markers=_markers(x, study.var_names),
    )


def _groups(obs: pd.DataFrame, name: str) -> pd.Categorical | None:
    """A column as categories that some cell has; None where no cell has a value."""
    if name not in obs or obs[name].isna().all():
        return None
    return as_categorical(obs[name]).remove_unused_categories()


def _markers(x: Any, genes: pd.Index) -> pd.DataFrame:
    """Expression of the genes that were measured in these cells: those that are not all NaN."""
    table = pd.DataFrame(np.asarray(x.toarray() if hasattr(x, "toarray") else x), columns=list(genes))
    return table.loc[:, table.notna().any()]

"""Verbs of GLUE, which takes several studies at once: fit, and the links between features."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import isthmus as im
from isthmus._errors import InputError
from isthmus.genomics import GuidanceGraph, Intervals, guidance_graph
from isthmus.genomics._places import of_intervals
from isthmus.genomics._positions import Annotation, Features, joined
from isthmus.genomics._readers import kind_of, read_genes
from isthmus.genomics.builds import in_one_style

Say = Callable[[str], Any]
GUIDANCE = ("region", "upstream", "extend", "decay", "signs")  # settings of guidance_graph


def fit_glue(
    studies: Mapping[str, AnnData],
    *,
    folder: str,
    genes: str | os.PathLike | pd.DataFrame | None = None,
    edges: pd.DataFrame | None = None,
    progress: Say | str = "silent",
    **settings: Any,
) -> dict[str, Any]:
    """Build the guidance graph, fit GLUE and save the model into ``folder``.

    Parameters
    ----------
    studies
        One AnnData for each modality, the genes first.
    folder
        Where to save the model.
    genes
        Where the genes lie, see :func:`isthmus.genomics.guidance_graph`.
    edges
        The user's own graph instead of one from positions, see :meth:`isthmus.genomics.GuidanceGraph.from_frame`;
        positions then only tell where its links lie.
    progress
        Called with one line at a time.
    settings
        Those of ``guidance_graph`` (``region``, ``upstream``, ``extend``, ``decay``, ``signs``), all others of
        ``isthmus.tl.glue``.
    """
    placed = guidance_settings(settings)
    if edges is None:
        graph = guidance_graph(dict(studies), genes=genes, **placed)
    else:
        graph = GuidanceGraph.from_frame(edges, {name: list(one.var_names) for name, one in studies.items()})
        graph = replace(graph, positions=_positions(studies, genes, graph.features))
    model = im.tl.glue(dict(studies), graph, progress=progress, **settings)
    model.save(folder)
    return {**_written(model, studies), **describe_glue(model)}


def guidance(
    study: None = None,
    *,
    features: pd.DataFrame,
    modalities: Sequence[str],
    genes: str | os.PathLike | pd.DataFrame | None = None,
    progress: Say | str = "silent",
    **settings: Any,
) -> dict[str, Any]:
    """Build the guidance graph that a fit would build, as a table of edges.

    Parameters
    ----------
    study
        Not used.
    features
        Columns ``modality`` and ``feature``, and positions of those that have any (as in ``.var``), NaN elsewhere.
    modalities
        Their names, the genes first.
    genes, settings
        As in :func:`isthmus.genomics.guidance_graph`.
    progress
        Not used.
    """
    placed = features.set_index("feature")
    sides = {
        name: placed[placed["modality"] == name].drop(columns="modality").dropna(axis=1, how="all")
        for name in modalities
    }
    return {"edges": guidance_graph(sides, genes=genes, **settings).to_frame()}


def guidance_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of ``guidance_graph`` out of those of a verb."""
    return {name: settings.pop(name) for name in GUIDANCE if name in settings}


def _written(model: Any, studies: Mapping[str, AnnData]) -> dict[str, Any]:
    """What the fit made: embeddings, and with labels the label of every cell and its confidence, by modality."""
    latent = {name: model.latent_of(name) for name in model.modalities}
    out = {"embeddings": latent, "feature_embedding": np.asarray(model.feature_embedding)}
    if model.labels is None:
        return out
    stem = model.settings["key_added"]
    said = {name: studies[name].obs for name in model.modalities}
    return {
        **out,
        "label": {name: [str(label) for label in obs[f"{stem}_label"]] for name, obs in said.items()},
        "confidence": {name: obs[f"{stem}_confidence"].to_numpy() for name, obs in said.items()},
    }


def _positions(studies: Mapping[str, AnnData], genes: Any, features: pd.Index) -> pd.DataFrame | None:
    """Where features lie, as far as it is known: the user's edges need no positions, links can be drawn with them."""
    known = []
    for name, one in studies.items():
        side = Features.of(name, one)
        try:
            if name != next(iter(studies)):
                known.append(side.positions())
            else:
                known.append(side.genes(None if genes is None else Annotation.of(genes))[0])
        except InputError:  # of this modality no positions are known
            continue
    if not known:
        return None
    return of_intervals(joined(in_one_style(known))).reindex(features)


def describe_glue(model: Any) -> dict[str, Any]:
    """What a record of the model in another language holds; cells by modality."""
    return {
        "manifest": model.manifest.model_dump(),
        "history": model.history,
        "modalities": list(model.modalities),
        "cells": {name: list(model.cells_of(name)) for name in model.modalities},
        "features": list(model.features),
        "labels": [] if model.labels is None else list(model.labels.names),
    }


def predict_across(model: Any, study: AnnData, *, modality: str, target: str, **settings: Any) -> AnnData:
    """What cells of a modality would show in another."""
    return model.predict(study, modality, target, **settings)


def links(study: None = None, *, folder: str, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """The links between genes and peaks that a model of GLUE supports."""
    return {"links": load_glue(folder).links(**settings).reset_index(drop=True)}


def load_glue(folder: str) -> Any:
    """The model of a folder; others than those of GLUE are refused."""
    model = im.load(folder)
    if model.system != "glue":
        raise InputError("a model of 'glue'", f"a model of '{model.system}'", "fit one with GLUE")
    return model


def genes(study: None = None, *, path: str, progress: Say | str = "silent") -> dict[str, Any]:
    """Genes of a GTF, GFF3 or BED file, as a table of 0-based half-open positions with their names and known ids."""
    if kind_of(path) == "bed":
        found = Intervals.from_bed(path).one_per_name()
        return {"genes": found.to_frame().assign(gene_name=found.names).reset_index(drop=True)}
    table = read_genes(path)
    places = Intervals.from_frame(table).to_frame().reset_index(drop=True)
    return {"genes": places.assign(gene_name=table["gene_name"], gene_id=table["gene_id"])}

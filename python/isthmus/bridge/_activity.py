"""The guidance graph for gene activity: the peaks of a model of SAILERX, and genes that another language sends."""

from __future__ import annotations

import os
import warnings
from typing import Any

import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.genomics import GuidanceGraph, Intervals, guidance_graph
from isthmus.genomics._positions import Annotation, joined
from isthmus.tl import FittedModel


def activity_graph(
    model: FittedModel,
    *,
    genes: str | os.PathLike | pd.DataFrame | None = None,
    rna: pd.DataFrame | None = None,
    peaks: pd.DataFrame | None = None,
    **settings: Any,
) -> GuidanceGraph:
    """Join genes to the peaks of a model.

    Parameters
    ----------
    model
        Of SAILERX.
    genes
        Where the genes lie, see :func:`isthmus.genomics.guidance_graph`; not needed where ``rna`` says it.
    rna
        A row for each gene wanted, by name, with their positions or ids if there are any. None = every gene of
        ``genes``.
    peaks
        Positions of the model's peaks, by name; those that are not among them tell theirs by their names.
    settings
        Those of ``guidance_graph``: ``region``, ``upstream``, ``extend``, ``decay``, ``signs``.

    Returns
    -------
    GuidanceGraph
        Edges from genes to peaks.

    Raises
    ------
    InputError
        If the model is of another system, or as in ``guidance_graph``.
    """
    if not hasattr(model, "gene_activity"):
        raise InputError(
            "a model of 'sailerx', which imputes peaks", f"a model of '{model.system}'", "fit one with SAILERX"
        )
    wanted = Annotation.of(genes).all if rna is None else rna
    sides = {"rna": wanted, "atac": _placed(model.peaks.names, peaks)}
    return guidance_graph(sides, genes=None if rna is None else genes, **settings)


def _placed(names: pd.Index, table: pd.DataFrame | None) -> pd.Index | Intervals:
    """The peaks with their positions; or their names, where these alone tell."""
    if table is None:
        return names
    known = Intervals.from_frame(table, names=table.index)
    others = names.difference(table.index, sort=False)
    if not len(others):
        return known
    try:
        return joined([known, Intervals.from_names(others)])
    except InputError:  # a query may lack peaks, and names need not be positions
        warnings.warn(
            f"{len(others)} of the model's {len(names)} peaks have no position and are left out: "
            f"{shorten(list(others), 4)}.",
            stacklevel=2,
        )
        return known

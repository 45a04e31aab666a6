"""Verbs for targets of transcription factors: tables and a matrix of motifs in, tables and ranks out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from anndata import AnnData

from isthmus import genomics

Say = Callable[[str], Any]


def tf_targets(
    study: Mapping[str, AnnData],
    *,
    links: pd.DataFrame,
    motifs: pd.DataFrame | None = None,
    peaks: pd.DataFrame | None = None,
    progress: Say | str = "silent",
    **settings: Any,
) -> dict[str, Any]:
    """Find the targets of transcription factors through links.

    Parameters
    ----------
    study
        Has the motifs as ``"motifs"``, (TFs, peaks): so R's matrix of peaks x TFs crosses without a copy.
    links, peaks, settings
        As in :func:`isthmus.genomics.tf_targets`.
    motifs
        Instead of a matrix a table with the columns ``peak`` and ``tf``.
    progress
        Not used.
    """
    held = study["motifs"].T if motifs is None else motifs
    return {"targets": genomics.tf_targets(links, held, peaks, **settings)}


def tf_rankings(
    study: Any, *, table: pd.DataFrame, genes: pd.DataFrame, progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """(genes, TFs) ranks for each TF, and the names of the TFs; the genes are the column ``gene`` of their table."""
    ranks = genomics.tf_rankings(table, genes["gene"], **settings)
    return {"ranks": ranks.to_numpy(), "tfs": list(ranks.columns)}

"""The pictures of a report, as PNG inside the page; their legends are text of the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from isthmus import pl
from isthmus._optional import require
from isthmus.report._cells import Cells
from isthmus.tl._labels import UNKNOWN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 144
_UNKNOWN_COLOR = "#1c1c1c"


def label_colors(names: list[Any]) -> dict[Any, str]:
    """Colour of each label; unknown is nearly black, so that it is not taken for a type."""
    colors = pl.colors_of([name for name in names if name != UNKNOWN])
    return {name: colors.get(name, _UNKNOWN_COLOR) for name in names}


def layout(reference: Cells, query: Cells | None, seed: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """One UMAP of reference and query together, so that every map of the page shows the same places."""
    parts = [reference.z] if query is None else [reference.z, query.z]
    xy = pl.umap(np.vstack(parts), seed=seed)
    return xy[: len(reference.z)], xy[len(reference.z) :]


def cell_map(xy: NDArray[np.floating], groups: pd.Categorical, colors: Mapping[Any, str], title: str) -> str:
    """Cells at ``xy`` (cells, 2) in the colours of their groups; PNG in base64."""
    figure = _figure((4.4, 4.6))
    ax = figure.subplots()
    holder = AnnData(obs=pd.DataFrame({"group": groups}, index=_rows(xy)), obsm={"X_umap": xy})
    pl.embedding(holder, "umap", "group", ax=ax, title=title, palette=dict(colors))
    return _png(figure)


def query_map(
    below: NDArray[np.floating],
    above: NDArray[np.floating],
    groups: pd.Categorical | None,
    colors: Mapping[Any, str],
    title: str,
) -> str:
    """Query cells over the grey reference; PNG in base64."""
    figure = _figure((4.4, 4.6))
    ax = figure.subplots()
    reference = AnnData(obs=pd.DataFrame(index=_rows(below)), obsm={"X_umap": below})
    obs = pd.DataFrame(index=_rows(above))
    if groups is not None:
        obs["group"] = groups
    query = AnnData(obs=obs, obsm={"X_umap": above})
    color = None if groups is None else "group"
    pl.projection(reference, query, "umap", color, ax=ax, title=title, palette=dict(colors))
    return _png(figure)


def training_curves(history: pd.DataFrame) -> dict[str, str]:
    """Every term of the loss over the epochs, the whole loss first; PNGs in base64."""
    terms = [c.removeprefix("train_") for c in history.columns if c.startswith("train_")]
    pictures = {}
    for term in sorted(terms, key=lambda term: term not in ("loss", "total")):
        figure = _figure((4.0, 3.0))
        pl.history(history, [term], axes=[figure.subplots()])
        pictures[term] = _png(figure, legend=True)
    return pictures


def consistency_curve(table: pd.DataFrame) -> str:
    """Integration consistency over the number of groups; PNG in base64."""
    figure = _figure((4.4, 3.2))
    pl.consistency(table, ax=figure.subplots())
    return _png(figure)


def link_arcs(links: pd.DataFrame, gene: str, fdr: float) -> str:
    """The links of a gene as arcs; PNG in base64."""
    figure = _figure((8.6, 3.6))
    pl.links(links, gene=gene, fdr=fdr, ax=figure.subplots())
    return _png(figure, legend=True)


def _rows(xy: NDArray[np.floating]) -> list[str]:
    return [str(row) for row in range(len(xy))]


def _figure(size: tuple[float, float]) -> Figure:
    """A figure of its own, that no window system and no other plot of the session knows."""
    return require("matplotlib.figure", extra="plot").Figure(figsize=size, layout="constrained")


def _png(figure: Figure, legend: bool = False) -> str:
    """The picture; without its legend where that is text of the page."""
    for box in [] if legend else [ax.get_legend() for ax in figure.axes]:
        if box is not None:
            box.remove()
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=_DPI, facecolor="white")
    return base64.b64encode(target.getvalue()).decode("ascii")

"""Axes, legends and points in one style."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus._optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY = "#d5d8dc"  # cells in the background
INK = "#333333"
_ROWS = 16  # legend entries per column


def new_axes(ax: Axes | None, size: tuple[float, float] = (5.0, 4.6)) -> Axes:
    """Return the given Axes, or those of a new figure (inches)."""
    if ax is not None:
        return ax
    plt = require("matplotlib.pyplot", extra="plot")
    return plt.subplots(figsize=size, layout="constrained")[1]


def square(ax: Axes, title: str | None, axis_name: str) -> None:
    """Make a square map without ticks, since a position on a map means nothing alone."""
    ax.set_box_aspect(1)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(f"{axis_name} 1", fontsize=9, color=INK, loc="left")
    ax.set_ylabel(f"{axis_name} 2", fontsize=9, color=INK, loc="bottom")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#999999")
    ax.margins(0.04)
    if title is not None:
        ax.set_title(title, fontsize=11, color=INK)


def scatter(ax: Axes, xy: NDArray[np.floating], colors: Any, size: float | None = None, **kwargs: Any) -> Any:
    """Draw points without outlines, rasterised so that a PDF of a million cells stays small."""
    area = point_size(len(xy)) if size is None else size
    return ax.scatter(xy[:, 0], xy[:, 1], c=colors, s=area, linewidths=0, rasterized=True, **kwargs)


def point_size(n: int) -> float:
    """Area of a point, in square points: large enough to see its colour, small enough not to blot."""
    return float(np.clip(30_000 / max(n, 1), 1.0, 20.0))


def legend(ax: Axes, entries: Mapping[str, Any], title: str | None = None) -> None:
    """List names and colours beside the Axes."""
    lines = require("matplotlib.lines", extra="plot")
    handles = [
        lines.Line2D([], [], marker="o", linestyle="", markersize=6, markeredgewidth=0, color=color, label=name)
        for name, color in entries.items()
    ]
    box = ax.legend(
        handles=handles,
        title=title,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=9,
        title_fontsize=9,
        labelcolor=INK,
        handletextpad=0.2,
        borderaxespad=0.2,
        columnspacing=1.0,
        ncols=-(-len(handles) // _ROWS),
    )
    box.set_in_layout(True)


def names_on_map(ax: Axes, xy: NDArray[np.floating], names: NDArray[Any], order: list[Any]) -> None:
    """Write each name in the middle of its cells, with a white rim; names that would touch move apart."""
    effects = require("matplotlib.patheffects", extra="plot")
    span = np.ptp(xy, axis=0) + 1e-12
    middles = np.array([_middle(xy[names == name]) for name in order]).reshape(-1, 2)
    # A letter takes about 2.3 % of the width, a line about 4.5 % of the height of the map.
    widths = np.array([0.023 * len(str(name)) for name in order])
    places = spread(middles / span, widths, 0.045) * span
    for name, (x, y) in zip(order, places, strict=True):
        text = ax.text(x, y, str(name), ha="center", va="center", fontsize=9, color="black", zorder=3)
        text.set_path_effects([effects.withStroke(linewidth=2.5, foreground="white")])


def _middle(xy: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the cell nearest to the median, which itself may lie in the void between two clumps."""
    return xy[((xy - np.median(xy, axis=0)) ** 2).sum(axis=1).argmin()]


def spread(
    centers: NDArray[np.floating], widths: NDArray[np.floating], height: float, rounds: int = 200
) -> NDArray[np.floating]:
    """Move boxes ``(boxes, 2)`` up and down until none covers another."""
    places = centers.copy()
    reach = (widths[:, None] + widths[None]) / 2
    # Boxes at the same height are told apart by their order, else they would not know who goes up.
    above = np.sign(np.subtract.outer(np.arange(len(places)), np.arange(len(places))))
    for _ in range(rounds):
        dx, dy = (places[:, None] - places[None]).transpose(2, 0, 1)
        lack = np.where(np.abs(dx) < reach, np.maximum(height - np.abs(dy), 0), 0)
        np.fill_diagonal(lack, 0)
        if not (lack > 1e-9).any():
            break
        places[:, 1] += (lack * np.where(dy == 0, above, np.sign(dy))).sum(axis=1) / 4
    return places

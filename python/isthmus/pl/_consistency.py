"""The curve of integration consistency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from isthmus._errors import InputError
from isthmus.pl._axes import INK, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE, _MARK = "#3f90da", "#bd1f01"
TRUSTED = 0.05  # the authors' rule of thumb


def consistency(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw integration consistency over the number of metacells, with the line that it should stay above.

    Parameters
    ----------
    table
        What :func:`isthmus.metrics.integration_consistency` gives: columns ``n_metacells`` and ``consistency``.
    ax
        Axes to draw on; default a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The figure is ``ax.figure``.

    Raises
    ------
    InputError
        If a column is absent or there is no score to draw.
    EnvironmentProblem
        If matplotlib is missing.

    References
    ----------
    Cao and Gao 2022, Nature Biotechnology 40:1458: below 0.05 an integration is not to be trusted.
    """
    columns = list(getattr(table, "columns", []))
    if not {"n_metacells", "consistency"} <= set(columns) or table["consistency"].isna().all():
        raise InputError(
            "a table with columns 'n_metacells' and 'consistency' and at least one score",
            f"{len(table)} rows with the columns {columns}",
            "pass what im.metrics.integration_consistency() gives",
        )
    ax = new_axes(ax, (4.2, 3.1))
    scored = table.dropna(subset="consistency").sort_values("n_metacells")
    x, y = scored["n_metacells"].to_numpy(dtype=float), scored["consistency"].to_numpy(dtype=float)
    ax.plot(x, y, color=_LINE, linewidth=1.8, marker="o", markersize=4.5, clip_on=False, zorder=3)
    ax.axhline(TRUSTED, color=_MARK, linewidth=1, linestyle="--", zorder=1)
    over = y[0] > TRUSTED  # the curve starts there, so that the words stand on the other side of the line
    ax.annotate(
        f"{TRUSTED:g}, the least to trust", (0, TRUSTED), xycoords=("axes fraction", "data"),
        xytext=(4, -3 if over else 3), textcoords="offset points", va="top" if over else "bottom", fontsize=8,
        color=_MARK,
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks(x, [f"{k:g}" for k in x])
    ax.set_xticks([], minor=True)
    ax.set_ylim(min(0.0, 1.15 * y.min()), 1.15 * max(y.max(), 2 * TRUSTED))
    ax.set_xlabel("metacells", fontsize=9, color=INK)
    ax.set_ylabel("integration consistency", fontsize=9, color=INK)
    ax.tick_params(labelsize=8, colors=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)
    return ax

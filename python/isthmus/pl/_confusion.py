"""Transferred labels against true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from isthmus.data.categories import text_of
from isthmus.metrics._inputs import Labels, as_text
from isthmus.metrics._transfer import as_pair
from isthmus.pl._axes import INK, new_axes
from isthmus.pl._colors import as_categorical

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion(
    predicted: Labels,
    truth: Labels,
    *,
    normalize: bool = True,
    unknown: Any = "unknown",
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw transferred against true labels: one row per true type, one column per label given.

    Parameters
    ----------
    predicted
        Transferred label of each cell, ``(cells,)``; missing ones count as ``unknown``, which is the last
        column. Labels are compared as text, so that ``1`` is ``"1"``.
    truth
        True label, ``(cells,)``; cells without one are left out.
    normalize
        Show the share of each row (percent) instead of counts.
    unknown
        The value that stands for not answered.
    ax
        Axes to draw on; default a new figure as large as the table needs.
    title
        Default the share of cells with the right label.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    InputError
        If lengths differ, no cell has a true label, or ``unknown`` is a true label.
    EnvironmentProblem
        If matplotlib is missing.
    """
    table = _crosstab(predicted, truth, unknown)
    counts = table.to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / totals
    side = 0.36
    ax = new_axes(ax, (side * counts.shape[1] + 3.0, side * counts.shape[0] + 2.2))
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for i, j in np.argwhere(counts > 0):
        text = f"{100 * shares[i, j]:.0f}" if normalize else f"{counts[i, j]}"
        if text == "0":  # a share that rounds to nothing is noise to the eye
            continue
        ax.text(j, i, text, ha="center", va="center", fontsize=7, color="white" if shares[i, j] > 0.55 else INK)
    names = [f"{name}  ({n:,})" for name, n in zip(table.index, totals[:, 0], strict=True)]
    ax.set_yticks(range(len(names)), names)
    ax.set_xticks(range(counts.shape[1]), table.columns, rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    ax.set_ylabel("true type (cells)", fontsize=9, color=INK)
    ax.set_xlabel("transferred label", fontsize=9, color=INK)
    ax.spines[:].set_color("#cccccc")
    right = sum(table.at[name, name] for name in table.index if name in table.columns) / counts.sum()
    ax.set_title(f"{100 * right:.1f} % right" if title is None else title, fontsize=11, color=INK)
    _scale(ax, image)
    return ax


def _scale(ax: Axes, image: Any) -> None:
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.6, aspect=18, pad=0.02, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["0", "50", "100"], fontsize=8)
    bar.set_label("% of the true type", fontsize=8, color=INK)
    bar.outline.set_visible(False)


def _crosstab(predicted: Labels, truth: Labels, unknown: Any) -> pd.DataFrame:
    """Cells by true type and given label; columns follow the rows, then other labels, then the unknown."""
    wanted, names, given, given_names = as_pair(predicted, truth, unknown)
    unknown = text_of(unknown)
    given_names = given_names.append(pd.Index([unknown]))  # -1, a missing label, is the last of them
    rows = pd.Series(names.to_numpy()[wanted], dtype=object).where(wanted >= 0)
    columns = pd.Series(given_names.to_numpy()[given], dtype=object)
    table = pd.crosstab(rows, columns)
    order = _order(truth, table.index)
    others = sorted((c for c in table.columns if c not in order and c != unknown), key=str)
    last = [unknown] if unknown in table.columns else []
    return table.reindex(index=order, columns=order + others + last, fill_value=0)


def _order(truth: Labels, present: pd.Index) -> list[str]:
    if not isinstance(truth, pd.Series):
        truth = pd.Series(truth, dtype=getattr(truth, "dtype", object))
    return [name for name in as_text(as_categorical(truth).categories)[1] if name in present]  # 2 comes before 10

"""The training curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus._optional import require
from isthmus.pl._axes import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRAINING, _VALIDATION, _BEST = "#3f90da", "#bd1f01", "#717581"


def history(source: Any, terms: Sequence[str] | None = None, *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw every term of the loss over the epochs, training beside held-out cells, one panel per term.

    The epoch with the least held-out loss, whose weights the model keeps, is marked.

    Parameters
    ----------
    source
        Fitted model, or its history: a table with ``epoch`` and columns ``train_<term>``,
        ``validation_<term>``.
    terms
        Which terms, in which order; default all, the whole loss first.
    axes
        Axes to draw on, one per term; default a new figure with a row of panels.

    Returns
    -------
    list of matplotlib.axes.Axes
        One per term; the figure is ``axes[0].figure``.

    Raises
    ------
    InputError
        If the history is empty or lacks a term, or there are not as many Axes as terms.
    EnvironmentProblem
        If matplotlib is missing.
    """
    table = _table(source)
    found = _terms(table)
    chosen = found if terms is None else list(terms)
    missing = [term for term in chosen if term not in found]
    if missing or not chosen:
        raise InputError(
            f"terms of the loss among {found}",
            f"{missing or 'none'}",
            "leave terms out, or name some of these",
        )
    if axes is None:
        plt = require("matplotlib.pyplot", extra="plot")
        size = (3.5 * len(chosen) + 0.4, 3.1)
        axes = plt.subplots(1, len(chosen), figsize=size, squeeze=False, layout="constrained")[1][0]
    axes = list(np.atleast_1d(np.asarray(axes, dtype=object)))
    if len(axes) != len(chosen):
        raise InputError(f"one Axes for each of {chosen}", f"{len(axes)}", "pass as many Axes as terms")
    best = best_epoch(table)
    for ax, term in zip(axes, chosen, strict=True):
        _panel(ax, table, term, best)
    # One legend for all panels, since a term may be known for held-out cells only.
    lines = {line.get_label(): line for ax in axes for line in ax.lines if line.get_label()[0] != "_"}
    order = [label for label in ("training", "held out") if label in lines]
    order += [label for label in lines if label not in order]
    axes[0].legend([lines[label] for label in order], order, frameon=False, fontsize=8, labelcolor=INK)
    return axes


def best_epoch(table: pd.DataFrame) -> float | None:
    """Epoch whose weights were kept: that with the least held-out loss, or None where nothing was held out.

    Of a fit in phases the last one counts: each has a loss of its own, and starts from the weights of the one before.
    """
    if "phase" in table:
        table = table[table["phase"] == table["phase"].iloc[-1]]
    column = table.get("validation_loss", table.get("validation_total"))
    if column is None or column.isna().all():
        return None
    return float(table["epoch"].iloc[int(np.nanargmin(column.to_numpy(dtype=float)))])


def _table(source: Any) -> pd.DataFrame:
    table = pd.DataFrame(getattr(source, "history", source))
    if table.empty or "epoch" not in table:
        raise InputError(
            "a history with a row per epoch and a column 'epoch'",
            f"{len(table)} rows with the columns {list(table.columns)}",
            "pass a fitted model, or model.history",
        )
    return table


def _terms(table: pd.DataFrame) -> list[str]:
    """Names of the terms, the whole loss first, the others as they come."""
    stems = [str(column).partition("_") for column in table.columns]
    terms = list(dict.fromkeys(term for kind, _, term in stems if kind in ("train", "validation") and term))
    return sorted(terms, key=lambda term: term not in ("loss", "total"))


def _panel(ax: Axes, table: pd.DataFrame, term: str, best: float | None) -> None:
    shown = []
    for kind, color, name in (("train", _TRAINING, "training"), ("validation", _VALIDATION, "held out")):
        column = table.get(f"{kind}_{term}")
        if column is None or column.isna().all():
            continue
        seen = column.notna()
        marker = "o" if seen.sum() < 3 else None  # a line of one point cannot be seen
        ax.plot(table["epoch"][seen], column[seen], color=color, label=name, linewidth=1.8, marker=marker)
        shown.append(column[seen].to_numpy(dtype=float))
    if best is not None:
        ax.axvline(best, color=_BEST, linewidth=1, linestyle=":", label=f"best epoch ({best:g})", zorder=1)
    _limits(ax, shown)
    ax.set_title(term.replace("_", " "), fontsize=11, color=INK)
    ax.set_xlabel("epoch", fontsize=9, color=INK)
    ax.tick_params(labelsize=8, colors=INK)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)


def _limits(ax: Axes, curves: list[np.ndarray]) -> None:
    """Cut off the first epoch where it would squash all that follows."""
    tails = [curve[len(curve) // 10 + 1 :] for curve in curves if len(curve) >= 10]
    if not tails:
        return
    low, high = min(c.min() for c in curves), max(c.max() for c in curves)
    tail = np.concatenate(tails)
    if high - low > 4 * (tail.max() - low) > 0:
        ax.set_ylim(low - 0.1 * (tail.max() - low), low + 1.6 * (tail.max() - low))

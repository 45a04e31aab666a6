"""Colours of categories: the user's where recorded, else a palette that colour-blind readers can use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus._optional import require

# Petroff 2021 (arXiv:2107.02270): ten colours chosen for contrast under all common kinds of colour-blindness,
# and for even lightness. Beyond ten no palette can promise that; names on the map help then.
_TEN = [
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
]


def palette(n: int) -> list[str]:
    """Return ``n`` distinct colours."""
    if n <= len(_TEN):
        return _TEN[:n]
    from scanpy.plotting import palettes

    for colors in (palettes.default_20, palettes.default_28, palettes.default_102):
        if n <= len(colors):
            return list(colors[:n])
    colormap = require("matplotlib", extra="plot").colormaps["turbo"]
    return [require("matplotlib.colors", extra="plot").to_hex(colormap(x)) for x in np.linspace(0, 1, n)]


def colors_of(
    categories: Sequence[Any], recorded: Sequence[Any] | None = None, given: dict[Any, Any] | None = None
) -> dict[Any, str]:
    """Give each category its colour.

    Parameters
    ----------
    categories
        All categories in their order, also those that no cell has, so that a subset keeps its colours.
    recorded
        Colours recorded with them, such as ``adata.uns["cell_type_colors"]``; used where they are long
        enough. Names, hexadecimal codes or RGB(A) values of 0..1, as in ``given``.
    given
        Colours by name that win over all others.

    Returns
    -------
    dict
        Category to colour, a hexadecimal code.

    Raises
    ------
    InputError
        If a given colour is no colour.
    """
    usable = recorded is not None and len(recorded) >= len(categories)
    found = dict(zip(categories, recorded if usable else palette(len(categories)), strict=False))
    found |= {name: color for name, color in (given or {}).items() if name in found}
    colors = require("matplotlib.colors", extra="plot")
    for name, color in found.items():
        if not colors.is_color_like(color):
            raise InputError(
                "colours that matplotlib knows",
                f"{color!r} for {name!r}",
                "give names, hexadecimal codes such as '#3f90da' or RGB values of 0..1",
            )
    return {name: colors.to_hex(color, keep_alpha=colors.to_rgba(color)[3] < 1) for name, color in found.items()}


def as_categorical(values: pd.Series) -> pd.Categorical:
    """Return the values as categories, in natural order where they have none of their own."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return pd.Categorical(values)
    names = pd.unique(values.dropna())
    try:
        order = sorted(names)
    except TypeError:  # of several types
        order = sorted(names, key=str)
    return pd.Categorical(values, categories=order)

"""The door of the scores: arrays are checked here once, nothing inside checks again."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus.data.categories import text_of

Labels = Sequence[Any] | NDArray[Any] | pd.Series | pd.Categorical


def as_embedding(values: ArrayLike, name: str = "embedding") -> NDArray[np.float64]:
    """Return the coordinates as finite float64 ``(cells, latent)``.

    Raises
    ------
    InputError
        If they are not a matrix of numbers, hold NaN or infinity, or have fewer than two cells.
    """
    if isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    if hasattr(values, "toarray"):
        values = values.toarray()
    try:
        z = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the {name} to be a matrix of numbers",
            f"something NumPy cannot read as numbers ({error})",
            'pass coordinates such as adata.obsm["X_scalex"]',
        ) from error
    if z.ndim != 2 or z.shape[1] == 0:
        raise InputError(
            f"the {name} to have two dimensions, cells and latent",
            f"shape {z.shape}",
            'pass coordinates such as adata.obsm["X_scalex"]',
        )
    if len(z) < 2:
        raise InputError(f"at least two cells in the {name}", f"{len(z)}", "score more cells together")
    bad = ~np.isfinite(z).all(axis=1)
    if bad.any():
        raise InputError(
            f"only finite values in the {name}",
            f"NaN or infinity in {bad.sum()} of {len(z)} cells, the first at row {int(bad.argmax())}",
            "fit the model again or leave these cells out; if training diverged, lower the learning rate",
        )
    return z


def as_codes(values: Labels, n_cells: int, name: str) -> tuple[NDArray[np.intp], pd.Index]:
    """Turn labels into integer codes ``(cells,)``; -1 stands for a missing one (None, NaN, NA).

    Raises
    ------
    InputError
        If there is not one value per cell.
    """
    if np.ndim(values) != 1:
        raise InputError(
            f"one value per cell in {name}",
            f"an array of shape {np.shape(values)}",
            'pass one column, such as adata.obs["cell_type"]',
        )
    if len(values) != n_cells:
        raise InputError(
            f"as many values in {name} as cells ({n_cells})",
            f"{len(values)} values",
            f"take the embedding and the {name} from the same object, with the same subset of cells",
        )
    if not isinstance(values, (pd.Series, pd.Categorical, pd.Index)):
        values = pd.Series(values, dtype=None if isinstance(values, np.ndarray) else object)
    codes, names = pd.factorize(values, use_na_sentinel=True)
    return codes, pd.Index(names)


def as_text(names: Iterable[Any]) -> tuple[NDArray[np.intp], pd.Index]:
    """Which text each name is, and the texts: 1, 1.0 and ``"1"`` are the same label."""
    codes, texts = pd.factorize(np.array([text_of(name) for name in names], dtype=object))
    return codes, pd.Index(texts, dtype=object)


def as_batches(values: Labels, n_cells: int) -> tuple[NDArray[np.intp], int]:
    """Return batch codes and their number; every cell needs a batch and there must be two.

    Raises
    ------
    InputError
        If a cell has no batch, or all have the same.
    """
    codes, names = as_codes(values, n_cells, "batches")
    if (codes < 0).any():
        raise InputError(
            "a batch for every cell",
            f"{(codes < 0).sum()} of {n_cells} cells without one",
            "fill in the missing batches or leave these cells out",
        )
    if len(names) < 2:
        raise InputError(
            "at least two batches to score their mixing",
            f"one, {names[0]!r}",
            "check the column with the batches; a single batch has nothing to mix",
        )
    return codes, len(names)


def labelled(
    values: Labels, n_cells: int, at_least: int = 2
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.intp]]:
    """Return the codes of the labelled cells, the mask ``(cells,)`` that picks them, each label's size.

    Cells without a label are left out, and a warning counts them.

    Raises
    ------
    InputError
        If fewer than ``at_least`` different labels are left.
    """
    codes, names = as_codes(values, n_cells, "labels")
    keep = codes >= 0
    if len(names) < at_least:
        raise InputError(
            f"at least {at_least} different labels",
            f"{len(names)} ({', '.join(map(repr, names)) or 'no cell has a label'})",
            "check the column with the labels, and that missing labels are not all there is",
        )
    if not keep.all():
        warnings.warn(f"{(~keep).sum()} of {n_cells} cells have no label and are left out of the score.", stacklevel=3)
    return codes[keep], keep, np.bincount(codes[keep])

"""Columns of cell types: which cells have one, which types there are, and their codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories
from isthmus.data.study import obs_column

MISSING = ("", "NA", "NaN", "nan", "None", "unknown", "Unknown")  # words that stand for a label that is not known


def known_labels(adata: AnnData, labels_key: str) -> pd.Series:
    """A column of cell types; NaN where a word says that the type is not known."""
    column = obs_column(
        adata, labels_key, "a column of obs with the cell types", "name one of these columns, or leave the labels out"
    )
    return without_missing(column)


def without_missing(column: pd.Series) -> pd.Series:
    """The column, with NaN in place of words that say that the type is not known."""
    return column.where(~column.astype(str).isin(MISSING))


def label_categories(column: pd.Series, name: str) -> Categories:
    """The types in a column that :func:`known_labels` gave.

    Raises
    ------
    InputError
        If there are fewer than two, of which nothing can be learned.
    """
    known = column[column.notna()]
    if known.nunique() < 2:
        raise InputError(
            f"at least two cell types in column '{name}'",
            f"{known.nunique()}, and {len(column) - len(known)} cells without a label",
            "name a column with more types, or leave the labels out",
        )
    return Categories.of(known)


def label_codes(labels: Categories, column: pd.Series) -> np.ndarray:
    """(cells,) int64 codes of the types, -1 where not known."""
    code, known = np.full(len(column), -1, dtype=np.int64), column.notna().to_numpy()
    code[known] = labels.encode(column[known], "label")
    return code

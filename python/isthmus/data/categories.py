"""Categories that keep their codes for the life of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from isthmus._errors import InputError


@dataclass(frozen=True)
class Categories:
    """Names and their codes: the code of a name is its position.

    Attributes
    ----------
    names
        Distinct names, in the order of the factor they came from, else sorted.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, values: pd.Series | Sequence) -> Categories:
        """Learn the categories of a column; unused levels of a factor are left out."""
        column = pd.Series(values)
        if isinstance(column.dtype, pd.CategoricalDtype):
            used = column.cat.remove_unused_categories().cat.categories
            return cls(tuple(str(name) for name in used))
        return cls(tuple(sorted(column.astype(str).unique())))

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, values: pd.Series | Sequence, what: str = "batch") -> np.ndarray:
        """Codes of ``values``.

        Parameters
        ----------
        values
            Names, one a cell.
        what
            What the column is called in an error.

        Returns
        -------
        numpy.ndarray
            (cells,) int64.

        Raises
        ------
        InputError
            If a name is unknown.
        """
        column = pd.Series(values).astype(str)
        codes = pd.Index(self.names).get_indexer(column)
        if (codes < 0).any():
            unknown = sorted(set(column[codes < 0]))
            raise InputError(
                f"a {what} that the model was trained with: {shorten(self.names)}",
                f"{shorten(unknown)}",
                "give a known name, or use project() for cells of a new batch",
            )
        return codes.astype(np.int64)


def shorten(names: Sequence[str], most: int = 6) -> str:
    """Names as text, at most ``most`` of them: ``'a', 'b' and 7 more``."""
    shown = ", ".join(f"'{name}'" for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

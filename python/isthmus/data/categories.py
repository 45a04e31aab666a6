"""Categories that keep their codes for the life of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
            return cls(tuple(dict.fromkeys(text_of(name) for name in used)))
        return cls(tuple(sorted({text_of(name) for name in column.unique()})))

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
        code = self.find(values)
        if (code < 0).any():
            distinct = pd.factorize(pd.Series(values)[code < 0], use_na_sentinel=False)[1]
            unknown = sorted(text_of(name) for name in distinct)
            raise InputError(
                f"a {what} that the model was trained with: {shorten(self.names)}",
                f"{shorten(unknown)}",
                "give a known name, or project cells of a new batch",
            )
        return code

    def find(self, values: pd.Series | Sequence) -> np.ndarray:
        """(cells,) int64 codes of ``values``; -1 for names that are unknown."""
        entry, distinct = pd.factorize(pd.Series(values), use_na_sentinel=False)
        codes = {_whole(name): code for code, name in enumerate(self.names)}
        codes |= {name: code for code, name in enumerate(self.names)}
        found = [codes.get(text_of(name), -1) for name in distinct]  # of each name once: columns are long
        return np.array(found, dtype=np.int64)[entry]

    def imitated(self, names: str | Sequence[str] | None) -> list[int]:
        """Codes of the batches to decode as: of one or several names; None or ``"average"`` = all of them.

        Raises
        ------
        InputError
            If a name is unknown or there is none.
        """
        if names is None or (isinstance(names, str) and names == "average" and names not in self.names):
            return list(range(len(self)))
        names = [names] if np.isscalar(names) else list(names)
        if not names:
            raise InputError("at least one batch to imitate", "none", "name one, or give batch=None for their average")
        return [int(code) for code in self.encode(names)]


def text_of(name: Any) -> str:
    """A batch or label as text, whole numbers without a point: missing values make 1.0 of the 1 in a column."""
    whole = isinstance(name, (float, np.floating)) and float(name).is_integer()
    return str(int(name)) if whole else str(name)


def _whole(name: str) -> str:
    """``"1"`` for a category ``"1.0"``, as earlier versions wrote 1.0; others as they are."""
    return re.sub(r"^(-?\d+)\.0$", r"\1", name)


def shorten(names: Sequence[str], most: int = 6) -> str:
    """Names as text, at most ``most`` of them: ``'a', 'b' and 7 more``."""
    shown = ", ".join(f"'{name}'" for name in list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

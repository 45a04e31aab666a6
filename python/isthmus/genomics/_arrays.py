"""Small helpers on arrays."""

from __future__ import annotations

import numpy as np


def read_only(values: np.ndarray) -> np.ndarray:
    """The same memory, which nobody may write to through this view."""
    view = values.view()
    view.flags.writeable = False
    return view


def is_in(values: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Whether each value is in ``pool``, which is sorted; for keys of edges much faster than ``numpy.isin``."""
    if not pool.size:
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(pool, values), len(pool) - 1)
    return pool[place] == values

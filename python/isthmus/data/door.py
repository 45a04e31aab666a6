"""The one door: what a study must satisfy, checked once, with errors that teach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError

BLOCK = 1 << 20  # entries looked at together: keeps the check in the processor's cache
LARGEST_LOG = 25.0  # log1p of 7e10: above it, values are not logarithms of anything a sequencer counts


def check_choice(value: object, allowed: Sequence[str], what: str) -> None:
    """``value`` is one of the words in ``allowed``."""
    if value not in allowed:
        words = " or ".join(f"'{word}'" for word in allowed)
        raise InputError(f"{what} to be {words}", f"{value!r}", "use one of these words")


def check_number(value: float, what: str, least: float, most: float = np.inf, whole: bool = False) -> None:
    """``value`` is a number in ``[least, most]``, whole if asked."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not least <= value <= most or (whole and not float(value).is_integer()):
        kind = "a whole number" if whole else "a number"
        bounds = f"of at least {least:g}" if most == np.inf else f"from {least:g} to {most:g}"
        raise InputError(f"{what} to be {kind} {bounds}", f"{value!r}", f"change {what}")


def check_unique(names: pd.Index, what: str) -> None:
    """No name stands twice."""
    if not names.is_unique:
        twice = names[names.duplicated()]
        raise InputError(
            f"unique {what} names",
            f"{len(twice.unique())} names that stand more than once, such as '{twice[0]}'",
            f"make the {what} names unique (in Python adata.{'obs' if what == 'cell' else 'var'}_names_make_unique(), "
            "in R make.unique())",
        )


def check_counts(x: sp.csr_matrix, cells: pd.Index, layer: str | None) -> None:
    """Raw counts: finite, non-negative, whole numbers; no cell without counts."""
    for start in range(0, x.data.size, BLOCK):
        block = x.data[start : start + BLOCK]
        _check_finite(block, start, x, cells)
        if block.dtype.kind == "f" and (wrong := block != np.floor(block)).any():
            _refuse_fractions(float(block[wrong.argmax()]), layer)
        if block.size and block.min() < 0:
            _refuse_negative(float(block.min()), "counts")
    _check_empty_cells(x, cells)


def check_lognorm(x: sp.csr_matrix, cells: pd.Index, layer: str | None) -> None:
    """Log-normalised values: finite, non-negative, neither so large nor so whole that they must be counts."""
    whole = x.data.size > 0
    for start in range(0, x.data.size, BLOCK):
        block = x.data[start : start + BLOCK]
        whole = whole and bool((block == np.floor(block)).all())
        _check_finite(block, start, x, cells)
        if block.size and block.min() < 0:
            _refuse_negative(float(block.min()), "log-normalised values")
        if block.size and block.max() > LARGEST_LOG:
            raise InputError(
                "log-normalised values (natural logarithm of depth-normalised counts plus one)",
                f"a value of {block.max():g}",
                "give values='counts' if these are raw counts",
            )
    if whole:
        raise InputError(
            "log-normalised values (natural logarithm of depth-normalised counts plus one)",
            f"whole numbers alone in {'X' if layer is None else f'layer {layer!r}'}",
            "give values='counts' if these are raw counts, or name the layer or assay that holds the logarithms",
        )
    _check_empty_cells(x, cells)


def check_values(x: sp.csr_matrix, cells: pd.Index, layer: str | None) -> None:
    """Any finite numbers; a cell may be zero throughout, as zero is a value like others here."""
    for start in range(0, x.data.size, BLOCK):
        _check_finite(x.data[start : start + BLOCK], start, x, cells)


def check_enough_cells(n_cells: int, least: int) -> None:
    """There are cells enough for one mini-batch."""
    if n_cells < least:
        raise InputError(
            f"at least {least} cells, one mini-batch",
            f"{n_cells} cells",
            f"give more cells, or a batch_size of at most {max(n_cells, 2)}",
        )


def _check_finite(block: np.ndarray, start: int, x: sp.csr_matrix, cells: pd.Index) -> None:
    if block.dtype.kind == "f" and not np.isfinite(block.sum()):
        wrong = ~np.isfinite(block)
        if wrong.any():  # a sum can overflow where no entry does
            entry = start + int(wrong.argmax())
            cell = cells[int(np.searchsorted(x.indptr, entry, side="right")) - 1]
            raise InputError(
                "finite numbers",
                f"{block[wrong.argmax()]} in cell '{cell}'",
                "remove or replace missing values first",
            )


def _refuse_fractions(value: float, layer: str | None) -> None:
    raise InputError(
        "raw counts (whole numbers)",
        f"{value:g} in {'X' if layer is None else f'layer {layer!r}'}, which looks normalised",
        "name the layer or assay that holds raw counts; to verbs that take log-normalised values (log1p of a common "
        "depth), say values='lognorm'",
    )


def _refuse_negative(value: float, what: str) -> None:
    raise InputError(
        f"non-negative {what}",
        f"{value:g}",
        "give values that were not centred or scaled, such as the raw counts",
    )


def _check_empty_cells(x: sp.csr_matrix, cells: pd.Index) -> None:
    empty = np.flatnonzero(np.diff(x.indptr) == 0)
    if empty.size:
        raise InputError(
            "at least one count in every cell",
            f"{empty.size} of {x.shape[0]} cells without any, such as '{cells[empty[0]]}'",
            "leave empty cells out first",
        )

"""The door for several modalities: one study each, and which of their cells are the same cell."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.study import Study, from_anndata

FIRST_WORD, LAST_WORD = r"^[^-_.:#|]*[-_.:#|]", r"[-_.:#|][^-_.:#|]*$"  # such as 'rna:' and '-1'
AFFIXES = ((), (LAST_WORD,), (FIRST_WORD,), (FIRST_WORD, LAST_WORD))


def from_modalities(
    data: Mapping[str, AnnData] | Any,
    batch_key: str | Mapping[str, str | None] | None = None,
    *,
    layer: str | Mapping[str, str | None] | None = None,
    values: str | Mapping[str, str] = "counts",
) -> dict[str, Study]:
    """Take one study out of each modality; nothing of them is copied that need not be, nothing is changed.

    Parameters
    ----------
    data
        At least two modalities: a mapping from name to AnnData, or a MuData.
    batch_key
        Column of ``obs`` that names the batch of each cell: one word for all modalities, or one each. None, and a
        modality that the mapping leaves out: one batch.
    layer
        Layer that holds the values, for all modalities or one each; None, and a modality left out: ``X``.
    values
        What the values are, for all modalities or one each: ``"counts"``, ``"lognorm"``, or ``"values"`` for any
        finite numbers, such as scores of methylation. Never guessed; a modality that the mapping leaves out has counts.

    Returns
    -------
    dict of str to Study
        In the order of ``data``.

    Raises
    ------
    InputError
        If there are not two named modalities, a mapping speaks of one that is not there, or one cannot be used (see
        :func:`from_anndata`; what was found begins with the modality's name).

    Examples
    --------
    >>> import isthmus as im
    >>> data = im.data.simulate(n_cells=50, n_genes=40, n_peaks=90)
    >>> studies = im.data.from_modalities(data, "batch")
    >>> {name: study.n_features for name, study in studies.items()}
    {'rna': 40, 'atac': 90}
    """
    tables = _tables(data)
    names = list(tables)
    batch_keys, layers, kinds = (
        by_modality(words, names, what)
        for words, what in ((batch_key, "batch_key"), (layer, "layer"), (values, "values"))
    )
    return {
        name: _study(name, table, batch_keys[name], layers[name], kinds[name] or "counts")
        for name, table in tables.items()
    }


def by_modality(words: str | Mapping[str, Any] | None, names: Sequence[str], what: str) -> dict[str, Any]:
    """One word for each modality, from one for all or from a mapping; None where the mapping has none.

    Raises
    ------
    InputError
        If the mapping speaks of a modality that is not there.
    """
    if not isinstance(words, Mapping):
        return dict.fromkeys(names, words)
    unknown = [str(name) for name in words if name not in names]
    if unknown:
        raise InputError(
            f"{what} by the names of the modalities, {shorten(names)}",
            f"{shorten(unknown)}",
            "use the names that the modalities have",
        )
    return {name: words.get(name) for name in names}


def pair_cells(studies: Mapping[str, Study]) -> np.ndarray:
    """Which cells are measured in which modality: cells of the same name are the same cell.

    Parameters
    ----------
    studies
        By modality.

    Returns
    -------
    numpy.ndarray
        (distinct cells, modalities) int64 position of the cell in each study, -1 where it is not measured. Cells of
        the first modality come first, in its order, then those that only later ones have.

    Warns
    -----
    UserWarning
        If two modalities share fewer than half of the cells of the smaller one, or one shares none with any other.

    Raises
    ------
    InputError
        If no cell is in two modalities, or two share no name but would if a prefix or suffix were left out.
    """
    _check_names({name: study.cells.astype(str) for name, study in studies.items()})
    sizes = [study.n_cells for study in studies.values()]
    codes, names = pd.factorize(np.concatenate([study.cells.to_numpy(dtype=object) for study in studies.values()]))
    out = np.full((len(names), len(studies)), -1, dtype=np.int64)
    for column, part in enumerate(np.split(codes, np.cumsum(sizes)[:-1])):
        out[part, column] = np.arange(len(part))
    return out


def objects_of(data: Any) -> dict[str, AnnData]:
    """The objects of a mapping or a MuData, by modality.

    Raises
    ------
    InputError
        If it is neither.
    """
    held = data if isinstance(data, Mapping) else getattr(data, "mod", None)
    if not isinstance(held, Mapping):
        raise InputError(
            "a mapping from the names of modalities to AnnData, or a MuData",
            f"an object of class {type(data).__name__}",
            "give for example {'rna': rna, 'atac': atac}",
        )
    return dict(held)


def _tables(data: Any) -> dict[str, AnnData]:
    """Two modalities or more, each with a name."""
    held = objects_of(data)
    wrong = [name for name in held if not isinstance(name, str) or not name.strip()]
    if wrong:
        raise InputError("a name for every modality", f"{wrong[0]!r}", "name the modalities, such as 'rna' and 'atac'")
    if len(held) < 2:
        raise InputError(
            "at least two modalities",
            f"only {shorten(list(held))}" if held else "none",
            "add the other modality, or integrate batches of one with im.tl.scalex()",
        )
    return held


def _study(name: str, table: AnnData, batch_key: str | None, layer: str | None, values: str) -> Study:
    try:
        return from_anndata(table, batch_key, layer=layer, values=values)
    except InputError as error:
        raise InputError(error.expected, f"modality '{name}': {error.found}", error.remedy) from error


def _check_names(cells: Mapping[str, pd.Index]) -> None:
    """Refuse names that pair nothing, and say where they pair little."""
    shared = {pair: len(cells[pair[0]].intersection(cells[pair[1]])) for pair in combinations(cells, 2)}
    for (one, other), count in shared.items():
        if count == 0:
            _refuse_affixes(one, cells[one], other, cells[other])
    if not any(shared.values()):
        examples = " and ".join(f"'{names[0]}' in '{name}'" for name, names in cells.items())
        raise InputError(
            "cells of the same name in two modalities",
            f"no name in common, for example {examples}",
            "give a cell the same name in every modality where it was measured, or treat the cells as unpaired",
        )
    for (one, other), count in shared.items():
        smaller = min(len(cells[one]), len(cells[other]))
        if 0 < count < smaller / 2:
            warnings.warn(
                f"Only {count} cells have the same name in '{one}' ({len(cells[one])} cells) and '{other}' "
                f"({len(cells[other])} cells); the others are taken as different cells.",
                stacklevel=3,
            )
    for name in cells:
        if not any(count for pair, count in shared.items() if name in pair):
            warnings.warn(f"No cell of '{name}' has the same name in another modality.", stacklevel=3)


def _refuse_affixes(one: str, first: pd.Index, other: str, second: pd.Index) -> None:
    """Refuse names of which at least half would be alike without a prefix or suffix."""
    bare = [[_without(names, affixes) for affixes in AFFIXES] for names in (first, second)]
    for mine, theirs in product(*bare):
        alike = mine.index.intersection(theirs.index)
        if 2 * len(alike) >= min(len(first), len(second)):
            pair = mine[alike[0]], theirs[alike[0]]
            extra = [f"'{text}'" for name in pair for text in name.split(alike[0], 1) if text]
            raise InputError(
                f"a cell to have the same name in '{one}' and '{other}'",
                f"no name in common, but {len(alike)} that differ in a prefix or suffix, such as '{pair[0]}' and "
                f"'{pair[1]}'",
                f"rename the cells, in this example without {' and '.join(dict.fromkeys(extra))}",
            )


def _without(names: pd.Index, affixes: tuple[str, ...]) -> pd.Series:
    """Names by what is left of them without affixes; those that would then be alike are left out."""
    bare = names
    for affix in affixes:
        bare = bare.str.replace(affix, "", regex=True)
    kept = ~bare.duplicated(keep=False) & (bare != "")
    return pd.Series(names[kept].to_numpy(dtype=object), index=bare[kept])

"""The paired door: RNA and ATAC of the same cells, for the systems that learn from both."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories, Study
from isthmus.data.categories import shorten
from isthmus.data.modalities import by_modality, from_modalities, objects_of, pair_cells
from isthmus.tl.fitted import FittedModel

MODALITIES = ("rna", "atac")


@dataclass(frozen=True)
class Paired:
    """RNA and ATAC, and which of their cells are the same cell.

    Attributes
    ----------
    studies
        Under ``"rna"`` and ``"atac"``, whatever the data call them. Where a batch column was named for both, they have
        the same batches and codes.
    rows
        (distinct cells, 2) int64 position of each cell among those of RNA and of ATAC, -1 where it was not measured.
    cells
        (distinct cells,) names: those of RNA in its order, then those that only ATAC has.
    names
        What the data call ``"rna"`` and ``"atac"``.
    """

    studies: dict[str, Study]
    rows: np.ndarray
    cells: pd.Index
    names: dict[str, str]

    @property
    def both(self) -> np.ndarray:
        """(distinct cells,) bool, measured in both."""
        return (self.rows >= 0).all(axis=1)

    def has(self, modality: str) -> np.ndarray:
        """(distinct cells,) bool, measured in ``"rna"`` or ``"atac"``."""
        return self.rows[:, MODALITIES.index(modality)] >= 0

    def of(self, modality: str, values: np.ndarray) -> np.ndarray:
        """Values of the distinct cells, (cells of the modality, ...) in its own order."""
        rows = self.rows[:, MODALITIES.index(modality)]
        there = np.flatnonzero(rows >= 0)
        return values[there[np.argsort(rows[there], kind="stable")]]


def paired_studies(
    data: Mapping[str, AnnData] | Any,
    *,
    rna: str = "rna",
    atac: str = "atac",
    batch_key: str | Mapping[str, str | None] | None = None,
    layer: str | Mapping[str, str | None] | None = None,
) -> Paired:
    """Take RNA and ATAC out of a MuData or a mapping; cells of the same name are the same cell.

    Parameters
    ----------
    data
        A MuData, or a mapping from name to AnnData, with raw counts. Other modalities in it are left aside.
    rna, atac
        What the two are called in ``data``.
    batch_key
        Column of ``obs`` with the batch of each cell, for both or by name; None = one batch.
    layer
        Layer with the counts, for both or by name; None = ``X``.

    Warns
    -----
    UserWarning
        If cells lack one of the two: how many, and some of them.

    Raises
    ------
    InputError
        If one of the two is not there or cannot be used, they share no cell, or a cell is of different batches.
    """
    objects, names = objects_of(data), {"rna": rna, "atac": atac}
    _check_present(objects, names)
    keys, layers = (by_modality(w, [*objects], what) for w, what in ((batch_key, "batch_key"), (layer, "layer")))
    chosen = {name: objects[name] for name in names.values()}
    found = from_modalities(
        chosen, {name: keys[name] for name in chosen}, layer={name: layers[name] for name in chosen}
    )
    rows = pair_cells(found)
    studies = {modality: found[name] for modality, name in names.items()}
    cells = _all_cells(studies, rows)
    if all(keys[name] is not None for name in chosen):
        studies = _with_same_batches(studies, rows, cells)
    for i, name in enumerate(names.values()):
        lacking = cells[rows[:, i] < 0]
        if len(lacking):
            warnings.warn(
                f"{len(lacking)} of {len(cells)} cells were not measured in '{name}': {shorten(lacking, 3)}.",
                stacklevel=3,
            )
    return Paired(studies, rows, cells, names)


def write_paired(
    model: FittedModel, data: Mapping[str, AnnData] | Any, paired: Paired, z: np.ndarray, key: str, **facts: Any
) -> None:
    """Put an embedding of the distinct cells into RNA, ATAC and, if ``data`` is one, the MuData itself.

    Parameters
    ----------
    model
        That made it; its record goes into ``uns["<key>"]``.
    z
        (distinct cells, latent) float32; NaN for cells that have no embedding, such as those of other modalities.
    key
        Stem of the keys.
    **facts
        Put into ``uns["<key>"]`` too.
    """
    objects = objects_of(data)
    for modality, name in paired.names.items():
        model.write_embedding(objects[name], paired.of(modality, z), key, **facts)
    if not isinstance(data, Mapping):
        position = paired.cells.get_indexer(data.obs_names)
        everywhere = np.full((len(position), z.shape[1]), np.nan, dtype=np.float32)
        everywhere[position >= 0] = z[position[position >= 0]]
        model.write_embedding(data, everywhere, key, **facts)


def _check_present(objects: Mapping[str, AnnData], names: Mapping[str, str]) -> None:
    for modality, name in names.items():
        if name not in objects:
            raise InputError(
                f"a modality '{name}' with {modality.upper()}",
                shorten(list(objects)) or "no modality",
                f"say what it is called, as in {modality}='{next(iter(objects), 'my name')}'",
            )
    if names["rna"] == names["atac"]:
        raise InputError("two modalities", f"'{names['rna']}' for both RNA and ATAC", "name the two by rna= and atac=")


def _all_cells(studies: Mapping[str, Study], rows: np.ndarray) -> pd.Index:
    """Names of the distinct cells."""
    out = np.empty(len(rows), dtype=object)
    for i, modality in enumerate(MODALITIES):
        there = rows[:, i] >= 0
        out[there] = studies[modality].cells.to_numpy(dtype=object)[rows[there, i]]
    return pd.Index(out)


def _with_same_batches(studies: Mapping[str, Study], rows: np.ndarray, cells: pd.Index) -> dict[str, Study]:
    """The studies with one set of codes; a cell is of one batch."""
    known = Categories(tuple(dict.fromkeys(name for study in studies.values() for name in study.batches.names)))
    out = {
        modality: replace(study, batches=known, batch=known.encode(list(study.batches.names))[study.batch])
        for modality, study in studies.items()
    }
    both = np.flatnonzero((rows >= 0).all(axis=1))
    codes = [out[modality].batch[rows[both, i]] for i, modality in enumerate(MODALITIES)]
    differ = np.flatnonzero(codes[0] != codes[1])
    if len(differ):
        where = [f"'{known.names[code[differ[0]]]}'" for code in codes]
        raise InputError(
            "a cell to be of the same batch in RNA and ATAC",
            f"{len(differ)} cells of different ones, such as '{cells[both[differ[0]]]}' of {' and '.join(where)}",
            "give the two the same batches, or name the column of one modality only, as in {'atac': 'batch'}",
        )
    return out

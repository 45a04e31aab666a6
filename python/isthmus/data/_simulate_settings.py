"""The door of the simulator: every argument is checked here, once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import pandas as pd

from isthmus._errors import InputError

MODALITIES = ("rna", "atac")
CONFOUNDINGS = ("none", "depth", "composition", "both")
PAIRINGS = ("paired", "partial", "unpaired")
LINEAGES = ("none", "linear", "branching")
MAX_PEAKS = 1_000_000  # a peak needs 800 bp of its own; beyond this the genome fills up


@dataclass(frozen=True)
class RareType:
    """A type of a few cells that occurs in some batches only."""

    name: str
    n_cells: int  # per modality
    batches: tuple[int, ...]  # codes of the batches it occurs in


@dataclass(frozen=True)
class Settings:
    """Arguments of :func:`isthmus.data.simulate`, checked and completed."""

    n_cells: int
    n_genes: int
    n_peaks: int
    n_types: int
    n_batches: int
    modalities: tuple[str, ...]
    confounding: str
    pairing: str
    paired_fraction: float
    rna_only_pairs: int
    atac_only_pairs: int
    subgroups: int
    rare_types: tuple[RareType, ...]
    n_links: int  # -1: half as many as there are genes, fewer where there is no room
    links_per_gene: int
    negative_links: float
    lineage: str
    type_strength: float
    batch_strength: float
    rna_depth: float
    atac_depth: float
    seed: int

    @property
    def n_shared(self) -> int:
        """Cells that are measured in both modalities."""
        if len(self.modalities) == 1:
            return self.n_cells
        share = {"paired": 1.0, "partial": self.paired_fraction, "unpaired": 0.0}[self.pairing]
        return round(self.n_cells * share)

    @property
    def batch_names(self) -> list[str]:
        """``batch1``, ``batch2``, ..."""
        return [f"batch{i + 1}" for i in range(self.n_batches)]

    @property
    def type_names(self) -> list[str]:
        """``type1``, ``type2``, ..., without the rare types."""
        return [f"type{i + 1}" for i in range(self.n_types)]

    def plain(self) -> dict[str, Any]:
        """The settings as numbers, strings, lists and a table, for ``uns`` and for h5ad files."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        record["modalities"] = list(self.modalities)
        record["rare_types"] = pd.DataFrame(
            {
                "n_cells": [rare.n_cells for rare in self.rare_types],
                "batches": [",".join(self.batch_names[b] for b in rare.batches) for rare in self.rare_types],
            },
            index=pd.Index([rare.name for rare in self.rare_types], dtype=object),
        )
        return record


def check_settings(**given: Any) -> Settings:
    """Check the arguments and fill in the defaults that depend on other arguments.

    Raises
    ------
    InputError
        Naming the argument, what it may be and what was found.
    """
    for name, minimum in _WHOLE.items():
        given[name] = _whole(name, given[name], minimum)
    for name, (low, high) in _REAL.items():
        given[name] = _real(name, given[name], low, high)
    _check_words(given)
    _check_sizes(given)
    _fill_depths(given)
    _fill_pairs(given)
    given["n_links"] = -1 if given["n_links"] is None else _whole("n_links", given["n_links"], 0)
    given["rare_types"] = _rare_types(given)
    return Settings(**given)


_WHOLE = {
    "n_cells": 1,
    "n_genes": 10,
    "n_peaks": 10,
    "n_types": 2,
    "n_batches": 1,
    "subgroups": 0,
    "links_per_gene": 1,
    "seed": 0,
}
_REAL = {
    "paired_fraction": (0.0, 1.0),
    "negative_links": (0.0, 1.0),
    "type_strength": (0.0, 5.0),
    "batch_strength": (0.0, 5.0),
}


def _whole(name: str, value: Any, minimum: int) -> int:
    """``value`` as an int; R sends whole numbers as doubles, so 3.0 is 3."""
    whole = isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer()
    if not (isinstance(value, Integral) or whole) or isinstance(value, bool) or value < minimum:
        raise InputError(
            f"{name} to be a whole number of at least {minimum}",
            f"{value!r}",
            f"give {name} = {minimum} or more",
        )
    return int(value)


def _real(name: str, value: Any, low: float, high: float) -> float:
    """``value`` as a float within the closed interval."""
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"{name} to be a number between {low:g} and {high:g}",
            f"{value!r}",
            f"choose {name} within that range",
        )
    return float(value)


def _word(name: str, value: Any, allowed: Sequence[str]) -> str:
    """``value`` if it is one of the words."""
    if value not in allowed:
        words = ", ".join(f'"{word}"' for word in allowed)
        raise InputError(f"{name} to be one of {words}", f"{value!r}", f"choose one of these words for {name}")
    return value


def _check_words(given: dict[str, Any]) -> None:
    """The arguments that are words."""
    modalities = given["modalities"]
    modalities = (modalities,) if isinstance(modalities, str) else tuple(modalities)
    for modality in modalities:
        _word("modalities", modality, MODALITIES)
    if not modalities or len(set(modalities)) < len(modalities):
        raise InputError(
            'modalities to name "rna", "atac" or both, each once',
            f"{list(modalities)}",
            'give ("rna", "atac")',
        )
    given["modalities"] = tuple(m for m in MODALITIES if m in modalities)
    lineage = given["lineage"]
    given["lineage"] = {False: "none", True: "linear"}[lineage] if isinstance(lineage, bool) else lineage
    _word("lineage", given["lineage"], LINEAGES)
    _word("confounding", given["confounding"], CONFOUNDINGS)
    _word("pairing", given["pairing"], PAIRINGS)


def _check_sizes(given: dict[str, Any]) -> None:
    """Numbers that must fit each other."""
    if given["n_peaks"] > MAX_PEAKS:
        raise InputError(
            f"n_peaks to be at most {MAX_PEAKS:,}",
            f"{given['n_peaks']:,}",
            "simulate fewer peaks; they may not overlap",
        )
    if given["confounding"] != "none" and given["n_batches"] < 2:
        raise InputError(
            f'two batches or more for confounding = "{given["confounding"]}"',
            f"n_batches = {given['n_batches']}",
            'raise n_batches or use confounding = "none"',
        )
    if given["lineage"] == "branching" and given["n_types"] < 3:
        raise InputError(
            'three types or more for lineage = "branching" (a trunk and two branches)',
            f"n_types = {given['n_types']}",
            'raise n_types or use lineage = "linear"',
        )
    if given["subgroups"] == 1 or (given["subgroups"] and given["lineage"] != "none"):
        raise InputError(
            "subgroups to be 0, or at least 2 without a lineage",
            f'subgroups = {given["subgroups"]}, lineage = "{given["lineage"]}"',
            "use subgroups = 3 with lineage = False, or subgroups = 0",
        )


def _fill_depths(given: dict[str, Any]) -> None:
    """Median counts per cell where the user gave none; small panels keep enough of them to be of use."""
    if given["rna_depth"] is None:
        given["rna_depth"] = 3000.0 * (given["n_genes"] / 20_000) ** 0.5
    if given["atac_depth"] is None:
        given["atac_depth"] = max(0.04 * given["n_peaks"], 100.0)
    for name in ("rna_depth", "atac_depth"):
        given[name] = _real(name, given[name], 1.0, 1e6)


def _fill_pairs(given: dict[str, Any]) -> None:
    """Pairs of types that differ in one modality: one of each kind by default, where there is room."""
    room = 0 if given["lineage"] != "none" else given["n_types"] // 2
    for name in ("rna_only_pairs", "atac_only_pairs"):
        given[name] = int(room >= 2) if given[name] is None else _whole(name, given[name], 0)
    wanted = given["rna_only_pairs"] + given["atac_only_pairs"]
    if wanted > room:
        why = "a lineage has none" if given["lineage"] != "none" else f"{given['n_types']} types make {room}"
        raise InputError(
            f"at most {room} pairs of types in rna_only_pairs and atac_only_pairs together ({why})",
            f"{wanted}",
            "lower rna_only_pairs and atac_only_pairs, or raise n_types",
        )


def _rare_types(given: dict[str, Any]) -> tuple[RareType, ...]:
    """Rare types as records; their cells must leave room for the others."""
    rare_types = given["rare_types"] or {}
    if not isinstance(rare_types, Mapping):
        raise InputError(
            "rare_types to map a name to (number of cells, batches)",
            f"a {type(rare_types).__name__}",
            'give for example {"ionocyte": (20, ["batch1", "batch2"])}',
        )
    names = {f"type{i + 1}" for i in range(given["n_types"])}
    records = tuple(_rare_type(str(name), entry, given, names) for name, entry in rare_types.items())
    total, room = sum(rare.n_cells for rare in records), given["n_cells"] - given["n_types"]
    if total > room:
        raise InputError(
            f"at most {max(room, 0)} rare cells among {given['n_cells']} (every common type keeps one)",
            f"{total} in rare_types",
            "raise n_cells or lower the numbers in rare_types",
        )
    return records


def _rare_type(name: str, entry: Any, given: dict[str, Any], taken: set[str]) -> RareType:
    """One entry: a number of cells, or (number of cells, batches)."""
    n_cells, batches = entry if isinstance(entry, (tuple, list)) and len(entry) == 2 else (entry, None)
    if name in taken:
        raise InputError("a rare type to have a name of its own", f"{name!r}", f"rename it; {name!r} is a common type")
    n_cells = _whole(f"rare_types[{name!r}]", n_cells, 1)
    known = [f"batch{i + 1}" for i in range(given["n_batches"])]
    if batches is None:
        batches = known
    elif isinstance(batches, Real) and not isinstance(batches, bool):
        batches = known[: _whole(f"the number of batches of rare type {name!r}", batches, 1)]
    batches = [batches] if isinstance(batches, str) else list(batches)
    unknown = [b for b in batches if b not in known]
    if unknown or not batches:
        raise InputError(
            f"the batches of rare type {name!r} to be among {known[0]} ... {known[-1]}",
            f"{unknown or 'none'}",
            "name existing batches, or give how many of them it occurs in",
        )
    return RareType(name, n_cells, tuple(sorted({known.index(b) for b in batches})))


def check_target(file: str | os.PathLike | None, chunk_size: Any) -> tuple[Path | None, int]:
    """The folder to write into (None: stay in memory) and the cells per append."""
    chunk_size = _whole("chunk_size", chunk_size, 1)
    if file is None:
        return None, chunk_size
    folder = Path(file)
    if folder.suffix == ".h5ad" or (folder.exists() and not folder.is_dir()):
        raise InputError(
            "file to be a folder, for rna.h5ad and atac.h5ad",
            f"{str(folder)!r}",
            "give the folder's name, without a suffix",
        )
    return folder, chunk_size

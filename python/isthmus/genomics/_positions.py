"""Where the features of a modality lie: in columns, in their names, or in an annotation of genes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_unique
from isthmus.genomics._columns import as_text, find_position_columns, has_positions, position_columns
from isthmus.genomics._names import without_version
from isthmus.genomics._readers import kind_of, read_genes
from isthmus.genomics.intervals import Intervals

# Columns that name a gene, as in R.
_NAMES = ("gene_name", "symbol", "SYMBOL", "Name", "name", "gene")
_IDS = ("gene_id", "gene_ids", "ID", "ensembl_gene_id")


@dataclass(frozen=True)
class Annotation:
    """Genes of an annotation under each of their names.

    Attributes
    ----------
    by_name, by_id
        One interval for each gene name, and for each gene id (without its version); either may be absent.
    """

    by_name: Intervals | None
    by_id: Intervals | None

    @property
    def all(self) -> Intervals:
        """Every gene once."""
        return self.by_id if self.by_name is None else self.by_name

    @classmethod
    def of(cls, genes: Any) -> Annotation:
        """From a path to GTF, GFF3 or BED, a data frame, or intervals."""
        if isinstance(genes, Intervals):
            return cls._of_any_name(genes)
        if isinstance(genes, str | os.PathLike):
            if kind_of(genes) == "bed":
                return cls._of_any_name(Intervals.from_bed(genes))
            genes = read_genes(genes)
        if not isinstance(genes, pd.DataFrame):
            raise InputError(
                "genes as a path to a GTF, GFF3 or BED file, a data frame, or Intervals",
                f"{type(genes).__name__}",
                "give one of these",
            )
        if "gene_name" not in genes and "gene_id" not in genes:
            return cls._of_any_name(Intervals.from_frame(genes))
        return cls(*(_named_rows(genes, column) if column in genes else None for column in ("gene_name", "gene_id")))

    @classmethod
    def _of_any_name(cls, genes: Intervals) -> Annotation:
        """Names may be symbols or ids: both ways of looking them up are tried."""
        by_id = genes.renamed(without_version(genes.names)).one_per_name()
        return cls(genes.one_per_name(), by_id)

    def find(self, names: pd.Index, ids: pd.Index | None) -> tuple[Intervals, np.ndarray]:
        """Intervals of the genes that are known, and (names,) bool, which those are.

        A gene is looked up by its name as gene name, then as gene id, then by its entry in ``ids``.
        """
        ways = [(self.by_name, names), (self.by_id, without_version(names))]
        if ids is not None:
            ways.append((self.by_id, without_version(ids)))
        found = np.zeros(len(names), dtype=bool)
        parts, places = [], []
        for table, called in ways:
            if table is None:
                continue
            rows = np.where(found, -1, table.names.get_indexer(called))
            fresh = np.flatnonzero(rows >= 0)
            parts.append(table.take(rows[fresh]))
            places.append(fresh)
            found[fresh] = True
        order = np.argsort(np.concatenate(places))
        return joined(parts).take(order).renamed(names[found]), found


def joined(parts: list[Intervals]) -> Intervals:
    """Intervals one after the other."""
    return Intervals(
        pd.Index(np.concatenate([part.names.to_numpy(dtype=object) for part in parts]), dtype=object),
        pd.api.types.union_categoricals([part.chrom for part in parts]),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("start", "end", "strand")),
    )


def gene_bodies(genes: pd.DataFrame | Intervals) -> tuple[Intervals, np.ndarray]:
    """Where genes lie, under the names that people read, and all that each of them is called.

    Parameters
    ----------
    genes
        Intervals; or a data frame with positions, and names in a column (such as ``gene_name``) or as its index. Rows
        without a position are left out, and those without any name; a gene without a name is called by its id.

    Returns
    -------
    tuple
        (genes,) intervals, and (genes, ways) text: its name and, where there are any, its id and its row's name.

    Raises
    ------
    InputError
        If a data frame has no names, or no positions.
    """
    if isinstance(genes, Intervals):
        return genes, genes.names.to_numpy(dtype=object)[:, None]
    column = position_columns(genes)
    genes = genes[genes[[column[part] for part in ("chrom", "start", "end")]].notna().all(axis=1)]
    ways = [genes[next(name for name in own if name in genes)] for own in (_NAMES, _IDS) if {*own} & {*genes.columns}]
    if pd.api.types.is_string_dtype(genes.index):  # else rows are only counted
        ways.insert(len(ways) if {*_NAMES} & {*genes.columns} else 0, genes.index.to_series())
    if not ways:
        raise InputError(
            "genes with names, in a column gene_name, symbol or gene_id, or as the index of their table",
            f"the columns {shorten([str(name) for name in genes.columns])}",
            "rename the column that holds the names to gene_name",
        )
    called = np.stack([np.asarray(as_text(way).astype(object)) for way in ways], axis=1)
    called[pd.isna(called)] = ""
    rows = np.flatnonzero((called != "").any(axis=1))
    called, genes = called[rows], genes.iloc[rows]
    shown = called[np.arange(len(called)), (called != "").argmax(axis=1)]
    return Intervals.from_frame(genes, names=pd.Index(shown, dtype=object)), called


def _named_rows(genes: pd.DataFrame, column: str) -> Intervals:
    """The genes under the names in ``column``; rows without one are left out."""
    names = genes[column]
    rows = (names.notna() & (names != "")).to_numpy()
    called = pd.Index(names[rows].astype(str), dtype=object)
    intervals = Intervals.from_frame(genes[rows], names=without_version(called) if column == "gene_id" else called)
    return intervals.one_per_name()


@dataclass(frozen=True)
class Features:
    """Names of the features of a modality, and the table that may tell where they lie.

    Attributes
    ----------
    modality
        Name of the modality.
    names
        (features,) unique names.
    table
        A data frame with a row for each, intervals, or None.
    """

    modality: str
    names: pd.Index
    table: pd.DataFrame | Intervals | None

    @classmethod
    def of(cls, modality: str, source: Any) -> Features:
        """From AnnData, a data frame, intervals, or names alone."""
        if isinstance(source, Intervals):
            features = cls(modality, source.names, source)
        elif hasattr(source, "var_names"):
            features = cls(modality, pd.Index(source.var_names.astype(str), dtype=object), source.var)
        elif isinstance(source, pd.DataFrame):
            features = cls(modality, pd.Index(source.index.astype(str), dtype=object), source)
        elif isinstance(source, pd.Index | pd.Series | np.ndarray | list | tuple):
            features = cls(modality, pd.Index(source, dtype=object), None)
        else:
            raise InputError(
                f"features of '{modality}' as AnnData, a data frame, Intervals, or names",
                f"{type(source).__name__}",
                "give one of these",
            )
        check_unique(features.names, "feature")
        return features

    def genes(self, annotation: Annotation | None) -> tuple[Intervals, np.ndarray]:
        """Intervals of the features that are genes, and (features,) bool, which have any."""
        if annotation is not None:
            ids = None
            if isinstance(self.table, pd.DataFrame):
                ids = next((pd.Index(self.table[c]) for c in ("gene_ids", "gene_id") if c in self.table), None)
            return annotation.find(self.names, ids)
        if isinstance(self.table, Intervals):
            return self.table, np.ones(len(self.names), dtype=bool)
        if self.table is None or not has_positions(self.table):
            raise InputError(
                f"positions for the genes of '{self.modality}'",
                "no genes= and no columns chrom, chromStart, chromEnd"
                + (
                    f" among {shorten(list(self.table.columns))}"
                    if self.table is not None and len(self.table.columns)
                    else ""
                ),
                "give genes='genes.gtf' (GTF, GFF3, BED, a data frame or Intervals)",
            )
        column = find_position_columns(self.table)
        known = self.table[[column[part] for part in ("chrom", "start", "end")]].notna().all(axis=1).to_numpy()
        return Intervals.from_frame(self.table[known], names=self.names[known]), known

    def positions(self) -> Intervals:
        """Intervals of all features, from columns where there are any, else from their names."""
        if isinstance(self.table, Intervals):
            return self.table
        if self.table is not None and has_positions(self.table):
            return Intervals.from_frame(self.table, names=self.names)
        return Intervals.from_names(self.names)

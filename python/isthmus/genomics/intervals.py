"""Stretches of a genome with names: the one form in which positions of genes and peaks are kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_choice, check_number
from isthmus.genomics._arrays import read_only
from isthmus.genomics._columns import as_text, position_columns, present_text, strands, whole_numbers
from isthmus.genomics._names import split_names
from isthmus.genomics._readers import kind_of, read_bed, read_genes


@dataclass(frozen=True, eq=False)
class Intervals:
    """Named intervals, 0-based and half-open: ``start`` is the first base, ``end`` the one after the last.

    Attributes
    ----------
    names
        (intervals,) names; a name may stand more than once (see :meth:`one_per_name`).
    chrom
        (intervals,) categorical, names of the chromosomes, as text.
    start, end
        (intervals,) int64 base pairs, ``0 <= start < end``; read-only.
    strand
        (intervals,) one of ``"+"``, ``"-"``, ``"."`` (not known); read-only.

    Raises
    ------
    InputError
        If the parts differ in length, an interval is empty or starts before 0, or a strand is another word.
    """

    names: pd.Index
    chrom: pd.Categorical
    start: np.ndarray
    end: np.ndarray
    strand: np.ndarray

    def __post_init__(self) -> None:
        set_part = object.__setattr__  # the record is frozen for everyone else
        set_part(self, "names", pd.Index(self.names, dtype=object))
        set_part(self, "chrom", as_text(self.chrom))
        set_part(self, "start", read_only(np.asarray(self.start, dtype=np.int64)))
        set_part(self, "end", read_only(np.asarray(self.end, dtype=np.int64)))
        set_part(self, "strand", read_only(np.asarray(self.strand, dtype="<U1")))
        self._check()

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Intervals({len(self)} on {len(np.unique(self.chrom.codes))} chromosomes: {shorten(self.names, 3)})"

    @classmethod
    def from_names(cls, names: Sequence[str] | pd.Index, one_based: bool = False) -> Intervals:
        """Positions that are written in the names of peaks.

        Parameters
        ----------
        names
            Such as ``chr1:100-200``, ``chr1-100-200``, ``chr1_100_200``, ``chr1.100.200`` or
            ``GL000220.1:1,000-2,000``; a strand may follow (``chr1:100-200:+``). The last two numbers are the
            position, whatever stands before them is the chromosome.
        one_based
            Whether the numbers are 1-based and closed, as GRanges writes them; else they are 0-based and
            half-open, as 10x Genomics and BED write them.

        Raises
        ------
        InputError
            If a name is of no such style, or an interval is empty.
        """
        index = pd.Index(names, dtype=object)
        chrom, start, end, strand = split_names(index)
        return cls(index, pd.Categorical(chrom), start - int(one_based), end, strand)

    @classmethod
    def from_frame(
        cls, table: pd.DataFrame, names: Sequence[str] | pd.Index | str | None = None, one_based: bool = False
    ) -> Intervals:
        """Positions from the columns of a table.

        Parameters
        ----------
        table
            One interval a row; columns under any of the usual spellings of chromosome, start, end and, if there is
            one, strand (``+ - . *`` or ``1 -1 0``).
        names
            Names of the rows, or the column that holds them. By default a column ``name`` or ``gene_name``, else
            the index where it holds text, else ``chrom:start-end``.
        one_based
            Whether positions are 1-based and closed, as in GRanges, GTF and GFF.

        Raises
        ------
        InputError
            If a column is absent, a position is missing or not a whole number, or an interval is empty.
        """
        column = position_columns(table)
        start = whole_numbers(table[column["start"]], "start") - int(one_based)
        end = whole_numbers(table[column["end"]], "end")
        chrom = present_text(table[column["chrom"]], "chromosome")
        strand = strands(table[column["strand"]]) if "strand" in column else np.full(len(table), ".")
        return cls(_names_of(table, names, chrom, start, end), pd.Categorical(chrom), start, end, strand)

    @classmethod
    def from_bed(cls, path: str | os.PathLike) -> Intervals:
        """Read a BED file of three columns or more, plain or gzip-compressed.

        Without a fourth column the names are ``chrom:start-end``, without a sixth no strand is known.

        Raises
        ------
        InputError
            If the file is absent, empty, or not BED.
        """
        return cls.from_frame(read_bed(path))

    @classmethod
    def from_gtf(cls, path: str | os.PathLike, by: str = "gene_name") -> Intervals:
        """Read the genes of a GTF or GFF3 file, plain or gzip-compressed, line by line.

        Parameters
        ----------
        path
            The file; 1-based closed positions become 0-based half-open ones.
        by
            ``"gene_name"`` or ``"gene_id"``: what the genes are called. A gene without a name is called by its id.

        Raises
        ------
        InputError
            If the file is absent or has no line of type gene.
        """
        check_choice(by, ("gene_name", "gene_id"), "by")
        table = read_genes(path)
        names = (
            table["gene_id"]
            if by == "gene_id"
            else table["gene_name"].where(table["gene_name"] != "", table["gene_id"])
        )
        return cls.from_frame(table, names=pd.Index(names))

    @classmethod
    def read(cls, path: str | os.PathLike) -> Intervals:
        """Read a BED, GTF or GFF3 file by the ending of its name (``.gz`` may follow).

        Raises
        ------
        InputError
            If the ending is another one, and as :meth:`from_bed` and :meth:`from_gtf`.
        """
        return cls.from_bed(path) if kind_of(path) == "bed" else cls.from_gtf(path)

    @property
    def width(self) -> np.ndarray:
        """(intervals,) int64, base pairs."""
        return self.end - self.start

    @property
    def midpoints(self) -> np.ndarray:
        """(intervals,) int64, the base in the middle (rounded down)."""
        return (self.start + self.end) // 2

    @property
    def stranded(self) -> np.ndarray:
        """(intervals,) bool, whether the strand is known."""
        return self.strand != "."

    def take(self, rows: np.ndarray | slice) -> Intervals:
        """The intervals at positions ``rows``, or where a mask ``rows`` is true."""
        return Intervals(self.names[rows], self.chrom[rows], self.start[rows], self.end[rows], self.strand[rows])

    def subset(self, names: Sequence[str] | pd.Index) -> Intervals:
        """The intervals of these names, in their order.

        Raises
        ------
        InputError
            If a name is unknown, or names of the intervals are not unique.
        """
        if not self.names.is_unique:
            raise InputError(
                "one interval for every name",
                f"several for '{self.names[self.names.duplicated()][0]}'",
                "call one_per_name() first",
            )
        wanted = pd.Index(names, dtype=object)
        rows = self.names.get_indexer(wanted)
        if (rows < 0).any():
            raise InputError(
                f"names of intervals, such as {shorten(self.names, 3) or 'none: there are no intervals'}",
                f"{int((rows < 0).sum())} of {len(wanted)} unknown names, such as {shorten(wanted[rows < 0], 3)}",
                "check that the names are of the same kind, or leave the unknown ones out",
            )
        return self.take(rows)

    def one_per_name(self) -> Intervals:
        """One interval for every name, the others are left out; order as in the first of each name.

        Kept is an interval on an assembled chromosome before one on a scaffold or an alternative haplotype (whose
        names hold ``_`` or ``.``), then the longest, then the first.
        """
        if self.names.is_unique:
            return self
        scaffold = np.array([("_" in name or "." in name) for name in self.chrom.categories], dtype=bool)
        code = pd.factorize(self.names)[0]
        order = np.lexsort((np.arange(len(self)), -self.width, scaffold[self.chrom.codes], code))
        return self.take(order[np.unique(code[order], return_index=True)[1]])

    def tss(self) -> Intervals:
        """The first transcribed base: ``start`` on +, ``end - 1`` on -; intervals of one base pair.

        Raises
        ------
        InputError
            If a strand is missing.
        """
        self._need_strands()
        first = np.where(self.strand == "-", self.end - 1, self.start)
        return Intervals(self.names, self.chrom, first, first + 1, self.strand)

    def promoters(self, upstream: int = 2000, downstream: int = 0) -> Intervals:
        """The first transcribed base, extended by ``upstream`` and ``downstream`` base pairs (see :meth:`extend`)."""
        return self.tss().extend(upstream, downstream)

    def extend(self, upstream: int, downstream: int) -> Intervals:
        """Intervals made longer on either side, as their strand runs; no start falls below 0.

        Parameters
        ----------
        upstream, downstream
            Base pairs, at least 0. Where they differ, every strand has to be known.

        Raises
        ------
        InputError
            If a number is negative or not whole, or a strand is missing and needed.
        """
        check_number(upstream, "upstream", 0, whole=True)
        check_number(downstream, "downstream", 0, whole=True)
        if upstream != downstream:
            self._need_strands()
        minus = self.strand == "-"
        left, right = np.where(minus, int(downstream), int(upstream)), np.where(minus, int(upstream), int(downstream))
        return Intervals(self.names, self.chrom, np.maximum(self.start - left, 0), self.end + right, self.strand)

    def renamed(self, names: Sequence[str] | pd.Index) -> Intervals:
        """The same positions under other names, one for each."""
        return Intervals(pd.Index(names, dtype=object), self.chrom, self.start, self.end, self.strand)

    def to_frame(self) -> pd.DataFrame:
        """Columns ``chrom, chromStart, chromEnd, strand``, indexed by name."""
        return pd.DataFrame(
            {"chrom": self.chrom, "chromStart": self.start, "chromEnd": self.end, "strand": self.strand},
            index=self.names,
        )

    def _need_strands(self) -> None:
        if not self.stranded.all():
            missing = self.names[~self.stranded]
            raise InputError(
                "a strand, + or -, for every interval (upstream and downstream depend on it)",
                f"{len(missing)} of {len(self)} without one, such as '{missing[0]}'",
                "give an annotation with strands (BED of six columns, GTF, GFF3, a column strand), leave these "
                "intervals out, or use gene bodies alone",
            )

    def _check(self) -> None:
        lengths = {len(part) for part in (self.names, self.chrom, self.start, self.end, self.strand)}
        if len(lengths) > 1:
            raise InputError(
                "names, chrom, start, end and strand of one length", f"lengths {sorted(lengths)}", "give one value each"
            )
        if (self.chrom.codes < 0).any():
            raise InputError(
                "a chromosome for every interval",
                f"none for '{self.names[(self.chrom.codes < 0).argmax()]}'",
                "leave intervals without a position out",
            )
        wrong = (self.start < 0) | (self.end <= self.start)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                "intervals that start at 0 or later and end after their start (0-based, half-open)",
                f"{int(wrong.sum())} others, such as {self.start[row]} to {self.end[row]} ('{self.names[row]}')",
                "correct these positions; give one_based=True where they are 1-based and closed",
            )
        odd = ~np.isin(self.strand, ("+", "-", "."))
        if odd.any():
            raise InputError("strands '+', '-' or '.'", f"'{self.strand[odd.argmax()]}'", "correct the strands")


def _names_of(
    table: pd.DataFrame,
    names: Sequence[str] | pd.Index | str | None,
    chrom: pd.Index,
    start: np.ndarray,
    end: np.ndarray,
) -> pd.Index:
    """Names of the rows of a table: as told, else from a column, the index, or the positions."""
    if isinstance(names, str):
        if names not in table:
            raise InputError(f"a column '{names}'", f"the columns {shorten(table.columns)}", "name one of them")
        return pd.Index(table[names].astype(str), dtype=object)
    if names is not None:
        return pd.Index(names, dtype=object)
    for column in ("name", "gene_name"):
        if column in table:
            return pd.Index(table[column].astype(str), dtype=object)
    if pd.api.types.is_string_dtype(table.index) and not isinstance(table.index, pd.RangeIndex):
        return pd.Index(table.index, dtype=object)
    return pd.Index([f"{c}:{s}-{e}" for c, s, e in zip(chrom, start, end, strict=True)], dtype=object)

"""Files of positions, read line by line: BED, GTF and GFF3, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote

import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten

_KINDS = {"bed": "bed", "gtf": "genes", "gff": "genes", "gff3": "genes"}
_BED = ("chrom", "start", "end", "name", "score", "strand")
_GENE_TYPES = {"gene", "ncRNA_gene", "pseudogene"}  # Ensembl's GFF3 sets the last two apart
_ATTRIBUTE = re.compile(r'\s*([\w.]+)[ =]"?([^;"]*)"?\s*(?:;|$)')
_NAMES = ("gene_name", "Name", "gene")
_IDS = ("gene_id", "ID")


def kind_of(path: str | os.PathLike) -> str:
    """``"bed"`` or ``"genes"`` (GTF, GFF3), by the ending of the file name."""
    ending = Path(path).name.removesuffix(".gz").rpartition(".")[2].lower()
    if ending not in _KINDS:
        raise InputError(
            "a file that ends in .bed, .gtf, .gff or .gff3 (.gz may follow)",
            f"'{Path(path).name}'",
            "name the file by its format, or read the table with pandas and give it as a data frame",
        )
    return _KINDS[ending]


def read_bed(path: str | os.PathLike) -> pd.DataFrame:
    """The first six columns of a BED file, as far as it has them.

    Returns
    -------
    pandas.DataFrame
        ``chrom, start, end`` and, if there, ``name, score, strand``; 0-based, half-open.
    """
    with _open(path) as lines:
        rows = [line.rstrip("\r\n").split("\t", 6)[:6] for line in lines if _is_data(line)]
    if not rows:
        raise InputError("a BED file with intervals", f"none in '{path}'", "check the file")
    n_columns = len(rows[0])
    for row in rows:
        if len(row) != n_columns or n_columns < 3 or not (row[1].isdigit() and row[2].isdigit()):
            raise InputError(
                f"BED: chromosome, start, end, and the same {max(n_columns, 3)} columns in every line, "
                "with tabs between them",
                f"'{' '.join(row)}' in '{path}'",
                "correct the line; a table with a header can be read with pandas and given as a data frame",
            )
    table = pd.DataFrame(rows, columns=list(_BED[:n_columns]))
    return table.astype({"start": "int64", "end": "int64", "chrom": "category"})


def read_genes(path: str | os.PathLike) -> pd.DataFrame:
    """The lines of type gene of a GTF or GFF3 file.

    Returns
    -------
    pandas.DataFrame
        ``chrom, start, end, strand, gene_name, gene_id``; 0-based, half-open; an absent name or id is empty.
    """
    rows, others = [], Counter()
    with _open(path) as lines:
        for line in lines:
            if not _is_data(line):
                continue
            kind = line.split("\t", 3)[2:3]  # most lines are exons: look no further
            if kind and kind[0] not in _GENE_TYPES:
                others[kind[0]] += 1
            else:
                rows.append(_gene_of(line.rstrip("\r\n"), path))
    if not rows:
        raise InputError(
            "lines of type 'gene'",
            f"{shorten([word for word, _ in others.most_common()]) or 'no line at all'} in '{path}'",
            "give an annotation with genes, such as one of GENCODE or Ensembl, or a BED file of the genes",
        )
    table = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand", "gene_name", "gene_id"])
    return table.astype({"chrom": "category"})


def _gene_of(line: str, path: str | os.PathLike) -> tuple[str, int, int, str, str, str]:
    """Chromosome, start, end, strand, name and id of the gene that a line describes."""
    field = line.split("\t")
    if len(field) < 9 or not (field[3].isdigit() and field[4].isdigit()):
        raise InputError(
            "nine columns with tabs between them in every line of a GTF or GFF3 file, the fourth and fifth of them "
            "positions",
            f"'{line[:60]}' in '{path}'",
            "correct the line",
        )
    return field[0], int(field[3]) - 1, int(field[4]), field[6], *_name_and_id(field[8])


def _name_and_id(attributes: str) -> tuple[str, str]:
    value = dict(_ATTRIBUTE.findall(attributes))
    name = next((value[key] for key in _NAMES if value.get(key)), "")
    identity = next((value[key] for key in _IDS if value.get(key)), "")
    return unquote(name), unquote(identity).removeprefix("gene:").removeprefix("gene-")


def _is_data(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "track", "browser"))


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[TextIO]:
    """Open for reading; whether it is compressed is told by its first bytes, not by its name."""
    if not Path(path).is_file():
        raise InputError("a file of positions", f"nothing at '{path}'", "check the path")
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if compressed else open)(path, "rt", encoding="utf-8") as lines:
        yield lines

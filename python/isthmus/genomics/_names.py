"""Positions that are written in names."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten

# Greedy: the chromosome takes all but the last two numbers, so its own '_', '-', '.' and ':' do no harm.
_STYLE = re.compile(r"(.*[^:_.\-])[:_.\-](\d[\d,]{0,14})[-_.](\d[\d,]{0,14})(?::([+\-.*]))?")


def split_names(names: pd.Index) -> tuple[pd.Index, np.ndarray, np.ndarray, np.ndarray]:
    """Chromosome, start, end and strand, one each for every name.

    Returns
    -------
    tuple
        (names,) chromosomes; int64 starts; int64 ends, as written; strands ``+``, ``-`` or ``.``.

    Raises
    ------
    InputError
        If a name is of no known style.
    """
    found = [_STYLE.fullmatch(str(name)) for name in names]
    wrong = [name for name, match in zip(names, found, strict=True) if match is None]
    if wrong:
        raise InputError(
            "peak names that tell a position, such as 'chr1:100-200', 'chr1-100-200' or 'chr1_100_200'",
            f"{len(wrong)} of {len(names)} others, such as {shorten(wrong, 3)}",
            "rename these features, leave them out, or give positions in the columns chrom, chromStart and chromEnd "
            "(in AnnData those of var)",
        )
    if not found:
        return pd.Index([], dtype=object), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, "<U1")
    chrom, start, end, strand = zip(*(match.groups(".") for match in found), strict=True)
    numbers = [np.array([text.replace(",", "") for text in part], dtype=np.int64) for part in (start, end)]
    return pd.Index(chrom, dtype=object), *numbers, np.char.replace(np.array(strand, dtype="<U1"), "*", ".")


def without_version(ids: pd.Index) -> pd.Index:
    """Ensembl ids without their version: ``ENSG00000141510.17`` is ``ENSG00000141510``; other names as they are."""
    return pd.Index(ids.astype(str).str.replace(r"^(ENS[A-Z]*\d+)\.\d+(?:_PAR_Y)?$", r"\1", regex=True), dtype=object)

"""Positions that are written in names."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten

# Greedy: the chromosome takes all but the last two numbers, so its own '_', '-', '.' and ':' do no harm.
_STYLE = re.compile(r"(.*[^:_.\-])[:_.\-](\d[\d,]{0,14})[-_.](\d[\d,]{0,14})(?::([+\-.*]))?")
_PLAIN = str.maketrans(":_.", "---", ",")  # what styles differ in


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


def as_spelled(names: pd.Index, known: pd.Index) -> pd.Index:
    """Names of peaks as others spell them: ``chr1:100-200`` is ``chr1-100-200`` to Seurat, ``1:100-200`` to Ensembl.

    Parameters
    ----------
    names
        Text.
    known
        Text, the spelling wanted. The same name wins; names that differ in punctuation or a leading ``chr`` alone are
        of one peak, unless several of ``known`` do.

    Returns
    -------
    pandas.Index
        (names,) those of ``known`` where they were found, the others as they are.
    """
    absent = np.flatnonzero(~names.isin(known))
    if not absent.size:
        return names
    plain = _plain(known.astype(str))
    clear = ~plain.duplicated(keep=False)
    rows = plain[clear].get_indexer(_plain(names[absent]))
    out = names.to_numpy(dtype=object, copy=True)
    out[absent[rows >= 0]] = known[clear][rows[rows >= 0]]
    return pd.Index(out, dtype=object)


def _plain(names: pd.Index) -> pd.Index:
    return names.str.translate(_PLAIN).str.removeprefix("chr")


def without_version(ids: pd.Index) -> pd.Index:
    """Ensembl ids without their version: ``ENSG00000141510.17`` is ``ENSG00000141510``; other names as they are."""
    return pd.Index(ids.astype(str).str.replace(r"^(ENS[A-Z]*\d+)\.\d+(?:_PAR_Y)?$", r"\1", regex=True), dtype=object)

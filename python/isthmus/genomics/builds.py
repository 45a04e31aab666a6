"""Do two sets of intervals belong to one genome? Chromosome styles, and peaks that crowd at starts of genes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_number
from isthmus.genomics.intervals import Intervals
from isthmus.genomics.joins import overlap_join

NEAR = 1000  # base pairs on either side of a transcription start
# Genome builds move genes by some 10 kb to some Mb, but dense neighbourhoods stay dense: peaks placed anywhere on the
# chromosome would make a wrong build look enriched (1.7 to 1.8 on real data), peaks placed nearby do not (1.2 to 1.3).
NEAREST_SHIFT, FARTHEST_SHIFT = 50_000, 500_000  # base pairs


def promoter_enrichment(
    peaks: Intervals, genes: Intervals, n_shifts: int = 10, seed: int | np.random.Generator = 0
) -> float:
    """How much oftener peaks lie at transcription starts than the same peaks moved a little.

    Open chromatin is found at promoters, so that peaks of the right genome build score high (sci-CAR hg19 peaks on
    hg19 genes: 7.5) and peaks of another build, or of another species, near 1 (on hg38 genes: 1.3).

    Parameters
    ----------
    peaks
        Peaks, (peaks,); narrow ones, as bins of many kb touch most starts anyhow.
    genes
        Genes with strands, of the same chromosome style. Those without a strand are left out.
    n_shifts
        How often every peak is moved, by 50 to 500 kb to either side, within its chromosome.
    seed
        A number, or a generator of NumPy.

    Returns
    -------
    float
        Share of the peaks within 1 kb of a transcription start, over the mean share of the moved ones. NaN where
        no moved peak comes near a start, or there are no peaks.

    Raises
    ------
    InputError
        If ``n_shifts`` is not a whole number of at least 1.
    """
    check_number(n_shifts, "n_shifts", 1, whole=True)
    rng = np.random.default_rng(seed)
    near = genes.take(genes.stranded).tss().extend(NEAR, NEAR)
    length = _spans(peaks, genes)[peaks.chrom.codes]
    moved = 0
    for _ in range(int(n_shifts)):
        shift = rng.integers(NEAREST_SHIFT, FARTHEST_SHIFT, len(peaks)) * rng.choice([-1, 1], len(peaks))
        start = (peaks.start + shift) % np.maximum(length - peaks.width + 1, 1)
        moved += _count_met(Intervals(peaks.names, peaks.chrom, start, start + peaks.width, peaks.strand), near)
    return float(_count_met(peaks, near) * n_shifts / moved) if moved else float("nan")


def _count_met(peaks: Intervals, windows: Intervals) -> int:
    """Number of peaks that overlap any of the windows."""
    return int(np.count_nonzero(np.bincount(overlap_join(windows, peaks).second)))


def _spans(peaks: Intervals, genes: Intervals) -> np.ndarray:
    """(chromosomes of the peaks,) int64, the last base that a peak or a gene reaches."""
    names = peaks.chrom.categories
    span = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(span, peaks.chrom.codes, peaks.end)
    place = names.get_indexer(genes.chrom.categories)[genes.chrom.codes]
    np.maximum.at(span, place[place >= 0], genes.end[place >= 0])
    return span


def match_styles(moving: Intervals, fixed: Intervals, harmonise: bool, what: str, stacklevel: int = 2) -> Intervals:
    """``moving`` with its chromosomes called as in ``fixed`` (``chr1`` or ``1``, ``chrM`` or ``MT``).

    Parameters
    ----------
    moving, fixed
        Intervals of two sources.
    harmonise
        Whether chromosomes may be renamed. This happens, with a warning, where fewer than half of the intervals of
        ``fixed`` are on a chromosome of ``moving`` and renaming finds more.
    what
        What the two are called in messages, such as ``"the genes and 'atac'"``.
    stacklevel
        As for :func:`warnings.warn`, seen from here.

    Raises
    ------
    InputError
        If they share no chromosome.
    """
    if not len(moving) or not len(fixed):
        return moving
    plain = _share_on(fixed, moving.chrom)
    renamed = in_style(moving, fixed) if plain < 0.5 else moving
    better = _share_on(fixed, renamed.chrom) > plain
    if better and harmonise:
        warnings.warn(
            f"Chromosomes of {what} are written in different ways ('{_example(moving)}' and '{_example(fixed)}'); "
            "'chr' was added or dropped to match them.",
            stacklevel=stacklevel + 1,
        )
        return renamed
    if plain == 0:
        advice = "rename the chromosomes of one of them, or give an annotation of the same genome"
        raise InputError(
            f"chromosomes that {what} share",
            f"{_some(moving)} in the one, {_some(fixed)} in the other",
            "give harmonise=True, which adds or drops 'chr'" if better else advice,
        )
    return moving


def in_style(moving: Intervals, fixed: Intervals) -> Intervals:
    """``moving`` with chromosomes called as in ``fixed``; those that it lacks keep their names."""
    target = {_bare(name): name for name in reversed(list(_used(fixed)))}
    names = [target.get(_bare(name), name) for name in moving.chrom.categories]
    chrom = pd.Categorical(np.array(names, dtype=object)[moving.chrom.codes])
    return Intervals(moving.names, chrom, moving.start, moving.end, moving.strand)


def chrom_in_style(chrom: str, known: Iterable[str]) -> str:
    """``chrom``, or what ``known`` call the same chromosome where it is none of them."""
    alike = [name for name in known if _bare(name) == _bare(chrom)]
    return alike[0] if alike and chrom not in alike else chrom


def in_one_style(parts: list[Intervals]) -> list[Intervals]:
    """All with chromosomes called as in the second, so that places on one are seen to be; the first are genes."""
    style = parts[min(1, len(parts) - 1)]
    return [in_style(part, style) if len(part) else part for part in parts]


def _bare(name: str) -> str:
    """``chr1``, ``Chr1`` and ``1`` are the same, and so are ``chrM`` and ``MT``."""
    bare = name[3:] if name.lower().startswith("chr") else name
    return "MT" if bare in ("M", "MT") else bare


def _used(intervals: Intervals) -> pd.Index:
    """Chromosomes with an interval, those with most first."""
    return pd.Index(pd.Series(intervals.chrom).value_counts(sort=True).loc[lambda count: count > 0].index.astype(str))


def _share_on(intervals: Intervals, chrom: pd.Categorical) -> float:
    """Share of the intervals that lie on one of these chromosomes."""
    return float(
        np.isin(np.asarray(intervals.chrom.categories), np.asarray(chrom.unique()))[intervals.chrom.codes].mean()
    )


def _example(intervals: Intervals) -> str:
    return str(_used(intervals)[0])


def _some(intervals: Intervals) -> str:
    return shorten(_used(intervals), 3)

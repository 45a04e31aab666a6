"""Targets of transcription factors: genes whose linked peaks hold a motif more often than peaks like them.

Cao and Gao 2022, doi:10.1038/s41587-022-01284-4. The rankings are made for the pruning of modules by SCENIC (Aibar et
al. 2017, doi:10.1038/nmeth.4463).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_number, check_unique
from isthmus.genomics._motifs import Motifs, alike
from isthmus.genomics._names import as_spelled
from isthmus.genomics._positions import Features
from isthmus.genomics.links import check_columns

BLOCK = 1 << 20  # pairs of gene and TF that are compared together: 4 MB of counts
LARGEST = 1_000_000  # draws


def tf_targets(
    links: pd.DataFrame,
    motifs: Any,
    peaks: Any = None,
    n_draws: int | None = None,
    seed: int | np.random.Generator = 0,
    *,
    match: Sequence[str] = (),
) -> pd.DataFrame:
    """Ask for every gene and TF whether the peaks linked to the gene hold the TF's motif more often than by chance.

    By chance means that every linked peak is replaced by one drawn among all peaks of about its length.

    Parameters
    ----------
    links
        Significant links, columns ``peak`` and ``gene``, such as ``table[table["qvalue"] < 0.05]`` of
        :func:`link_table`.
    motifs
        Which peaks hold which motifs: AnnData or a data frame (peaks x TFs, not zero where held), a tuple of such a
        matrix (sparse or not), names of peaks and names of TFs, or a data frame with columns ``peak`` and ``tf``.
    peaks
        All peaks to draw from, as AnnData, a data frame, Intervals or names, with positions in columns or in their
        names; by default the rows of ``motifs``. Motifs of other peaks are left out. Names that differ in punctuation
        alone (``chr1:1-2``, ``chr1-1-2``) are of one peak, here and in the links.
    n_draws
        How often peaks are drawn, as in the paper. None computes the probabilities that many draws would approach (of
        sums of independent, not identical yes-or-no variables), in less time, and smaller ones than 1 / (n_draws + 1):
        with hundreds of TFs, 1,000 draws leave no q-value small.
    seed
        Of the draws: a number, or a generator of NumPy.
    match
        Columns of ``peaks`` with numbers, such as GC content or accessibility, that drawn peaks shall be alike in
        too.

    Returns
    -------
    pandas.DataFrame
        One row for each TF and gene with at least one linked peak that holds the motif, sorted by TF (in the order
        of ``motifs``) and rank:

        - ``tf``, ``gene``.
        - ``n_peaks``: linked peaks with the motif.
        - ``pvalue``: the probability of drawing at least as many; with ``n_draws`` (k + 1) / (n_draws + 1), k of the
          draws having so many.
        - ``qvalue``: false discovery rate of Benjamini and Hochberg over all TFs and linked genes, those without a
          peak included.
        - ``rank``: of the gene among those of the TF, 1 for the least p-value, ties averaged.

    Raises
    ------
    InputError
        If links are absent or at unknown peaks, motifs are of no such form, peaks have no position, or a setting is
        out of its range.
    """
    check_columns(links, ("peak", "gene"))
    if n_draws is not None:
        check_number(n_draws, "n_draws", 1, LARGEST, whole=True)
    names = None if peaks is None else Features.of("peaks", peaks).names
    held = Motifs.of(motifs, names)
    genes, linked = _linked(links, held.peaks)
    if peaks is None:
        peaks = motifs.obs if hasattr(motifs, "obs_names") else held.peaks
    bins = _Bins.of(alike(peaks, held.peaks, match))
    used = np.flatnonzero(np.bincount(linked.indices, minlength=len(held.peaks)))
    narrow, n_peaks = linked[:, used], (linked @ held.matrix).toarray()
    if n_draws is None:
        pvalue = _exact(narrow, n_peaks, bins.shares(held.matrix), bins.code[used])
    else:
        reached = _count_reached(narrow, n_peaks, held.matrix, bins, used, int(n_draws), np.random.default_rng(seed))
        pvalue = (reached + 1) / (n_draws + 1)
    return _long(genes, held.tfs, n_peaks, pvalue)


def tf_rankings(table: pd.DataFrame, genes: Sequence[str], tfs: Sequence[str] | None = None) -> pd.DataFrame:
    """Ranks of all genes for each TF, as the pruning of modules by SCENIC wants them.

    Parameters
    ----------
    table
        From :func:`tf_targets`.
    genes
        Names of all genes to rank, at least those of the table.
    tfs
        Names of the TFs; by default those of the table.

    Returns
    -------
    pandas.DataFrame
        (genes, TFs) float64: ranks from 1, those of the table; genes without a linked peak that holds the motif share
        the mean of the ranks that are left.

    Raises
    ------
    InputError
        If a column is absent, a name stands twice, or the table has genes or TFs that are not among these.
    """
    check_columns(table, ("tf", "gene", "rank"), "tf_targets")
    tfs = pd.unique(table["tf"]) if tfs is None else tfs
    genes, tfs = pd.Index(genes, dtype=object), pd.Index(tfs, dtype=object)
    check_unique(genes, "gene")
    check_unique(tfs, "TF")
    row, column = (_places(names, table[what], what) for names, what in ((genes, "gene"), (tfs, "tf")))
    present = np.bincount(column, minlength=len(tfs))
    ranks = np.tile((present + 1 + len(genes)) / 2, (len(genes), 1))
    ranks[row, column] = table["rank"]
    return pd.DataFrame(ranks, index=genes, columns=tfs)


class _Bins(NamedTuple):
    """Peaks that may stand for one another.

    Attributes
    ----------
    code
        (peaks,) int64, bin of each peak.
    members
        (peaks,) int64, peaks sorted by bin.
    start, size
        (bins,) int64, where a bin starts in ``members``, and how many peaks it has.
    """

    code: np.ndarray
    members: np.ndarray
    start: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, code: np.ndarray) -> _Bins:
        size = np.bincount(code)
        return cls(code, np.argsort(code, kind="stable"), np.cumsum(size) - size, size)

    def draw(self, peaks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(peaks,) int64, a peak of the same bin for each."""
        home = self.code[peaks]
        return self.members[self.start[home] + (rng.random(len(peaks)) * self.size[home]).astype(np.int64)]

    def shares(self, motifs: sp.csr_matrix) -> np.ndarray:
        """(bins, TFs) float64, share of the peaks of a bin that hold a motif."""
        every = np.arange(len(self.code))
        into = sp.csr_matrix((np.ones(len(every), np.int32), (self.code, every)), (len(self.size), len(every)))
        return (into @ motifs).toarray() / self.size[:, None]


def _linked(links: pd.DataFrame, peaks: pd.Index) -> tuple[pd.Index, sp.csr_matrix]:
    """Names of the linked genes, sorted, and (genes, peaks) int32, 1 where linked."""
    if not len(links):
        raise InputError("at least one link", "none", "raise the q-value up to which links are taken")
    column = _places(peaks, as_spelled(pd.Index(links["peak"].astype(str)), peaks), "peak")
    row, genes = pd.factorize(links["gene"].astype(str), sort=True)
    out = sp.csr_matrix((np.ones(len(row), dtype=np.int32), (row, column)), (len(genes), len(peaks)))
    out.data[:] = 1  # repeated links were added up
    return pd.Index(genes, dtype=object), out


def _places(known: pd.Index, names: pd.Index | pd.Series, what: str) -> np.ndarray:
    rows = known.get_indexer(names.astype(str))
    if (rows < 0).any():
        missing = pd.unique(names[rows < 0])
        raise InputError(
            f"every {what} among the {len(known)} known, such as {shorten(known, 3)}",
            f"{len(missing)} others, such as {shorten(missing, 3)}",
            "check that the names are of the same kind, or leave the others out",
        )
    return rows


def _count_reached(
    linked: sp.csr_matrix,
    n_peaks: np.ndarray,
    motifs: sp.csr_matrix,
    bins: _Bins,
    used: np.ndarray,
    n_draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(genes, TFs) int32, draws with at least as many peaks as observed."""
    reached = np.zeros(n_peaks.shape, dtype=np.int32)
    step = max(BLOCK // n_peaks.shape[1], 1)
    blocks = [slice(start, start + step) for start in range(0, len(n_peaks), step)]
    parts = [linked[block] for block in blocks]
    for _ in range(n_draws):
        drawn = motifs[bins.draw(used, rng)]
        for block, part in zip(blocks, parts, strict=True):
            reached[block] += (part @ drawn).toarray() >= n_peaks[block]
    return reached


def _exact(linked: sp.csr_matrix, n_peaks: np.ndarray, shares: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(genes, TFs) probability of at least as many peaks; ``code`` (linked peaks,) are rows of ``shares``."""
    out = np.empty(n_peaks.shape)
    every = np.arange(n_peaks.shape[1])
    for gene, (start, end) in enumerate(zip(linked.indptr[:-1], linked.indptr[1:], strict=True)):
        rows = shares[np.sort(code[linked.indices[start:end]])]  # in order, so that rounding makes no ties differ
        count = np.zeros((len(rows) + 1, len(every)))  # count[k]: probability of k peaks among those seen so far
        count[0] = 1
        for seen, p in enumerate(rows, 1):
            count[1 : seen + 1] = count[1 : seen + 1] * (1 - p) + count[:seen] * p
            count[0] *= 1 - p
        tail = np.cumsum(count[::-1], axis=0)[::-1]  # small ones first, so that they are not lost
        out[gene] = tail[n_peaks[gene], every]
    return np.minimum(out, 1)


def _long(genes: pd.Index, tfs: pd.Index, n_peaks: np.ndarray, pvalue: np.ndarray) -> pd.DataFrame:
    from scipy.stats import false_discovery_control  # takes a third of a second: only where it is used

    tf, gene = np.nonzero(n_peaks.T)
    if not len(tf):
        raise InputError("linked peaks that hold a motif", "none", "check that links and motifs belong together")
    p = pvalue[gene, tf]
    # Pairs without a peak have p = 1 and stand last, so they only count as tests.
    q = np.minimum(false_discovery_control(p) * (n_peaks.size / len(p)), 1)
    rank = pd.Series(p).groupby(tf).rank(method="average").to_numpy()
    order = np.lexsort((gene, rank, tf))
    tf, gene = tf[order], gene[order]
    names = {"tf": tfs.to_numpy()[tf], "gene": genes.to_numpy()[gene], "n_peaks": n_peaks[gene, tf]}
    return pd.DataFrame({**names, "pvalue": p[order], "qvalue": q[order], "rank": rank[order]})

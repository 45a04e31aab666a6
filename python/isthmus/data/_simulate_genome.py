"""Coordinates for the simulator: genes in clusters, peaks that crowd at their starts, links that thin out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data._simulate_settings import Settings

# Lengths of the human chromosomes in the assembly hg38, in Mb, rounded down: chr1 to chr22, then chrX.
_MEGABASES = (248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135, 133, 114,
              107, 101, 90, 83, 80, 58, 64, 46, 50, 156)  # fmt: skip
CHROMOSOMES = tuple(f"chr{i}" for i in (*range(1, 23), "X"))
LENGTHS = np.array(_MEGABASES) * 1_000_000  # base pairs
PEAK_WIDTH = 500  # base pairs
PEAK_PITCH = 800  # base pairs; one peak per stretch of this length, so that none overlap
LINK_WINDOW = 150_000  # base pairs between peak midpoint and transcription start
LINK_DECAY = 25_000  # base pairs over which the density of links falls by e
LINKABLE = 0.6  # share of the peaks that may regulate a gene; the others are free for ATAC-only differences


def draw_genes(n_genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Genes in clusters of about eight, sorted along the genome.

    Returns
    -------
    pandas.DataFrame
        ``chrom, chromStart, chromEnd, strand, tss``; BED coordinates (0-based, half-open). ``tss`` is the
        first base that is transcribed: ``chromStart`` on +, ``chromEnd - 1`` on -.
    """
    n_clusters = max(1, n_genes // 8)
    chrom_of_cluster = rng.choice(len(CHROMOSOMES), size=n_clusters, p=LENGTHS / LENGTHS.sum())
    centre = rng.uniform(0.02, 0.98, n_clusters) * LENGTHS[chrom_of_cluster]
    cluster = rng.integers(n_clusters, size=n_genes)
    chrom = chrom_of_cluster[cluster]
    length = np.clip(rng.lognormal(np.log(25_000), 1.1, n_genes), 500, 500_000).astype(np.int64)
    start = (centre[cluster] + rng.laplace(0, 150_000, n_genes)).astype(np.int64)
    start = np.clip(start, 10_000, LENGTHS[chrom] - 10_000 - length)
    order = np.lexsort((start, chrom))
    chrom, start, end = chrom[order], start[order], (start + length)[order]
    forward = rng.random(n_genes) < 0.5
    return pd.DataFrame(
        {
            "chrom": pd.Categorical.from_codes(chrom, list(CHROMOSOMES)),
            "chromStart": start,
            "chromEnd": end,
            "strand": pd.Categorical(np.where(forward, "+", "-"), categories=["+", "-"]),
            "tss": np.where(forward, start, end - 1),
        },
        index=_names("GENE", n_genes),
    )


def draw_peaks(n_peaks: int, genes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Peaks of 500 base pairs that do not overlap; 60 % of them crowd around transcription starts.

    Returns
    -------
    pandas.DataFrame
        ``chrom, chromStart, chromEnd``, sorted along the genome; names like ``chr1:1000-1500``.
    """
    slots_before = np.concatenate([[0], np.cumsum(LENGTHS // PEAK_PITCH)])
    taken = np.empty(0, dtype=np.int64)
    while taken.size < n_peaks:
        fresh = _peak_slots(2 * (n_peaks - taken.size) + 100, genes, slots_before, rng)
        taken = np.union1d(taken, fresh)
    slot = np.sort(rng.permutation(taken)[:n_peaks])
    chrom = np.searchsorted(slots_before, slot, side="right") - 1
    start = (slot - slots_before[chrom]) * PEAK_PITCH + rng.integers(PEAK_PITCH - PEAK_WIDTH, size=n_peaks)
    end = start + PEAK_WIDTH
    names = [f"{CHROMOSOMES[c]}:{s}-{e}" for c, s, e in zip(chrom, start, end, strict=True)]
    return pd.DataFrame(
        {"chrom": pd.Categorical.from_codes(chrom, list(CHROMOSOMES)), "chromStart": start, "chromEnd": end},
        index=pd.Index(names),
    )


def _peak_slots(n: int, genes: pd.DataFrame, slots_before: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Slots of ``PEAK_PITCH`` base pairs, counted through the whole genome; may repeat."""
    n_near = round(0.6 * n)
    gene = rng.integers(len(genes), size=n_near)
    chrom_near = genes["chrom"].cat.codes.to_numpy()[gene]
    chrom_far = rng.choice(len(LENGTHS), n - n_near, p=LENGTHS / LENGTHS.sum())
    chrom = np.concatenate([chrom_near, chrom_far]).astype(np.int64)
    near = genes["tss"].to_numpy()[gene] + rng.laplace(0, 30_000, n_near)
    far = rng.random(n - n_near) * LENGTHS[chrom[n_near:]]
    position = np.clip(np.concatenate([near, far]), 0, LENGTHS[chrom] - PEAK_PITCH - 1)
    return slots_before[chrom] + (position // PEAK_PITCH).astype(np.int64)


def draw_links(settings: Settings, genes: pd.DataFrame, peaks: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Choose which peaks drive which genes.

    Candidates are all pairs within 150 kb whose peak may regulate; each gene keeps at most ``links_per_gene``
    of them and ``n_links`` are kept in all, with odds that fall as exp(-distance / 25 kb).

    Returns
    -------
    pandas.DataFrame
        ``peak, gene`` (names), ``distance`` (base pairs, midpoint to start), ``effect`` (> 0),
        ``sign`` (1 or -1).

    Raises
    ------
    InputError
        If ``n_links`` is more than the coordinates have room for.
    """
    linkable = np.flatnonzero(rng.random(len(peaks)) < LINKABLE)
    peak, gene, distance = near_pairs(peaks.iloc[linkable], genes)
    peak = linkable[peak]
    # Gumbel keys: the largest keys are a draw without replacement with odds exp(-distance / decay).
    key = rng.gumbel(size=peak.size) - distance / LINK_DECAY
    by_gene = np.lexsort((-key, gene))
    first = np.searchsorted(gene[by_gene], gene[by_gene])  # where this gene's candidates begin
    kept = by_gene[np.arange(by_gene.size) - first < settings.links_per_gene]
    wanted = min(len(genes) // 2, kept.size) if settings.n_links < 0 else settings.n_links
    if wanted > kept.size:
        raise InputError(
            f"n_links to be at most {kept.size} ({settings.links_per_gene} per gene in {LINK_WINDOW:,} bp)",
            f"n_links = {wanted}",
            "lower n_links, or raise n_peaks, n_genes or links_per_gene",
        )
    chosen = np.sort(kept[np.argsort(-key[kept], kind="stable")[:wanted]])
    negative = rng.random(wanted) < settings.negative_links
    return pd.DataFrame(
        {
            "peak": peaks.index.to_numpy()[peak[chosen]],
            "gene": genes.index.to_numpy()[gene[chosen]],
            "distance": distance[chosen],
            "effect": rng.uniform(0.7, 1.3, wanted),
            "sign": np.where(negative, -1, 1),
        },
        index=pd.Index([f"link{i + 1}" for i in range(wanted)]),
    )


def near_pairs(peaks: pd.DataFrame, genes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs within 150 kb: row of the peak, row of the gene, base pairs from midpoint to start."""
    peak_rows, gene_rows, distances = [], [], []
    middle = (peaks["chromStart"] + peaks["chromEnd"]).to_numpy() // 2
    for chrom in CHROMOSOMES:
        of_peaks = np.flatnonzero(peaks["chrom"] == chrom)
        of_genes = np.flatnonzero(genes["chrom"] == chrom)
        tss = genes["tss"].to_numpy()[of_genes]
        low = np.searchsorted(middle[of_peaks], tss - LINK_WINDOW)
        count = np.searchsorted(middle[of_peaks], tss + LINK_WINDOW, side="right") - low
        offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        peak = of_peaks[np.repeat(low, count) + offset]
        peak_rows.append(peak)
        gene_rows.append(np.repeat(of_genes, count))
        distances.append(np.abs(middle[peak] - np.repeat(tss, count)))
    return np.concatenate(peak_rows), np.concatenate(gene_rows), np.concatenate(distances)


def _names(stem: str, n: int) -> pd.Index:
    """``GENE0001`` and so on, as wide as the largest number, four digits at least."""
    width = max(4, len(str(n)))
    return pd.Index([f"{stem}{i + 1:0{width}d}" for i in range(n)])

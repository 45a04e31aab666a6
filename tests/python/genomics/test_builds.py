from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import Intervals, promoter_enrichment
from isthmus.genomics.builds import match_styles

LENGTH = 60_000_000  # base pairs of either chromosome


def genes_and_peaks(rng, share: float) -> tuple[Intervals, Intervals]:
    """600 genes, and 3,000 peaks of which ``share`` lie at transcription starts."""
    chrom = rng.choice(["chr1", "chr2"], 600)
    start = rng.integers(10_000, LENGTH - 100_000, 600)
    names = pd.Index([f"g{i}" for i in range(600)])
    genes = Intervals(names, pd.Categorical(chrom), start, start + 20_000, rng.choice(["+", "-"], 600))
    gene = rng.integers(600, size=3000)
    place = np.where(rng.random(3000) < share, genes.tss().start[gene], rng.integers(10_000, LENGTH, 3000))
    peaks = Intervals(
        pd.Index([f"p{i}" for i in range(3000)]), genes.chrom[gene], place - 250, place + 250, np.full(3000, ".")
    )
    return genes, peaks


def by_hand(peaks: Intervals, genes: Intervals) -> float:
    """Share of peaks within 1 kb of a transcription start, one by one."""
    first = np.where(genes.strand == "-", genes.end - 1, genes.start)
    hits = [
        bool(((genes.chrom == chrom) & (start < first + 1001) & (end > first - 1000)).any())
        for chrom, start, end in zip(peaks.chrom, peaks.start, peaks.end, strict=True)
    ]
    return float(np.mean(hits))


def test_peaks_at_promoters_are_enriched_and_others_are_not(rng):
    genes, peaks = genes_and_peaks(rng, 0.3)
    assert promoter_enrichment(peaks, genes) > 5
    genes, peaks = genes_and_peaks(rng, 0.0)
    assert 0.6 < promoter_enrichment(peaks, genes) < 1.5


def test_enrichment_is_observed_over_expected(rng):
    genes, peaks = genes_and_peaks(rng, 0.3)
    chance = 600 * (2001 + 500) / (2 * LENGTH)  # share of the genome from where a peak reaches a window
    assert promoter_enrichment(peaks, genes, n_shifts=20) == pytest.approx(by_hand(peaks, genes) / chance, rel=0.15)


def test_enrichment_follows_its_seed_and_not_the_order_of_genes(rng):
    genes, peaks = genes_and_peaks(rng, 0.2)
    assert promoter_enrichment(peaks, genes, seed=4) == promoter_enrichment(peaks, genes, seed=4)
    shuffled = genes.take(rng.permutation(len(genes)))
    assert promoter_enrichment(peaks, shuffled, seed=4) == promoter_enrichment(peaks, genes, seed=4)


def test_enrichment_without_anything_to_count_is_not_a_number(rng, refused):
    genes, peaks = genes_and_peaks(rng, 0.2)
    assert np.isnan(promoter_enrichment(peaks.take(slice(0)), genes))
    assert np.isnan(promoter_enrichment(peaks, genes.take(slice(0))))
    with refused("0", "n_shifts"):
        promoter_enrichment(peaks, genes, n_shifts=0)


@pytest.mark.parametrize("peaks", ["scicar_a549_atac.h5ad", "bmmc_granja_atac.h5ad"])
def test_real_peaks_tell_their_genome_build(shared_data, peaks):
    import anndata as ad

    where = Intervals.from_frame(ad.read_h5ad(shared_data(peaks), backed="r").var)
    right, wrong, mouse = (
        promoter_enrichment(where, Intervals.read(shared_data(f"genes_{build}.bed.gz")))
        for build in ("hg19", "hg38", "mm10")
    )
    assert right > 3
    assert wrong < 1.4
    assert mouse < 1.2


def styled(intervals, *chroms: str) -> Intervals:
    return intervals(*((f"x{i}", chrom, 5, 9, "+") for i, chrom in enumerate(chroms)))


@pytest.mark.parametrize(
    ("moving", "fixed", "expected"),
    [
        (["1", "X", "MT", "GL000220.1"], ["chr1", "chr2", "chrX"], ["chr1", "chrX", "MT", "GL000220.1"]),
        (["chr1", "chrX", "chrM"], ["1", "X", "MT"], ["1", "X", "MT"]),
        (["1", "2", "KI270"], ["chr1", "chr2", "KI270"], ["chr1", "chr2", "KI270"]),
        (["Chr1", "Chr2"], ["chr1"], ["chr1", "Chr2"]),
    ],
)
def test_chromosomes_are_matched_with_a_warning(intervals, moving, fixed, expected):
    with pytest.warns(UserWarning, match="written in different ways"):
        matched = match_styles(styled(intervals, *moving), styled(intervals, *fixed), True, "the two")
    assert matched.chrom.astype(str).tolist() == expected


@pytest.mark.filterwarnings("error")
def test_chromosomes_that_agree_are_left_alone(intervals):
    moving = styled(intervals, "chr1", "chr2", "3")
    assert match_styles(moving, styled(intervals, "chr1", "chr7"), True, "the two") is moving


def test_no_shared_chromosome_is_refused(intervals, refused):
    with refused("'1', '2' in the one, 'chr1' in the other", "the two share", "harmonise=True"):
        match_styles(styled(intervals, "1", "2"), styled(intervals, "chr1"), False, "the two")
    with refused("'NC_000001.11' in the one, 'chr1' in the other", "the two share", "same genome"):
        match_styles(styled(intervals, "NC_000001.11"), styled(intervals, "chr1"), True, "the two")

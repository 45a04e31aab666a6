"""Random intervals for the tests of the genomics floor."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import GuidanceGraph, Intervals, guidance_graph


def draw(
    rng: np.random.Generator,
    n: int,
    stem: str = "x",
    length: int = 1000,
    widest: int = 80,
    chroms: tuple[str, ...] = ("chr1", "chr2", "chrX"),
) -> Intervals:
    """``n`` intervals with strands, short chromosomes so that many meet."""
    start = rng.integers(0, length, n)
    return Intervals(
        pd.Index([f"{stem}{i}" for i in range(n)]),
        pd.Categorical(rng.choice(chroms, n), categories=list(chroms)),
        start,
        start + rng.integers(1, widest + 1, n),
        rng.choice(["+", "-", "."], n),
    )


@pytest.fixture
def random_intervals(rng) -> Callable[..., Intervals]:
    """``random_intervals(20, "gene", widest=300)`` draws 20 intervals called gene0, gene1, ..."""
    return lambda n, stem="x", **settings: draw(rng, n, stem, **settings)


@pytest.fixture
def intervals() -> Callable[..., Intervals]:
    """``intervals(("a", "chr1", 5, 9, "+"), ...)`` are intervals as written."""

    def make(*rows: tuple) -> Intervals:
        name, chrom, start, end, strand = zip(*rows, strict=True) if rows else ([], [], [], [], [])
        return Intervals(pd.Index(name, dtype=object), pd.Categorical(chrom), start, end, strand)

    return make


def on_a_genome(rng: np.random.Generator, n_genes: int, n_peaks: int, chroms: tuple[str, ...], length: int) -> tuple:
    """Genes with strands and narrow peaks, spread evenly."""

    def spread(n: int, stem: str, widest: int) -> Intervals:
        start = rng.integers(0, length, n)
        names = pd.Index([f"{stem}{i}" for i in range(n)])
        end = start + rng.integers(200, widest, n)
        return Intervals(names, pd.Categorical(rng.choice(chroms, n)), start, end, rng.choice(["+", "-"], n))

    return spread(n_genes, "g", 20_000), spread(n_peaks, "p", 900)


@pytest.fixture
def linked_graph(rng) -> Callable[..., GuidanceGraph]:
    """``linked_graph(n_genes=200, n_peaks=2000)`` joins promoters and peaks within 150 kb on made-up chromosomes."""

    def make(
        n_genes: int = 200,
        n_peaks: int = 2000,
        chroms: tuple[str, ...] = ("chr1", "chr2", "chr3", "chr4"),
        length: int = 20_000_000,
    ) -> GuidanceGraph:
        genes, peaks = on_a_genome(rng, n_genes, n_peaks, chroms, length)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Features of")  # peaks anywhere are at no promoters
            return guidance_graph(genes, peaks, region="promoter", extend=150_000)

    return make

"""Random intervals for the tests of the genomics floor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from isthmus.genomics import Intervals


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

"""Speed and memory of guidance graphs beside bioframe's bare overlaps, in one run.

    python tests/benchmarks/bench_genomics.py [--peaks 200000] [--genes 60000] [--within 150000]

Genes and peaks are those of the simulator: they crowd, as real ones do. Each call has a process of its own, whose
largest resident size is shown beside its size before the call; times are the best of three.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from isthmus.data._simulate_genome import draw_genes, draw_peaks
from isthmus.genomics import guidance_graph

MEBIBYTE = 1 << 10  # of the unit in which Linux tells a resident size


def overlaps(genes: pd.DataFrame, peaks: pd.DataFrame, within: int) -> Callable[[], int]:
    """The overlaps of bioframe between widened genes and peaks."""
    import bioframe

    wide, narrow = (
        pd.DataFrame(
            {"chrom": table["chrom"].astype(str), "start": table["chromStart"] - more, "end": table["chromEnd"] + more}
        ).reset_index(drop=True)
        for table, more in ((genes, within), (peaks, 0))
    )
    return lambda: len(bioframe.overlap(wide, narrow, how="inner", return_input=False, return_index=True))


def graph(genes: pd.DataFrame, peaks: pd.DataFrame, within: int) -> Callable[[], int]:
    """The whole guidance graph, from the names of the peaks on: number of edges."""
    names = peaks.index
    warnings.filterwarnings("ignore", "Features of 'other'")  # so many simulated genes leave no place far from a start
    return lambda: guidance_graph(genes, names, region="promoter", extend=within).n_edges


def measure(make: Callable, genes: pd.DataFrame, peaks: pd.DataFrame, within: int) -> tuple[int, float, float, float]:
    """Number of pairs, seconds, and the largest size in MiB before and after."""
    act = make(genes, peaks, within)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        n_pairs = act()
        seconds.append(time.perf_counter() - began)
    return n_pairs, min(seconds), before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE


def main() -> None:
    """Print a line for each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peaks", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=60_000)
    parser.add_argument("--within", type=int, default=150_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    genes = draw_genes(options.genes, rng)
    peaks = draw_peaks(options.peaks, genes, rng)
    spawn = multiprocessing.get_context("spawn")  # a forked process would count its parent's memory
    times = {}
    for make in (overlaps, graph):
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            n_pairs, times[make], before, after = pool.submit(measure, make, genes, peaks, options.within).result()
        print(f"{make.__name__:8} {n_pairs:11,} pairs {times[make]:7.2f} s {before:7.0f} -> {after:7.0f} MiB")
    print(f"the graph takes {times[graph] / times[overlaps]:.1f} times as long as the overlaps")


if __name__ == "__main__":
    main()

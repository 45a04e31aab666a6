"""Speed and memory of a training step of SAILERX against a plain dense PyTorch loop, in one run.

    python tests/benchmarks/bench_sailerx.py [--cells 10000] [--peaks 130000] [--open 0.03] [--steps 20] [--fit]

The plain loop is the network as anyone would type it: dense rows, a small module for each chromosome, the loss over all
entries; the whole matrix is made dense first ("dense"), or each cell when its turn comes ("rows"). Ours is shown with a
likelihood of all peaks, and of a quarter of them in each step, the verb's default. On all sides half of a cell's open
peaks are hidden from the encoder, as by default. Each side runs in a process of its own, with as many cells in a step;
its time is the median of the steps after the first few. Set OMP_NUM_THREADS=1: times are those of the processor,
whoever else uses the machine. Memory is the largest resident size beyond that of the sparse data.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import nn

SIDES = ("dense", "rows", "all peaks", "a quarter")
CHROMOSOMES, CELLS, WIDTH, LATENT, DROPOUT = 23, 200, 64, 50, 0.5
WARM_UP = 5  # steps that are not counted


def matrix(n_cells: int, n_peaks: int, share: float, seed: int = 0) -> sp.csr_matrix:
    """Random open peaks, about ``share`` of them."""
    rng, rows = np.random.default_rng(seed), []
    chance = np.minimum(rng.lognormal(0, 1, n_peaks) * share / np.exp(0.5), 0.9)
    for _ in range(n_cells):
        rows.append(np.flatnonzero(rng.random(n_peaks) < chance).astype(np.int32))
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.concatenate(rows)
    return sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(n_cells, n_peaks))


def sizes(n_peaks: int) -> list[int]:
    """Peaks of each chromosome, the first of them the longest."""
    share = np.linspace(3.0, 1.0, CHROMOSOMES)
    out = np.floor(n_peaks * share / share.sum()).astype(int)
    out[0] += n_peaks - out.sum()
    return [int(n) for n in out]


class Plain(nn.Module):
    """A module for each chromosome, dense in and out."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.widths, half = widths, WIDTH // 2

        def block(n_in: int, n_out: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.PReLU())

        self.encoders = nn.ModuleList(nn.Sequential(block(n, WIDTH), block(WIDTH, half)) for n in widths)
        self.mean, self.log_variance = (nn.Linear(half * len(widths), LATENT) for _ in range(2))
        self.spread = block(LATENT + 1, half * len(widths))
        self.decoders = nn.ModuleList(nn.Sequential(block(half, WIDTH), nn.Linear(WIDTH, n)) for n in widths)

    def loss(self, x: torch.Tensor, g: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """Reconstruction, divergence and structure."""
        seen = F.dropout(x, DROPOUT)
        h = torch.cat([f(part) for f, part in zip(self.encoders, seen.split(self.widths, 1), strict=True)], 1)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        parts = self.spread(torch.cat([z, depth[:, None]], 1)).chunk(len(self.widths), 1)
        logits = torch.cat([f(part) for f, part in zip(self.decoders, parts, strict=True)], 1)
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
        one, other = F.normalize(mean), F.normalize(g)
        gap = (one @ one.T - other @ other.T).square().mean()
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + kl + gap


def plain_steps(x: sp.csr_matrix, steps: int, whole: bool) -> float:
    """Seconds a step; the ``whole`` matrix made dense first, or each cell when its turn comes."""
    torch.manual_seed(0)
    model, rng = Plain(sizes(x.shape[1])), np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    everything = torch.from_numpy(x.toarray()) if whole else None
    times = []
    for _ in range(steps + WARM_UP):
        began, rows = time.process_time(), rng.choice(x.shape[0], CELLS, replace=False)
        dense = everything[rows] if whole else torch.from_numpy(np.stack([x[row].toarray()[0] for row in rows]))
        optimizer.zero_grad()
        model.loss(dense, torch.randn(CELLS, 50), torch.randn(CELLS)).backward()
        optimizer.step()
        times.append(time.process_time() - began)
    return float(np.median(times[WARM_UP:]))


def our_steps(x: sp.csr_matrix, steps: int, share: float) -> float:
    """Seconds a step, in the loop that the verb runs, with a likelihood of this share of the peaks."""
    from isthmus.data import SparseLoader
    from isthmus.data.joint import JointLoader
    from isthmus.models import SAILERX
    from isthmus.models.sailerx import PAIRED
    from isthmus.train import Options
    from isthmus.train.devices import make_fabric
    from isthmus.train.run import Run

    depth = np.log(np.diff(x.indptr))
    model = SAILERX(
        sizes(x.shape[1]), 1, (float(depth.mean()), float(depth.std())), float(np.exp(depth).mean()), LATENT, WIDTH,
        DROPOUT, peaks_share=share,
    )  # fmt: skip
    facts = {"representation": np.random.default_rng(0).standard_normal((x.shape[0], 50)).astype(np.float32)}
    facts["weight"] = np.ones(x.shape[0], dtype=np.float32)
    zeros = np.zeros(x.shape[0], dtype=np.int64)
    loader = JointLoader({PAIRED: SparseLoader(x, zeros, None, CELLS, shuffle=True, cells=facts)})
    options = Options(max_steps=10_000, compile=False)
    run, times = Run.start(model, options, make_fabric(options)), []
    run.model.train()
    began = time.process_time()
    for number, batch in enumerate(loader.epoch(0)):  # gathering the rows is in the time
        run.train_step(batch)
        times.append(time.process_time() - began)
        began = time.process_time()
        if number + 1 == steps + WARM_UP:
            break
    return float(np.median(times[WARM_UP:]))


def whole_fit(x: sp.csr_matrix) -> float:
    """Seconds of the verb at its defaults."""
    import anndata as ad

    import isthmus as im

    rng = np.random.default_rng(0)
    rna = ad.AnnData(sp.csr_matrix(rng.poisson(0.3, (x.shape[0], 2000)).astype(np.float32)))
    atac = ad.AnnData(x)
    atac.var_names = [
        f"chr{c + 1}:{1000 * i}-{1000 * i + 500}" for c, n in enumerate(sizes(x.shape[1])) for i in range(n)
    ]
    began = time.process_time()
    im.tl.sailerx({"rna": rna, "atac": atac}, progress="plain")
    return time.process_time() - began


def measure(args: argparse.Namespace) -> None:
    """One side, in this process: seconds and GiB beyond the data."""
    import isthmus.tl  # noqa: F401  (loaded on both sides: a library is not the step's memory)

    x = matrix(args.cells, args.peaks, args.open)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the largest size so far was that of making the data
    sides = {
        "dense": lambda: plain_steps(x, args.steps, whole=True),
        "rows": lambda: plain_steps(x, args.steps, whole=False),
        "all peaks": lambda: our_steps(x, args.steps, 1.0),
        "a quarter": lambda: our_steps(x, args.steps, 0.25),
        "fit": lambda: whole_fit(x),
    }
    seconds = sides[args.side]()
    print(f"{seconds} {resident('VmHWM') - before}")


def resident(what: str) -> float:
    """GiB of memory now (VmRSS), or at the most (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 2**20


def main() -> None:
    """Print both sides and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--peaks", type=int, default=130_000)
    parser.add_argument("--open", type=float, default=0.03)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--fit", action="store_true", help="also the whole fit at the verb's defaults")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        measure(args)
        return
    found = {}
    for side in (*SIDES, *(["fit"] if args.fit else [])):
        command = [sys.executable, __file__, "--side", side]
        for name in ("cells", "peaks", "open", "steps"):
            command += [f"--{name}", str(getattr(args, name))]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found[side] = [float(word) for word in out.split()[-2:]]
        what = f"{CELLS / found[side][0]:.0f} cells/s" if side in SIDES else f"{found[side][0]:.0f} s"
        print(f"{side}: {what}, {found[side][1]:.2f} GiB beyond the data", flush=True)
    for ours, plain in product(SIDES[2:], SIDES[:2]):
        (fast, small), (slow, large) = found[ours], found[plain]
        print(
            f"isthmus ({ours}) to the plain loop ({plain}): {slow / fast:.1f} times the cells/s, "
            f"{small / large:.2f} of the memory"
        )


if __name__ == "__main__":
    main()

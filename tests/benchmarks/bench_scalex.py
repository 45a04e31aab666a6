"""Speed of the default fit against a plain PyTorch loop of the authors' budget (30,000 steps of 64 cells), in one run.

    python tests/benchmarks/bench_scalex.py pbmc_3tech_rna.h5ad [--full]

The plain loop runs 1,500 of its steps and is scaled up, unless ``--full`` is given.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import anndata as ad
import numpy as np
import torch
from torch import nn

import isthmus as im
from isthmus.data import Pipeline, from_anndata

STEPS, CELLS = 30_000, 64
DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).parents[3] / "shared" / "data"))


class Plain(nn.Module):
    """The network as anyone would type it: dense input, a loop over the batches for the domain-specific norm."""

    def __init__(self, n_features: int, n_batches: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(n_features, 1024), nn.BatchNorm1d(1024), nn.ReLU())
        self.mean, self.log_variance, self.decoder = (
            nn.Linear(1024, 10),
            nn.Linear(1024, 10),
            nn.Linear(10, n_features),
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_features) for _ in range(n_batches))

    def loss(self, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Sum over features of the cross-entropy plus half the divergence, mean over cells."""
        h = self.hidden(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        out = self.decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
        normed = torch.zeros_like(out)
        for b, norm in enumerate(self.norms):
            rows = batch == b
            if rows.sum() > 1:
                normed[rows] = norm(out[rows])
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean()
        return nn.functional.binary_cross_entropy(torch.sigmoid(normed), x, reduction="sum") / len(x) + 0.5 * kl


def plain_seconds(adata: ad.AnnData, steps: int) -> float:
    """Seconds of ``STEPS`` steps, measured over ``steps``."""
    study = from_anndata(adata, "batch")
    _, prepared = Pipeline.fit(study)
    x, batch = torch.from_numpy(prepared.x.toarray()), torch.from_numpy(study.batch)
    model = Plain(x.shape[1], len(study.batches))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, weight_decay=5e-4)
    began = time.perf_counter()
    for _ in range(steps):
        rows = torch.randint(len(x), (CELLS,))
        optimizer.zero_grad()
        model.loss(x[rows], batch[rows]).backward()
        optimizer.step()
    return (time.perf_counter() - began) * STEPS / steps


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    adata = ad.read_h5ad(DATA / args.data)
    im.tl.scalex(
        adata.copy(), "batch", max_steps=20, progress="silent"
    )  # imports and first-use costs are not the fit's
    times = []
    for seed in range(3):
        began = time.perf_counter()
        im.tl.scalex(adata.copy(), "batch", seed=seed, progress="silent")
        times.append(time.perf_counter() - began)
    plain = plain_seconds(adata, STEPS if args.full else 1_500)
    ours = float(np.median(times))
    each = ", ".join(f"{t:.1f}" for t in times)
    print(f"{args.data}: isthmus {ours:.1f} s ({each}), plain loop {plain:.0f} s, ratio {ours / plain:.3f}")


if __name__ == "__main__":
    main()

"""Accuracy of SCALEX on real data, mean of three seeds: the table of the documentation.

    python tests/benchmarks/accuracy_scalex.py [--seeds 0 1 2] [--statistics exact running shrunk] [--only NAME ...]

Embeddings are also written to ``--save FOLDER`` as .npy, for independent scorers.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import isthmus as im

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).parents[3] / "shared" / "data"))
INTEGRATION = {"pbmc_3tech_rna": {}, "scmixology_rna": {}, "bmmc_granja_atac": {"profile": "atac"}}
SHOWN = ["nmi", "ari", "ilisi", "overcorrection", "graph_connectivity", "silhouette_label"]


def integration(name: str, seeds: list[int], statistics: str, save: Path | None) -> pd.DataFrame:
    """Scores of each seed."""
    rows = []
    for seed in seeds:
        adata = ad.read_h5ad(DATA / f"{name}.h5ad")
        model = im.tl.scalex(adata, "batch", seed=seed, statistics=statistics, progress="silent", **INTEGRATION[name])
        if save is not None:
            save.mkdir(parents=True, exist_ok=True)
            np.save(save / f"{name}.{statistics}.{seed}.npy", model.latent)
        scores = im.metrics.summary(model.latent, adata.obs["cell_type"], adata.obs["batch"])
        rows.append({**dict(scores), "seconds": model.history["seconds"].sum()})
    return pd.DataFrame(rows)


def projection(seeds: list[int], statistics: str) -> pd.DataFrame:
    """Train on two chemistries of pbmc_3tech, project the third and transfer its labels; all three splits."""
    whole = ad.read_h5ad(DATA / "pbmc_3tech_rna.h5ad")
    rows = []
    for held in whole.obs["batch"].unique():
        query_rows = (whole.obs["batch"] == held).to_numpy()
        for seed in seeds:
            reference, query = whole[~query_rows].copy(), whole[query_rows].copy()
            model = im.tl.scalex(reference, "batch", seed=seed, statistics=statistics, progress="silent")
            table = model.transfer_labels(query, reference.obs["cell_type"])
            truth = query.obs["cell_type"].astype(str).to_numpy()
            forced = model.transfer_labels(query, reference.obs["cell_type"], unknown_below=0.0)
            known = (table["label"] != "unknown").to_numpy()
            rows.append({
                "held out": held, "seed": seed, "accuracy": (forced["label"] == truth).mean(),
                "accuracy of named": (table["label"] == truth)[known].mean(), "unknown": 1 - known.mean(),
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--statistics", nargs="+", default=["exact"])
    parser.add_argument("--only", nargs="+", default=[*INTEGRATION, "projection"])
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for statistics in args.statistics:
        for name in args.only:
            if name == "projection":
                table = projection(args.seeds, statistics)
                by_split = table.groupby("held out").mean(numeric_only=True).round(3)
                print(f"\nprojection, statistics={statistics}\n{by_split}")
                print(table.mean(numeric_only=True).round(3).to_string(), flush=True)
                continue
            table = integration(name, args.seeds, statistics, args.save)
            shown = [c for c in [*SHOWN, "seconds"] if c in table]
            print(f"\n{name}, statistics={statistics}\n{table[shown].agg(['mean', 'std']).round(3)}", flush=True)


if __name__ == "__main__":
    main()

"""GLUE on real data: cells that were measured twice (FOSCTTM), and label transfer from RNA to ATAC.

    python tests/benchmarks/accuracy_glue.py [--only scicar bmmc] [--seeds 0 1 2] [--corrupt 0 0.9]
        [--set NAME=VALUE ...]

Unsupervised: labels are looked at afterwards. Times are of the whole verb, preprocessing included; set OMP_NUM_THREADS
for the number of threads. The reference implementation (scglue 0.4.1, one thread, same machine) is quoted in
``docs/models/glue.md``.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _arguments import add_settings

import isthmus as im

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).parents[3] / "shared" / "data"))
SETS = {
    "scicar": ("scicar_a549_rna", "scicar_a549_atac", 0),
    "bmmc": ("pbmc_facs_rna", "bmmc_granja_atac", 150_000),
}
RNA_TYPES = {"CD19": "B", "CD14": "Mono", "CD34": "Prog", "CD56": "NK"}  # all others are T cells
ATAC_TYPES = {
    "17_B": "B", "11_CD14.Mono.1": "Mono", "12_CD14.Mono.2": "Mono", "01_HSC": "Prog", "05_CMP.LMPP": "Prog",
    "06_CLP.1": "Prog", "07_GMP": "Prog", "25_NK": "NK", "20_CD4.N1": "T", "21_CD4.N2": "T", "22_CD4.M": "T",
    "19_CD8.N": "T", "23_CD8.EM": "T", "24_CD8.CM": "T",
}  # fmt: skip


def transfer(u: np.ndarray, v: np.ndarray, rna: ad.AnnData, atac: ad.AnnData) -> dict[str, float]:
    """Accuracy and macro-F1 of 15 nearest RNA cells' vote on ATAC cells of comparable types, and mixing (1 = full)."""
    from sklearn.metrics import f1_score  # not before the memory of the fit has been read
    from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

    known = np.array([next((t for k, t in RNA_TYPES.items() if k in str(s)), "T") for s in rna.obs["cell_type"]])
    truth = np.array([ATAC_TYPES.get(str(s), "") for s in atac.obs["cell_type"]])
    asked = truth != ""
    voted = KNeighborsClassifier(15).fit(u, known).predict(v[asked])
    z, kind = np.concatenate([u, v]), np.repeat([0, 1], [len(u), len(v)])
    near = NearestNeighbors(n_neighbors=51).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    other, share = (kind[near] != kind[:, None]).mean(axis=1), np.where(kind == 1, 1 - kind.mean(), kind.mean())
    return {
        "accuracy": float((voted == truth[asked]).mean()),
        "macro-F1": float(f1_score(truth[asked], voted, average="macro")),
        "mixing": float((other / share).mean()),
    }


def run(name: str, seed: int, corrupt: float, settings: dict) -> dict[str, float]:
    """One fit and its scores."""
    first, second, extend = SETS[name]
    rna, atac = (ad.read_h5ad(DATA / f"{file}.h5ad") for file in (first, second))
    began = time.perf_counter()
    graph = im.genomics.guidance_graph({"rna": rna, "atac": atac}, genes=DATA / "genes_hg19.bed.gz", extend=extend)
    if corrupt:
        graph = graph.corrupted(corrupt, seed)
    batch = {"atac": "batch"} if "batch" in atac.obs else None
    model = im.tl.glue(
        {"rna": rna, "atac": atac}, graph, batch_key=batch, seed=seed, progress="silent", **{"n_models": 0, **settings}
    )
    seconds = time.perf_counter() - began
    u, v = model.latent_of("rna"), model.latent_of("atac")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    scores = {"FOSCTTM": im.metrics.foscttm(u, v)} if name == "scicar" else transfer(u, v, rna, atac)
    return {"set": name, "corrupted": corrupt, "seed": seed, **scores, "seconds": seconds, "peak MiB": memory}


def main() -> None:
    """Print a row a fit, then means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--corrupt", type=float, nargs="+", default=[0.0])
    add_settings(parser, "glue")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = dict(args.set)
    rows = []
    for name in args.only:
        for share in args.corrupt:
            for seed in args.seeds:
                rows.append(run(name, seed, share, settings))
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows).drop(columns="seed")
    print(table.groupby(["set", "corrupted"]).mean(numeric_only=True).round(4).to_string())


if __name__ == "__main__":
    main()

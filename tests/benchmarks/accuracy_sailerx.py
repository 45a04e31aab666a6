"""SAILERX against its teacher, LSI, weighted nearest neighbours and smoothing; it never sees labels.

    python tests/benchmarks/accuracy_sailerx.py [--only PART ...] [--seeds 0 1 2]
        [--cells 10000] [--peaks 50000] [--set NAME=VALUE ...]

Times are of the whole verb; set OMP_NUM_THREADS for the number of threads.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from _arguments import add_settings
from paired_sets import (
    atac_lsi,
    graph_scores,
    pseudo_paired,
    rna_pca,
    scicar,
    scores,
    simulated,
    weighted_neighbours,
)
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

import isthmus as im

PARTS = ("simulated", "pseudo", "scicar", "hybrid", "imputation", "clusters")
NEAREST = 30
IMPUTED_PEAKS = 10_000  # that are clustered: those open in most cells


def fit(data: dict[str, ad.AnnData], seed: int, settings: dict[str, Any], **more: Any) -> tuple[im.tl.Sailerx, float]:
    """The model and the seconds it took."""
    began = time.perf_counter()
    model = im.tl.sailerx(data, seed=seed, progress="silent", **{**settings, **more})
    return model, time.perf_counter() - began


def embeddings(data: dict[str, ad.AnnData], seed: int, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Scores of SAILERX with two teachers, of the teachers, and of what needs no training."""
    labels = data["atac"].obs["cell_type"].to_numpy()
    batch = "batch" if "batch" in data["atac"].obs and data["atac"].obs["batch"].nunique() > 1 else None
    pca, lsi = rna_pca(data), atac_lsi(data)
    rna = data["rna"].copy()
    own = "batch" if batch and "batch" in rna.obs else None
    im.tl.scalex(rna, own, seed=seed, progress="silent")
    graph, _ = weighted_neighbours(pca, lsi)
    out = {
        "RNA PCA": scores(pca, labels),
        "RNA SCALEX": scores(rna.obsm["X_scalex"], labels),
        "LSI": scores(lsi, labels),
    }
    out["WNN"] = graph_scores(graph, labels)
    for name, reference in (("PCA", pca), ("SCALEX", rna.obsm["X_scalex"])):
        how = {"structure_pairs": "within"} if name == "PCA" and batch else {}
        model, seconds = fit(data, seed, settings, reference=reference, batch_key=batch, **how)
        out[f"SAILERX ({name})"] = {**scores(model.latent, labels), "seconds": seconds}
        if batch:
            out[f"SAILERX ({name})"]["ilisi"] = im.metrics.ilisi(model.latent, data["atac"].obs["batch"].to_numpy())
    return out


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Share of each cell's nearest neighbours in one embedding that are among those in the other."""
    near = [
        NearestNeighbors(n_neighbors=NEAREST + 1).fit(z).kneighbors(z, return_distance=False)[:, 1:]
        for z in (one, other)
    ]
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(*near, strict=True)]) / NEAREST)


def purity(z: np.ndarray, labels: np.ndarray) -> float:
    """Share of the nearest neighbours with the cell's own label."""
    near = NearestNeighbors(n_neighbors=NEAREST + 1).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    return float((labels[near] == labels[:, None]).mean())


def true_pairs(seed: int, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """sci-CAR: neighbourhoods shared with RNA, and time points together, also for cells that were projected."""
    data = scicar()
    labels, pca, lsi = data["rna"].obs["cell_type"].to_numpy(), rna_pca(data), atac_lsi(data)
    model, seconds = fit(data, seed, settings, reference=pca)
    held = np.random.default_rng(seed).random(len(labels)) < 0.3
    part, _ = fit({k: x[~held].copy() for k, x in data.items()}, seed, settings, reference=pca[~held])
    projected = part.project(data["atac"][held].copy(), min_coverage=0.0)
    found = {"RNA PCA": pca, "LSI": lsi, "SAILERX": model.latent}
    out = {name: {"overlap with RNA": overlap(z, pca), "purity": purity(z, labels)} for name, z in found.items()}
    out["SAILERX"]["seconds"] = seconds
    for name, z in (("LSI (30 % of cells)", lsi[held]), ("SAILERX (30 % projected)", projected)):
        out[name] = {"overlap with RNA": overlap(z, pca[held]), "purity": purity(z, labels[held])}
    return out


def hybrid(data: dict[str, ad.AnnData], seed: int, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """30 % of the cells lose their RNA: their scores with hybrid training, without any teacher, and projected."""
    labels = data["atac"].obs["cell_type"].to_numpy()
    held = np.random.default_rng(seed).random(len(labels)) < 0.3
    rna, apart = data["rna"][~held].copy(), data["atac"][held].copy()
    together, _ = fit({"rna": rna, "atac": data["atac"].copy()}, seed, settings, batch_key="batch")
    own = {"rna": data["rna"][held].copy(), "atac": apart.copy()}
    alone, _ = fit(own, seed, {**settings, "structure_weight": 0.0}, batch_key="batch")
    paired, _ = fit({"rna": rna, "atac": data["atac"][~held].copy()}, seed, settings, batch_key="batch")
    found = {
        "hybrid": together.latent[~together.paired], "these cells alone": alone.latent,
        "projected by the paired fit": paired.project(apart), "LSI": atac_lsi(data)[held],
    }  # fmt: skip
    return {name: scores(z, labels[held]) for name, z in found.items()}


def imputation(data: dict[str, ad.AnnData], seed: int, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """A tenth of the open peaks is hidden: are they told from closed ones?"""
    rng, atac = np.random.default_rng(seed), data["atac"].copy()
    x = atac.X.tocsr().astype(np.float32)
    x.data[:] = 1
    hidden = rng.random(x.nnz) < 0.1
    rows = np.repeat(np.arange(x.shape[0]), np.diff(x.indptr))
    kept = sp.csr_matrix((x.data[~hidden], (rows[~hidden], x.indices[~hidden])), shape=x.shape)
    seen = np.flatnonzero(kept.getnnz(axis=0))
    atac.X = kept
    model, _ = fit({"rna": data["rna"], "atac": atac}, seed, settings, batch_key="batch")
    lsi = atac_lsi({"atac": atac})
    some = np.sort(rng.choice(x.shape[0], min(500, x.shape[0]), replace=False))
    near = NearestNeighbors(n_neighbors=15).fit(lsi).kneighbors(lsi[some], return_distance=False)
    chances = model.impute(atac[some].copy())
    smooth, frequency = np.zeros(x.shape[1]), np.asarray(kept.mean(axis=0)).ravel()
    position, areas = (
        pd.Index(atac.var_names).get_indexer(model.peaks.names),
        {k: [] for k in ("SAILERX", "kNN", "frequency")},
    )
    for i, cell in enumerate(some):
        known = np.zeros(x.shape[1], dtype=bool)
        known[kept[cell].indices] = True
        truth = np.zeros(x.shape[1], dtype=bool)
        truth[x[cell].indices] = True
        asked = seen[~known[seen]]  # neither shown as open nor never open
        ours = np.zeros(x.shape[1])
        ours[position] = chances.X[i]
        smooth = np.asarray(kept[near[i]].mean(axis=0)).ravel()
        for name, guess in (("SAILERX", ours), ("kNN", smooth), ("frequency", frequency)):
            areas[name].append(roc_auc_score(truth[asked], guess[asked]))
    return {name: {"AUROC": float(np.mean(values))} for name, values in areas.items()}


def clusters(data: dict[str, ad.AnnData], seed: int, settings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Types in the principal components of the imputed chances, and in LSI of all raw peaks."""
    labels, atac = data["atac"].obs["cell_type"].to_numpy(), data["atac"]
    model, _ = fit(data, seed, settings, batch_key="batch")
    often = np.argsort(-np.asarray(atac.X.sum(axis=0)).ravel(), kind="stable")[:IMPUTED_PEAKS]
    chances = model.impute(atac, features=list(atac.var_names[np.sort(often)])).X
    imputed = PCA(50, svd_solver="randomized", random_state=seed).fit_transform(np.log(np.asarray(chances)))
    return {"imputed": scores(imputed, labels), "raw LSI": scores(atac_lsi(data), labels)}


def main() -> None:
    """Print one table a part and seed, and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--peaks", type=int, default=50_000)
    add_settings(parser, "sailerx")
    args = parser.parse_args()
    settings = dict(args.set)
    warnings.simplefilter("ignore")
    for part in args.only:
        tables = []
        for seed in args.seeds:
            if part in ("pseudo", "scicar"):
                table = (
                    embeddings(pseudo_paired(seed), seed, settings) if part == "pseudo" else true_pairs(seed, settings)
                )
            else:
                data = simulated(seed, args.cells, args.peaks)
                table = {"simulated": embeddings, "hybrid": hybrid, "imputation": imputation, "clusters": clusters}[
                    part
                ](data, seed, settings)
            tables.append(pd.DataFrame(table).T)
            print(f"\n{part}, seed {seed}\n{tables[-1].round(3).to_string()}", flush=True)
        if len(tables) > 1:
            print(
                f"\n{part}, mean of {len(tables)} seeds\n{(sum(tables) / len(tables)).round(3).to_string()}", flush=True
            )


if __name__ == "__main__":
    main()

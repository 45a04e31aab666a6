"""scI2CL beside principal components, LSI and weighted nearest neighbours, with k-means and with Leiden.

    python tests/benchmarks/accuracy_sci2cl.py [--only simulated pseudo fine labels lineage ablation] [--seeds 0 1 2]
        [--cells 10000] [--peaks 50000] [--set NAME=VALUE ...]

No fit sees a label, but for the rows "label leak" of the ablation, which say what the authors' negatives are worth.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from _arguments import add_settings
from anndata import AnnData
from paired_sets import (
    atac_lsi,
    leiden_scores,
    pseudo_paired,
    rna_pca,
    scanpy_graph,
    simulated,
    weighted_neighbours,
)
from scipy.stats import kendalltau
from sklearn.cluster import KMeans
from sklearn.manifold import spectral_embedding
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, roc_auc_score
from sklearn.preprocessing import normalize

import isthmus as im

ABLATION = {
    "all terms": {},
    "without MSE": {"mse_weight": 0.0},
    "without MOC": {"moc_weight": 0.0},
    "without MOM": {"mom_weight": 0.0},
    "without MOC and MOM": {"moc_weight": 0.0, "mom_weight": 0.0},
    "without reconstruction": {"reconstruction_weight": 0.0},
    "not whitened": {"whiten": False},
    "random start": {"start": "random"},
    "label leak": {"labels_key": "cell_type"},
}
TASKS = ("simulated", "pseudo", "fine", "labels", "lineage", "ablation")
STARTS = 100  # of k-means: with 10 the result still hangs on the seed


def kmeans(z: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, float]:
    """ARI and NMI of k-means with the true number of clusters, the tightest of many starts."""
    found = KMeans(len(np.unique(truth)), n_init=STARTS, random_state=seed).fit_predict(z)
    return {
        "k-means ARI": adjusted_rand_score(truth, found),
        "k-means NMI": normalized_mutual_info_score(truth, found),
    }


def both_protocols(z: np.ndarray, truth: np.ndarray, seed: int) -> dict[str, float]:
    """k-means and Leiden."""
    return {**kmeans(z, truth, seed), **leiden(scanpy_graph(z), truth, seed)}


def leiden(graph: Any, truth: np.ndarray, seed: int) -> dict[str, float]:
    """Leiden at the resolution of the best NMI, with the true number of clusters, and at the best ARI."""
    found = leiden_scores(graph, truth, seed)
    return {
        "Leiden ARI": found["ari"], "Leiden NMI": found["nmi"],
        "Leiden k ARI": found["true number ari"], "Leiden k NMI": found["true number nmi"],
        "Leiden best ARI": found["best ari"],
    }  # fmt: skip


def fit(data: dict[str, AnnData], seed: int, settings: dict[str, Any]) -> tuple[np.ndarray, dict[str, float]]:
    """Embedding, and what it took."""
    began = time.perf_counter()
    batch = "batch" if "batch" in data["rna"].obs else None
    given = {"batch_key": batch, "seed": seed, "progress": "silent", **settings}
    model = im.tl.sci2cl({k: x.copy() for k, x in data.items()}, **given)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return model.latent, {"seconds": time.perf_counter() - began, "peak MiB": used}


def baselines(data: dict[str, AnnData], truth: np.ndarray, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Scores of each modality alone and of their weighted nearest neighbours."""
    z = {"PCA": rna_pca(data), "LSI": atac_lsi(data)}
    for name, embedding in z.items():
        yield name, both_protocols(embedding, truth, seed)
    graph, _ = weighted_neighbours(z["PCA"], z["LSI"])
    spectrum = normalize(spectral_embedding(graph, n_components=20, random_state=seed, drop_first=True))
    yield "WNN", {**kmeans(spectrum, truth, seed), **leiden(graph, truth, seed)}


def types(name: str, seed: int, args: argparse.Namespace, ablate: bool = False) -> Iterator[dict[str, Any]]:
    """Types of a data set."""
    data = pseudo_paired(seed) if name == "pseudo" else simulated(seed, n_cells=args.cells, n_peaks=args.peaks)
    truth = np.asarray(data["rna"].obs["cell_type"]).astype(str)
    rows = () if ablate or args.skip_baselines else baselines(data, truth, seed)
    for method, row in rows:
        yield {"set": name, "method": method, **row}
    for method, changes in (ABLATION if ablate else {"scI2CL": {}}).items():
        z, cost = fit(data, seed, {**args.settings, **changes})
        yield {"set": name, "method": method, **both_protocols(z, truth, seed), **cost}


def fine(seed: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Three subgroups of one type, of which each modality tells two: ARI within the type."""
    data = im.data.simulate(n_cells=args.cells, n_peaks=min(args.peaks, 10_000), subgroups=3, seed=seed)
    obs = data["rna"].obs
    own = (obs["cell_type"] == obs["cell_type"].cat.categories[-1]).to_numpy()
    truth = np.asarray(obs["subgroup"]).astype(str)[own]
    z, cost = fit(data, seed, args.settings)
    for method, embedding in (("PCA", rna_pca(data)), ("LSI", atac_lsi(data)), ("scI2CL", z)):
        extra = cost if method == "scI2CL" else {}
        yield {"set": "fine", "method": method, **both_protocols(embedding[own], truth, seed), **extra}


def wrong_labels(seed: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """10 % of one type's labels are changed; AUROC of the neighbourhood's doubt among cells of these labels."""
    data = simulated(seed, n_cells=args.cells, n_peaks=args.peaks)
    rng, truth = np.random.default_rng(seed), np.asarray(data["rna"].obs["cell_type"]).astype(str)
    names = np.unique(truth)
    of = rng.choice(names)
    changed = rng.permutation(np.flatnonzero(truth == of))[: int(0.1 * (truth == of).sum())]
    label = truth.copy()
    label[changed] = rng.choice(names[names != of], len(changed))
    z, _ = fit(data, seed, args.settings)
    adata = AnnData(np.zeros((len(z), 1)), obs=pd.DataFrame({"label": label}, index=data["rna"].obs_names))
    for method, embedding in (("PCA", rna_pca(data)), ("LSI", atac_lsi(data)), ("scI2CL", z)):
        table = im.tl.check_labels(adata, "label", embedding)
        right = (table["suggestion"].to_numpy()[changed] == truth[changed]).mean()
        wrong = np.isin(np.arange(len(label)), changed)
        auroc = roc_auc_score(wrong, table["wrong"])
        yield {"set": "labels", "method": method, "AUROC": auroc, "suggested the truth": right}


def lineage(seed: int, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Four stages of a path: Kendall's tau of the true time with diffusion pseudotime on the embedding."""
    import scanpy as sc

    data = im.data.simulate(n_cells=min(args.cells, 4000), n_peaks=10_000, n_types=4, lineage=True, seed=seed)
    time_ = data["rna"].obs["pseudotime"].to_numpy()
    z, _ = fit(data, seed, args.settings)
    for method, embedding in (("PCA", rna_pca(data)), ("LSI", atac_lsi(data)), ("scI2CL", z)):
        table = AnnData(embedding.astype(np.float32))
        sc.pp.neighbors(table, use_rep="X", n_neighbors=15)
        sc.tl.diffmap(table)
        table.uns["iroot"] = int(time_.argmin())
        sc.tl.dpt(table)
        yield {"set": "lineage", "method": method, "tau": kendalltau(time_, table.obs["dpt_pseudotime"]).statistic}


def main() -> None:
    """Print a row a method, then means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--peaks", type=int, default=50_000)
    parser.add_argument("--skip-baselines", action="store_true")
    add_settings(parser, "sci2cl")
    args = parser.parse_args()
    args.settings = dict(args.set)
    warnings.simplefilter("ignore")
    tasks = {"fine": fine, "labels": wrong_labels, "lineage": lineage}
    rows = []
    for task in args.only:
        for seed in args.seeds:
            if task in tasks:
                found = tasks[task](seed, args)
            else:
                found = types("simulated" if task == "ablation" else task, seed, args, ablate=task == "ablation")
            for row in found:
                rows.append({**row, "task": task, "seed": seed})
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows).drop(columns="seed")
    print(table.groupby(["task", "set", "method"], sort=False).mean(numeric_only=True).round(3).to_string())


if __name__ == "__main__":
    main()

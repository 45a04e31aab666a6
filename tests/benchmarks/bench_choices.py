"""Variable features and Leiden clusters in a fresh process: ours beside scanpy's, of which they are a copy in numbers.

    python tests/benchmarks/bench_choices.py [--cells 5000]

Seconds and peak memory from the first import on, each in a process of its own, and the ratios; the results must agree.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import anndata as ad
import numpy as np
import scipy.sparse as sp


def table(n_cells: int) -> ad.AnnData:
    """Log-normalised counts of 3,000 genes, and ten dimensions of eight clusters."""
    rng = np.random.default_rng(0)
    x = sp.random(n_cells, 3000, 0.1, "csr", np.float32, rng, lambda size: np.log1p(rng.poisson(3, size)))
    cluster = rng.integers(8, size=n_cells)
    return ad.AnnData(x, obsm={"X_z": rng.normal(size=(8, 10))[cluster] * 4 + rng.normal(size=(n_cells, 10))})


def ours(cells: ad.AnnData) -> tuple[list[int], list[int]]:
    """Positions of 500 features, and clusters."""
    from isthmus.data import from_anndata
    from isthmus.data.variability import variable_features
    from isthmus.metrics import nearest
    from isthmus.metrics._graph import fuzzy_graph, leiden

    study = from_anndata(cells, values="lognorm")
    features = variable_features(study.x, study, np.ones(cells.n_vars, dtype=bool), 500)
    return features.tolist(), leiden(fuzzy_graph(nearest(cells.obsm["X_z"], 14)), 1.0, 0).tolist()


def scanpys(cells: ad.AnnData) -> tuple[list[int], list[int]]:
    """The same by scanpy."""
    import scanpy as sc

    chosen = sc.pp.highly_variable_genes(cells, n_top_genes=500, flavor="seurat", inplace=False)["highly_variable"]
    sc.pp.neighbors(cells, n_neighbors=15, use_rep="X_z")
    sc.tl.leiden(cells, 1.0, flavor="igraph", n_iterations=2, directed=False, random_state=0)
    return np.flatnonzero(chosen).tolist(), cells.obs["leiden"].astype(int).tolist()


def main() -> None:
    """Print both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--only", choices=("ours", "scanpys"))
    args = parser.parse_args()
    if args.only:
        cells, began = table(args.cells), time.perf_counter()
        features, clusters = {"ours": ours, "scanpys": scanpys}[args.only](cells)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([time.perf_counter() - began, used, features, clusters]))
        return
    found = {}
    for name in ("scanpys", "ours"):
        call = [sys.executable, __file__, "--cells", str(args.cells), "--only", name]
        found[name] = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
        print(f"{name:8s} {found[name][0]:6.1f} s {found[name][1]:6.0f} MiB")
    seconds, memory = (found["ours"][i] / found["scanpys"][i] for i in (0, 1))
    print(f"ratio    {seconds:6.2f}   {memory:6.2f}")
    features, clusters = (found["ours"][i] == found["scanpys"][i] for i in (2, 3))
    print("the same features:", features, "and clusters:", clusters)


if __name__ == "__main__":
    main()

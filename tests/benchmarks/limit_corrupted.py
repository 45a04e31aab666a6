"""How much a corrupted guidance graph can still say, whatever the method: matching the true types along its edges.

    python tests/benchmarks/limit_corrupted.py [--share 0.9] [--seeds 0 1 2]

PBMC RNA and BMMC ATAC, each given its five true types. Of the 120 ways to match the types of one to those of the other,
which agrees best along the edges: the sum over edges of expression x accessibility, of the mean profiles of the types
(log-normalised, centred over types and over edges)? A method that is told less cannot be expected to find more. Also in
standard errors: how far the right pairs of types stand above chance, by the spread over edges.
"""

from __future__ import annotations

import argparse
import warnings
from itertools import permutations

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from accuracy_glue import ATAC_TYPES, DATA, RNA_TYPES, SETS

import isthmus as im

TYPES = ("B", "Mono", "Prog", "NK", "T")


def profiles(adata: ad.AnnData, types: np.ndarray) -> np.ndarray:
    """(features, types) mean log-normalised values, less the mean over types."""
    x = sp.csr_matrix(adata.X, dtype=np.float64)
    total = np.stack([np.asarray(x[types == one].sum(axis=0)).ravel() for one in TYPES], axis=1)
    level = np.log1p(1e4 * total / total.sum(axis=0))
    return level - level.mean(axis=1, keepdims=True)


def agreement(graph: im.genomics.GuidanceGraph, known: dict[str, np.ndarray], weighted: bool) -> dict[str, float]:
    """Whether the right matching is the best, and the right pairs of types in standard errors."""
    one, other = known["rna"][graph.source], known["atac"][graph.target]
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    weight = graph.weight.astype(np.float64) if weighted else np.ones(graph.n_edges)
    product = np.einsum("e,ei,ej->ij", weight, one, other)
    n = range(len(TYPES))
    best = max(permutations(n), key=lambda order: sum(product[i, j] for i, j in zip(n, order, strict=True)))
    error = np.sqrt((weight[:, None] ** 2 * one**2 * other**2).sum(axis=0))
    return {
        "edges": graph.n_edges, "weighted": weighted, "right": best == tuple(n),
        "types right": float(np.mean(np.array(best) == np.arange(len(TYPES)))),
        "standard errors": float(np.mean(np.diag(product) / error)),
    }  # fmt: skip


def main() -> None:
    """Print a row for each graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.9)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    first, second, extend = SETS["bmmc"]
    data = {"rna": ad.read_h5ad(DATA / f"{first}.h5ad"), "atac": ad.read_h5ad(DATA / f"{second}.h5ad")}
    types = {
        "rna": [next((t for k, t in RNA_TYPES.items() if k in str(s)), "T") for s in data["rna"].obs["cell_type"]],
        "atac": [ATAC_TYPES.get(str(s), "") for s in data["atac"].obs["cell_type"]],
    }
    graph = im.genomics.guidance_graph(data, genes=DATA / "genes_hg19.bed.gz", extend=extend)
    known = {}
    for name, adata in data.items():
        rows = pd.Index(adata.var_names).get_indexer(graph.features)
        own = profiles(adata, np.array(types[name]))
        known[name] = np.where((rows >= 0)[:, None], own[np.maximum(rows, 0)], 0.0)
    rows = [{"graph": "as built", **agreement(graph, known, weighted)} for weighted in (False, True)]
    for seed in args.seeds:
        wrong = graph.corrupted(args.share, seed)
        rows += [
            {"graph": f"corrupted, seed {seed}", **agreement(wrong, known, weighted)} for weighted in (False, True)
        ]
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()

"""Peak-gene links of GLUE on a simulated multiome with planted links.

    python tests/benchmarks/accuracy_links.py [--seeds 0 1 2] [--cells 4000] [--models 4] [--permute]

AUROC and AUPRC of the score over all candidate pairs, beside distance alone and beside the correlation of accessibility
and expression over metacells of the aligned cells; realised false discovery rate at q < 0.05. ``--permute`` shuffles
the cells of every gene and peak on its own, so that no pair means anything: p must then be uniform.
"""

from __future__ import annotations

import argparse
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import kstest
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics import average_precision_score, roc_auc_score

import isthmus as im

N_METACELLS = 100


def permuted(adata: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
    """Each feature's values in another order of cells."""
    x = sp.csc_matrix(adata.X, copy=True)
    for start, stop in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        x.indices[start:stop] = rng.permutation(x.shape[0])[: stop - start]
    out = ad.AnnData(sp.csr_matrix(x), adata.obs.copy(), adata.var.copy(), uns=dict(adata.uns))
    return out[:, np.asarray(out.X.sum(axis=0)).ravel() > 0].copy()


def correlation(model: im.tl.Glue, data: dict[str, ad.AnnData], links: pd.DataFrame, seed: int) -> np.ndarray:
    """Pearson correlation of log depth-normalised sums over metacells that hold both modalities, for each link."""
    z = np.concatenate([model.latent_of(name) for name in data])
    code = MiniBatchKMeans(N_METACELLS, random_state=seed, n_init=3).fit_predict(z)
    sums, start = {}, 0
    for name, adata in data.items():
        part = code[start : start + adata.n_obs]
        member = sp.csr_matrix((np.ones(len(part)), (part, np.arange(len(part)))), (N_METACELLS, len(part)))
        sums[name] = (member @ adata.X).toarray()
        start += adata.n_obs
    both = np.all([total.sum(axis=1) > 0 for total in sums.values()], axis=0)
    scaled = {k: np.log1p(1e4 * t[both] / t[both].sum(axis=1, keepdims=True)) for k, t in sums.items()}
    scaled = {k: (t - t.mean(axis=0)) / np.maximum(t.std(axis=0), 1e-9) for k, t in scaled.items()}
    gene = scaled["rna"][:, data["rna"].var_names.get_indexer(links["gene"])]
    return (gene * scaled["atac"][:, data["atac"].var_names.get_indexer(links["peak"])]).mean(axis=0)


def run(seed: int, cells: int, models: int, permute: bool, settings: dict) -> dict[str, float]:
    """One simulation, one fit, its scores."""
    data = im.data.simulate(
        n_cells=cells, n_genes=1500, n_peaks=10_000, n_types=8, pairing="unpaired", negative_links=0.0, seed=seed
    )
    planted = data["rna"].uns["links"]
    if permute:
        data = {name: permuted(adata, np.random.default_rng(seed)) for name, adata in data.items()}
    graph = im.genomics.guidance_graph(data, region="promoter", extend=150_000)
    model = im.tl.glue(data, graph, n_models=models, seed=seed, progress="silent", **settings)
    links = model.links()
    if permute:
        p = links["pvalue"].to_numpy()
        off = {"KS": kstest(p, "uniform").statistic, "p < 0.05": (p < 0.05).mean()}
        return {"seed": seed, **off, "called": int((links["qvalue"] < 0.05).sum()), "pairs": len(p)}
    true = pd.MultiIndex.from_frame(links[["peak", "gene"]]).isin(pd.MultiIndex.from_frame(planted[["peak", "gene"]]))
    called = links["qvalue"].to_numpy() < 0.05
    out = {"seed": seed, "pairs": len(links), "planted": int(true.sum()), "called": int(called.sum())}
    out["FDR"] = float((called & ~true).sum() / max(called.sum(), 1))
    out["power"] = float((called & true).sum() / true.sum())
    ranks = {
        "score": links["score"], "-p": -links["pvalue"], "distance": -links["distance"].abs(),
        "correlation": correlation(model, data, links, seed),
    }  # fmt: skip
    for name, value in ranks.items():
        out[f"AUROC {name}"] = roc_auc_score(true, value)
        out[f"AUPRC {name}"] = average_precision_score(true, value)
    return out


def main() -> None:
    """Print a row a seed, then means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--models", type=int, default=4)
    parser.add_argument("--permute", action="store_true")
    parser.add_argument("--steps", type=int, default=None)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = {"max_steps": args.steps}
    rows = []
    for seed in args.seeds:
        rows.append(run(seed, args.cells, args.models, args.permute, settings))
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    print(pd.DataFrame(rows).drop(columns="seed").mean().round(4).to_string())


if __name__ == "__main__":
    main()

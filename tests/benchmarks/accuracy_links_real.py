"""Peak-gene links of GLUE on blood (sorted PBMC RNA, BMMC ATAC) beside what others found.

    python tests/benchmarks/accuracy_links_real.py [--seeds 0] [--graph]

FANTOM5: whether the peak overlaps an enhancer that was paired with the gene across human tissues. CRISPR: whether to
silence the enhancer in K562 cells changed the gene, among the tested pairs. Neither was measured in these cells. AUROC
and AUPRC of the score, beside distance alone and beside the correlation over metacells; of the pairs that both tables
can know, those of a gene that they name. ``--graph``: the models of the paper (``link_models="graph"``).
"""

from __future__ import annotations

import argparse
import gzip
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from accuracy_glue import DATA
from accuracy_links import correlation
from sklearn.metrics import average_precision_score, roc_auc_score

import isthmus as im


def lifted(table: pd.DataFrame) -> pd.DataFrame:
    """Intervals (chrom, start, end) of hg19 in hg38, by their middle; those that have no place there are left out."""
    blocks = chain(DATA / "hg19ToHg38.over.chain.gz")
    middle = ((table["start"] + table["end"]) // 2).to_numpy()
    out = np.full(len(table), -1)
    for chrom, rows in table.groupby("chrom", observed=True).indices.items():
        if chrom not in blocks:
            continue
        start, size, moved = blocks[chrom]
        place = np.searchsorted(start, middle[rows], side="right") - 1
        inside = (place >= 0) & (middle[rows] < start[place] + size[place])
        out[rows[inside]] = (moved[place] + middle[rows] - start[place])[inside]
    half = ((table["end"] - table["start"]) // 2).to_numpy()
    return table.assign(start=out - half, end=out + half)[out >= 0]


def chain(path: Path) -> dict[str, tuple[np.ndarray, ...]]:
    """By chromosome: starts, sizes and new starts of the blocks that stay on it, in the same direction."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    keep = False
    with gzip.open(path, "rt") as lines:
        for line in lines:
            words = line.split()
            if words and words[0] == "chain":
                keep, chrom = words[2] == words[7] and words[4] == words[9] == "+", words[2]
                at, to = int(words[5]), int(words[10])
            elif words and keep:
                size = int(words[0])
                found.setdefault(chrom, []).append((at, size, to))
                if len(words) == 3:
                    at, to = at + size + int(words[1]), to + size + int(words[2])
    out = {}
    for chrom, blocks in found.items():
        start, size, to = np.array(sorted(blocks)).T
        out[chrom] = (start, size, to)
    return out


def truths(links: pd.DataFrame) -> dict[str, np.ndarray]:
    """For each table, 1 or 0 for each link, and NaN where the table says nothing of it."""
    peaks = links[["chrom", "peak_start", "peak_end"]].set_axis(["chrom", "start", "end"], axis=1)
    peaks = lifted(peaks.assign(row=np.arange(len(peaks))).dropna())
    out = {}
    fantom = pd.read_csv(DATA / "fantom5_enhancer_gene_hg38.tsv.gz", sep="\t").iloc[:, :4]
    fantom.columns = ["chrom", "start", "end", "gene"]
    out["FANTOM5"] = np.where(links["gene"].isin(fantom["gene"]), 0.0, np.nan)
    out["FANTOM5"][hits(peaks, fantom, links)] = 1.0
    out["FANTOM5"][np.isnan(out["FANTOM5"]) | ~links.index.isin(peaks["row"])] = np.nan
    crispr = pd.read_csv(DATA / "crispr_links_k562_hg38.tsv.gz", sep="\t")
    crispr = crispr.rename(columns={"chromStart": "start", "chromEnd": "end", "measuredGeneSymbol": "gene"})
    out["CRISPR"] = np.full(len(links), np.nan)
    for regulated in (False, True):
        out["CRISPR"][hits(peaks, crispr[crispr["Regulated"] == regulated], links)] = float(regulated)
    return out


def hits(peaks: pd.DataFrame, table: pd.DataFrame, links: pd.DataFrame) -> np.ndarray:
    """Rows of the links whose peak overlaps an interval of the table that has the link's gene."""
    import bioframe

    table = table[["chrom", "start", "end", "gene"]]
    both = bioframe.overlap(peaks.astype({"chrom": str}), table, how="inner", suffixes=("", "_of"))
    same = links["gene"].astype(str).to_numpy()[both["row"]] == both["gene_of"].astype(str).to_numpy()
    return np.unique(both["row"].to_numpy()[same]).astype(int)


def run(seed: int, settings: dict) -> pd.DataFrame:
    """One fit and its scores."""
    data = {"rna": ad.read_h5ad(DATA / "pbmc_facs_rna.h5ad"), "atac": ad.read_h5ad(DATA / "bmmc_granja_atac.h5ad")}
    graph = im.genomics.guidance_graph(data, genes=DATA / "genes_hg19.bed.gz", region="promoter", extend=150_000)
    began = time.perf_counter()
    model = im.tl.glue(data, graph, batch_key={"atac": "batch"}, seed=seed, progress="silent", **settings)
    print(f"fit {time.perf_counter() - began:.0f} s", flush=True)
    links = model.links()
    print(f"links {time.perf_counter() - began:.0f} s, {len(links)} pairs, {(links.qvalue < 0.05).sum()} at q < 0.05")
    ranks = {"score": links["score"], "-p": -links["pvalue"], "distance": -links["distance"].abs()}
    ranks["correlation"] = correlation(model, data, links, seed)
    rows = []
    for table, truth in truths(links).items():
        known = ~np.isnan(truth)
        for name, value in ranks.items():
            t, v = truth[known], np.asarray(value)[known]
            rows.append({
                "table": table, "seed": seed, "pairs": known.sum(), "true": int(t.sum()), "by": name,
                "AUROC": roc_auc_score(t, v), "AUPRC": average_precision_score(t, v),
            })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Print means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--graph", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    settings = {"link_models": "graph" if args.graph else "cells"}
    table = pd.concat([run(seed, settings) for seed in args.seeds])
    print(table.groupby(["table", "by"], sort=False).mean(numeric_only=True).drop(columns="seed").round(3).to_string())


if __name__ == "__main__":
    main()

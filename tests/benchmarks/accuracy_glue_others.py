"""GLUE on modalities beside RNA and open chromatin: proteins, a histone mark, methylation.

    python tests/benchmarks/accuracy_glue_others.py [--only cite cite-unpaired pairedtag scmt] [--seeds 0 1 2]
        [--set NAME=VALUE ...]

Unsupervised: labels are looked at afterwards. ``FOSCTTM`` is of the cells that were measured twice (not told to the
model, but for ``cite``); ``accuracy`` that of a vote of the 15 nearest RNA cells on the other modality's, beside the
share of the largest type.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from _arguments import add_settings
from sklearn.neighbors import KNeighborsClassifier

import isthmus as im

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).parents[3] / "shared" / "data"))
# The gene of a surface protein, by its name in the panel without the number of the antibody's clone.
GENES = {
    "cd8": "CD8A", "cd16": "FCGR3A", "cd20": "MS4A1", "cd25": "IL2RA", "cd41": "ITGA2B", "cd49a": "ITGA1",
    "cd49b": "ITGA2", "cd56": "NCAM1", "cd61": "ITGB3", "cd122": "IL2RB", "cd123": "IL3RA", "cd124": "IL4R",
    "cd134": "TNFRSF4", "cd154": "CD40LG", "cd161": "KLRB1", "cd186": "CXCR6", "cd196": "CCR6", "cd252": "TNFSF4",
    "cd267": "TNFRSF13B", "cd268": "TNFRSF13C", "cd269": "TNFRSF17", "cd357": "TNFRSF18", "hla.dr": "HLA-DRA",
}  # fmt: skip


class Task(NamedTuple):
    """Two modalities, RNA first; their graph; and what the verb is told."""

    data: dict[str, ad.AnnData]
    graph: im.genomics.GuidanceGraph
    settings: dict[str, Any]


def cite(paired: bool = True) -> Task:
    """RNA and proteins, 800 of 1,200 cells measured twice; batches."""
    data = {"rna": read("cite_mosaic_rna"), "adt": read("cite_mosaic_adt")}
    known = set(data["rna"].var_names)
    plain = {protein: protein.removesuffix(".1").removesuffix(".2") for protein in data["adt"].var_names}
    pairs = [(GENES.get(name, name.upper()), protein) for protein, name in plain.items()]
    edges = pd.DataFrame([pair for pair in pairs if pair[0] in known], columns=["source", "target"])
    graph = im.genomics.GuidanceGraph.from_frame(edges, {k: x.var_names for k, x in data.items()})
    return Task(data, graph, {"paired": paired, "batch_key": "batch"})


def paired_tag() -> Task:
    """RNA and H3K27ac in bins of 200 kb, mouse brain; 327 of 2,000 cells measured twice."""
    data = {"rna": read("pairedtag_brain_rna"), "h3k27ac": read("pairedtag_brain_h3k27ac")}
    graph = im.genomics.guidance_graph(data, genes=DATA / "genes_mm10.bed.gz")
    return Task(data, graph, {"batch_key": "batch"})


def methylation() -> Task:
    """RNA and methylation at single positions of 77 mouse stem cells, all measured twice: negative edges."""
    data = {"rna": read("mesc_scmt_rna"), "meth": read("mesc_scmt_meth")}
    graph = im.genomics.guidance_graph(data, genes=DATA / "genes_mm10.bed.gz", extend=10_000, signs={"meth": -1})
    values = {"values": {"rna": "lognorm", "meth": "values"}, "representations": {"meth": "pca"}}
    return Task(data, graph, {**values, "likelihoods": {"meth": "bernoulli"}})


TASKS = {"cite": cite, "cite-unpaired": lambda: cite(False), "pairedtag": paired_tag, "scmt": methylation}


def read(name: str) -> ad.AnnData:
    """A data set by its name."""
    return ad.read_h5ad(DATA / f"{name}.h5ad")


def run(name: str, seed: int, settings: dict) -> dict[str, float]:
    """One fit and its scores."""
    data, graph, given = TASKS[name]()
    model = im.tl.glue(data, graph, seed=seed, progress="silent", **{"n_models": 0, **given, **settings})
    (first, second), types = data, [x.obs["cell_type"].astype(str).to_numpy() for x in data.values()]
    u, v = model.latent_of(first), model.latent_of(second)
    both = data[first].obs_names.intersection(data[second].obs_names)
    at = [x.obs_names.get_indexer(both) for x in data.values()]
    voted = KNeighborsClassifier(15).fit(u, types[0]).predict(v)
    return {
        "set": name, "seed": seed, "edges": graph.n_edges, "FOSCTTM": im.metrics.foscttm(u[at[0]], v[at[1]]),
        "accuracy": float((voted == types[1]).mean()),
        "largest type": float(np.unique(types[1], return_counts=True)[1].max() / len(types[1])),
    }  # fmt: skip


def main() -> None:
    """Print a row a fit, then means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add_settings(parser, "glue")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for name in args.only:
        for seed in args.seeds:
            rows.append(run(name, seed, dict(args.set)))
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    print(pd.DataFrame(rows).drop(columns="seed").groupby("set").mean(numeric_only=True).round(4).to_string())


if __name__ == "__main__":
    main()

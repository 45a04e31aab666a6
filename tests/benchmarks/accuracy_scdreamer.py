"""Accuracy of scDREAMER and scDREAMER-Sup on real data beside scVI and scANVI, on the same genes.

    python tests/benchmarks/accuracy_scdreamer.py FOLDER [--seeds 0 1 2] [--only NAME ...] [--hidden 0.1 0.2 0.5]
        [--scvi PYTHON]

``--scvi`` names the Python of an environment with scvi-tools, see ``scvi_baseline.py``; its results are kept in
FOLDER and computed once. ``--hidden`` compares the hidden labels (macro-F1) instead of the embeddings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _arguments import add_settings
from sklearn.metrics import f1_score

import isthmus as im
from isthmus.data import Pipeline, from_anndata
from isthmus.metrics._graph import fuzzy_graph, leiden

DATA = Path(os.environ.get("ISTHMUS_DATA", Path(__file__).parents[3] / "shared" / "data"))
NAMES = ["pbmc_3tech_rna", "scmixology_rna", "pbmc_joint"]
TYPES = {
    "CD19+ B": "B", "CD34+": "HSC", "CD56+ NK": "NK", "CD14+ Monocyte": "Mono_CD14",
    "CD8+ Cytotoxic T": "T_CD8", "CD8+/CD45RA+ Naive Cytotoxic": "T_CD8", "CD4+ T Helper2": "T_CD4",
    "CD4+/CD45RO+ Memory": "T_CD4", "CD4+/CD25 T Reg": "T_CD4", "CD4+/CD45RA+/CD25- Naive T": "T_CD4",
}  # fmt: skip


def study(name: str) -> ad.AnnData:
    """Counts of the genes that isthmus chooses, ``batch`` and ``cell_type`` (NaN where not known)."""
    if name == "pbmc_joint":
        parts = [ad.read_h5ad(DATA / f"pbmc_{part}_rna.h5ad") for part in ("facs", "donorA", "3tech")]
        parts[1].obs["cell_type"] = np.nan  # donor A has none
        adata = ad.concat(parts, join="inner", index_unique="-", keys=["facs", "donorA", "3tech"])
        adata.obs["cell_type"] = adata.obs["cell_type"].astype(object).replace(TYPES)
        adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
    else:
        adata = ad.read_h5ad(DATA / f"{name}.h5ad")
    adata.obs = adata.obs[["batch", "cell_type"]].astype({"batch": "category"})
    pipeline, _ = Pipeline.fit(from_anndata(adata, "batch"))
    return adata[:, pipeline.features].copy()


def scvi(python: str, folder: Path, name: str, seed: int, labels: pd.Series | None, tag: str = "") -> dict:
    """The baseline's results, computed once."""
    out = folder / f"{name}.scvi{tag}.{seed}.npz"
    if not out.exists():
        adata = study(name)
        if labels is not None:
            adata.obs["label"] = labels.astype(object).where(labels.notna(), "Unknown").to_numpy()
        adata.obs = adata.obs[["batch", *(["label"] if labels is not None else [])]].astype(str)
        adata.write_h5ad(folder / f"{name}{tag}.{seed}.h5ad")
        command = [python, str(Path(__file__).with_name("scvi_baseline.py")), str(folder / f"{name}{tag}.{seed}.h5ad")]
        command += [str(out), "--seed", str(seed)]
        if labels is not None:  # one scVI model carries every share of labels
            command += ["--labels", "label", "--model", str(folder / f"{name}.scvi-model.{seed}")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return dict(np.load(out))


def scores(z: np.ndarray, adata: ad.AnnData) -> dict[str, float]:
    """Scores on the cells whose type is known."""
    known = adata.obs["cell_type"].notna().to_numpy()
    table = im.metrics.summary(z[known], adata.obs["cell_type"][known], adata.obs["batch"][known])
    return {name: float(table[name]) for name in ("nmi", "ari", "ilisi", "overcorrection")}


def hide(labels: pd.Series, share: float, seed: int) -> pd.Series:
    """The labels, a random share of the known ones removed."""
    known = np.flatnonzero(labels.notna())
    gone = np.random.default_rng(seed).permutation(known)[: int(share * len(known))]
    out = labels.astype(object).copy()
    out.iloc[gone] = np.nan
    return out


def embeddings(name: str, seeds: list[int], folder: Path, python: str | None, settings: dict) -> pd.DataFrame:
    """Scores of both, by seed."""
    rows, adata = [], study(name)
    for seed in seeds:
        if python:
            base = scvi(python, folder, name, seed, None)
            rows.append({"model": "scVI", "seed": seed, **scores(base["z"], adata), "seconds": float(base["seconds"])})
        model = im.tl.scdreamer(
            adata, "batch", seed=seed, progress="silent", features=list(adata.var_names), **settings
        )
        np.save(folder / f"{name}.scdreamer.{seed}.npy", model.latent)
        seconds = model.history["seconds"].sum()
        rows.append({"model": "scDREAMER", "seed": seed, **scores(model.latent, adata), "seconds": seconds})
    return pd.DataFrame(rows)


def hidden(name: str, seeds: list[int], share: float, folder: Path, python: str | None, settings: dict) -> pd.DataFrame:
    """Macro-F1 of the hidden labels of both, by seed."""
    rows, adata = [], study(name)
    truth = adata.obs["cell_type"]
    for seed in seeds:
        labels = hide(truth, share, seed)
        test = (labels.isna() & truth.notna()).to_numpy()
        adata.obs["label"] = labels

        def f1(predicted: np.ndarray, test: np.ndarray = test) -> float:
            return f1_score(truth[test].astype(str), np.asarray(predicted)[test].astype(str), average="macro")

        if python:
            base = scvi(python, folder, name, seed, labels, tag=f"-{share}")
            rows.append({"model": "scANVI", "seed": seed, "f1": f1(base["labels"]), "seconds": float(base["seconds"])})
        model = im.tl.scdreamer(
            adata, "batch", labels_key="label", seed=seed, progress="silent", features=list(adata.var_names), **settings
        )
        rows.append({
            "model": "scDREAMER-Sup", "seed": seed, "f1": f1(adata.obs["scdreamer_label"]),
            **scores(model.latent, adata), "seconds": model.history["seconds"].sum(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def rare(seeds: list[int], settings: dict) -> pd.DataFrame:
    """A type of 20 cells among 10,000, in 2 of 16 batches: F1 of the Leiden cluster that holds it best."""
    rows = []
    for seed in seeds:
        adata = im.data.simulate(
            n_cells=10_000, n_genes=2_000, n_types=8, n_batches=16, modalities="rna", confounding="both",
            rare_types={"ionocyte": (20, 2)}, type_strength=2.0, seed=seed,  # PCA and Leiden find it too
        )["rna"]  # fmt: skip
        model = im.tl.scdreamer(adata, "batch", seed=seed, progress="silent", **settings)
        truth = (adata.obs["cell_type"] == "ionocyte").to_numpy()
        scores_of_all = scores(model.latent, adata)
        graph = fuzzy_graph(im.metrics.nearest(model.latent, 14))
        best = 0.0
        for resolution in (0.5, 1.0, 1.5, 2.0):
            clusters = leiden(graph, resolution, 0)
            best = max(best, *(f1_score(truth, clusters == c) for c in np.unique(clusters)))
        rows.append({"model": "scDREAMER", "seed": seed, "f1 of the rare type": best, **scores_of_all})
    return pd.DataFrame(rows)


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=NAMES)
    parser.add_argument("--hidden", type=float, nargs="+", default=[])
    parser.add_argument("--rare", action="store_true", help="a simulated rare type instead")
    parser.add_argument("--scvi")
    add_settings(parser, "scdreamer")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    pd.set_option("display.width", 200)
    args.folder.mkdir(parents=True, exist_ok=True)
    settings = dict(args.set)
    if args.rare:
        print(rare(args.seeds, settings).round(3))
        return
    for name in args.only:
        for share in args.hidden or [None]:
            if share is None:
                table = embeddings(name, args.seeds, args.folder, args.scvi, settings)
            else:
                table = hidden(name, args.seeds, share, args.folder, args.scvi, settings)
            shown = table.drop(columns="seed").groupby("model").mean().round(3)
            print(f"\n{name}{'' if share is None else f', {share:.0%} of the labels hidden'}\n{shown}", flush=True)


if __name__ == "__main__":
    main()

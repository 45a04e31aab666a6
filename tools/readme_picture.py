"""Draw the picture of the README: PBMC of three 10x chemistries before and after SCALEX.

    python tools/readme_picture.py [--data pbmc_3tech_rna.h5ad] [--out python/docs/_static/pbmc.png]

The data set (Kang et al. 2021, doi:10.1038/s41467-021-25957-x; 1,200 cells) is looked for in the folder that
ISTHMUS_DATA names, then in ../shared/data.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np

import isthmus as im
from isthmus.report import baseline

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ.get("ISTHMUS_DATA", ROOT.parent / "shared" / "data"))
SIDE = 2.9  # inches of a panel


def draw(adata: ad.AnnData, before: np.ndarray) -> plt.Figure:
    """Two maps, each coloured by chemistry and by cell type; one legend for both maps."""
    figure, axes = plt.subplots(2, 2, figsize=(2 * SIDE + 2.0, 2 * SIDE))
    maps = {"Before (PCA)": im.pl.umap(before), "After (SCALEX)": im.pl.umap(adata.obsm["X_scalex"])}
    for column, (title, xy) in enumerate(maps.items()):
        for row, key in enumerate(["batch", "cell_type"]):
            ax = im.pl.embedding(adata, xy, color=key, ax=axes[row, column], title=title if row == 0 else "", size=6)
            ax.set(xlabel="", ylabel="")
            if column == 0:
                ax.get_legend().remove()
    for row, name in enumerate(["chemistry", "cell type"]):
        axes[row, 0].set_ylabel(f"coloured by {name}", fontsize=10)
    figure.tight_layout()
    return figure


def main() -> None:
    """Fit with the defaults, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=FOLDER / "pbmc_3tech_rna.h5ad")
    parser.add_argument("--out", type=Path, default=ROOT / "python" / "docs" / "_static" / "pbmc.png")
    arguments = parser.parse_args()
    adata = ad.read_h5ad(arguments.data)
    model = im.tl.scalex(adata, batch_key="batch")
    figure = draw(adata, baseline(model, adata))
    figure.savefig(arguments.out, dpi=110, metadata={"Software": None}, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()

"""Write scanpy's 700 labelled PBMC as an .h5ad file; usage: pbmc-reference.py FILE.

The set comes with X centred and scaled, which no count model can use; its ``raw`` holds the log-normalised
expression of 765 genes. The number at the end of a barcode is the 10x channel that the cell was loaded on.
"""

from __future__ import annotations

import sys

import scanpy as sc
from anndata import AnnData


def main(file: str) -> None:
    """Read the bundled set and write expression, labels and channels."""
    bundled = sc.datasets.pbmc68k_reduced()
    expression = bundled.raw.to_adata()
    reference = AnnData(expression.X, obs=bundled.obs[["bulk_labels"]], var=expression.var[[]])
    channel = reference.obs_names.str.rsplit("-", n=1).str[-1]
    reference.obs["channel"] = ("channel " + channel).astype("category")
    reference.write_h5ad(file)


if __name__ == "__main__":
    main(sys.argv[1])

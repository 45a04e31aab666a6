"""The bridge between R and Python: R objects as AnnData and back, for whichever of the two hosts the other.

For Python users who hold R objects through rpy2::

    from isthmus import bridge

    adata = bridge.to_anndata(sce)         # a SingleCellExperiment; assays are read-only views
    sce = bridge.to_r(adata)
    with bridge.converter():               # the same rules for everything that rpy2.robjects moves
        adata = rpy2.robjects.globalenv["sce"]

The R package reaches the core through ``session`` (Python inside R) or ``exchange`` (a separate process and
a folder of plain HDF5).
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["converter", "to_anndata", "to_r"]


def __getattr__(name: str) -> Any:
    """Import on first use: rpy2 is optional, and importing it looks for R."""
    if name in __all__:
        return getattr(importlib.import_module("isthmus.bridge.convert"), name)
    raise AttributeError(f"module 'isthmus.bridge' has no attribute '{name}'")

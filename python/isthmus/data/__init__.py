"""Between AnnData and the models: studies checked at the door, recorded transforms, loaders, simulated data."""

from __future__ import annotations

import importlib
from typing import Any

from isthmus.data.align import Alignment, Coverage
from isthmus.data.categories import Categories
from isthmus.data.modalities import from_modalities, pair_cells
from isthmus.data.pipeline import Pipeline, Prepared
from isthmus.data.reductions import Lsi, Pca
from isthmus.data.simulate import simulate
from isthmus.data.study import Study, from_anndata

_ON_TENSORS = {"Batch": "batch", "SparseLoader": "loader", "split_validation": "loader"}

__all__ = [
    "Alignment",
    "Batch",
    "Categories",
    "Coverage",
    "Lsi",
    "Pca",
    "Pipeline",
    "Prepared",
    "SparseLoader",
    "Study",
    "from_anndata",
    "from_modalities",
    "pair_cells",
    "simulate",
    "split_validation",
]


def __getattr__(name: str) -> Any:
    """Import on first use what needs torch: genomics and pictures do without it."""
    if name in _ON_TENSORS:
        return getattr(importlib.import_module(f"isthmus.data.{_ON_TENSORS[name]}"), name)
    raise AttributeError(f"module 'isthmus.data' has no attribute '{name}'")

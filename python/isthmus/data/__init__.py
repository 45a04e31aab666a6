"""Between AnnData and the models: studies checked at the door, recorded transforms, loaders, simulated data."""

from __future__ import annotations

from isthmus.data.align import Alignment, Coverage
from isthmus.data.batch import Batch
from isthmus.data.categories import Categories
from isthmus.data.loader import SparseLoader, split_validation
from isthmus.data.modalities import from_modalities, pair_cells
from isthmus.data.pipeline import Pipeline, Prepared
from isthmus.data.reductions import Lsi, Pca
from isthmus.data.simulate import simulate
from isthmus.data.study import Study, from_anndata

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

"""How well modalities lie on each other, and where cells lie on a map: verbs for the pictures of another language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from anndata import AnnData

import isthmus as im
from isthmus.bridge._glue import load_glue

Say = Callable[[str], Any]


def consistency(
    studies: Mapping[str, AnnData], *, folder: str, progress: Say | str = "silent", **settings: Any
) -> dict[str, Any]:
    """Whether features that the graph links go together in the cells that a model of GLUE was fitted on."""
    return {"consistency": load_glue(folder).consistency(studies, **settings)}


def umap(study: AnnData, *, progress: Say | str = "silent", **settings: Any) -> dict[str, Any]:
    """The embedding ``obsm["embedding"]`` in two dimensions, (cells, 2)."""
    return {"umap": im.pl.umap(np.asarray(study.obsm["embedding"]), **settings)}

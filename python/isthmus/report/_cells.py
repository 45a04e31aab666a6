"""The cells of a report, taken out of whatever object holds them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from isthmus._errors import InputError
from isthmus.metrics._inputs import as_text
from isthmus.pl._colors import as_categorical
from isthmus.tl._labels import UNKNOWN

DRAWN = 20_000  # cells of one kind that are drawn and scored: more would not be seen, and takes minutes


@dataclass(frozen=True)
class Cells:
    """Reference or query.

    Attributes
    ----------
    z
        (cells, latent) embedding by the model.
    batch, label
        (cells,) categories, or None. Of a query, the labels that were transferred.
    confidence, truth
        (cells,) of the transferred labels, and the query's own labels, or None.
    before
        (cells, any) embedding without integration, or None.
    markers
        (cells, genes) log-normalised expression of the genes to show; may have no column.
    n_all
        How many cells there are where these are a sample.
    """

    z: NDArray[np.floating]
    batch: pd.Categorical | None = None
    label: pd.Categorical | None = None
    confidence: NDArray[np.floating] | None = None
    truth: pd.Categorical | None = None
    before: NDArray[np.floating] | None = None
    markers: pd.DataFrame = field(default_factory=pd.DataFrame)
    n_all: int = 0

    def sample(self, most: int, seed: int) -> Cells:
        """At most ``most`` of the cells, in their order, and the number of all."""
        n = len(self.z)
        if n <= most:
            return replace(self, n_all=n)
        rows = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
        parts = {name: getattr(self, name) for name in ("z", "batch", "label", "confidence", "truth", "before")}
        taken = {name: None if part is None else part[rows] for name, part in parts.items()}
        return Cells(**taken, markers=self.markers.iloc[rows] if len(self.markers) else self.markers, n_all=n)


def reference_cells(
    adata: AnnData, key: str, batch_key: str | None, labels_key: str | None, markers: pd.DataFrame
) -> Cells:
    """The cells of a reference with their batches and labels.

    Raises
    ------
    InputError
        If the embedding or a column is missing.
    """
    return Cells(
        z=_embedding(adata, key, "fit a model on these cells first"),
        batch=column_of(adata, batch_key, "batch_key"),
        label=column_of(adata, labels_key, "labels_key"),
        markers=markers,
    )


def query_cells(adata: AnnData, key: str, labels_key: str | None, markers: pd.DataFrame) -> Cells:
    """Projected cells; their transferred labels where they have some, and their own where they bring that column."""
    label = f"{key}_label"
    confidence = f"{key}_confidence"
    return Cells(
        z=_embedding(adata, key, "project these cells first"),
        label=column_of(adata, label, label) if label in adata.obs else None,
        confidence=adata.obs[confidence].to_numpy(dtype=float) if confidence in adata.obs else None,
        truth=column_of(adata, labels_key, "labels_key") if labels_key in adata.obs else None,
        markers=markers,
    )


def types_of(reference: Cells, query: Cells | None) -> list[Any]:
    """All labels, the reference's order first, then others of the query, ``unknown`` last."""
    names = [] if reference.label is None else list(reference.label.categories)
    if query is not None and query.label is not None:
        names += [name for name in query.label.categories if name not in names]
    return [name for name in names if name != UNKNOWN] + [UNKNOWN] * (UNKNOWN in names)


def _embedding(adata: AnnData, key: str, remedy: str) -> NDArray[np.floating]:
    if f"X_{key}" not in adata.obsm:
        raise InputError(f'an embedding obsm["X_{key}"]', f"only {sorted(adata.obsm) or 'none'}", remedy)
    return np.asarray(adata.obsm[f"X_{key}"], dtype=np.float32)


def column_of(adata: AnnData, name: str | None, argument: str) -> pd.Categorical | None:
    """A column of ``obs`` as categories with text for names; None for no name."""
    if name is None:
        return None
    if name not in adata.obs:
        columns = ", ".join(map(str, adata.obs.columns[:12])) or "no columns"
        raise InputError(f"a column '{name}' in obs", columns, f"give {argument} another name, or leave it out")
    groups = as_categorical(adata.obs[name].astype("category"))
    text, texts = as_text(groups.categories)  # as transferred labels are
    return pd.Categorical.from_codes(np.append(text, -1)[groups.codes], categories=texts)

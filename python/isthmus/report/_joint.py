"""What the page of several modalities shows: their cells together, whether to trust the alignment, links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.modalities import objects_of
from isthmus.report._cells import Cells, column_of

if TYPE_CHECKING:
    from isthmus.tl import Glue

GROUPS = (10, 20, 50, 100, 200)  # metacells, as far as there are five cells for each


@dataclass(frozen=True)
class Joint:
    """What a page of several modalities shows beside the cells.

    Attributes
    ----------
    consistency
        What :meth:`isthmus.tl.Glue.consistency` gave.
    links
        All pairs of gene and peak, the best first; None where the model was fitted without.
    named
        By modality the cells that have a label of their own (``truth``) and one that the model gave (``label``).
    """

    consistency: pd.DataFrame
    links: pd.DataFrame | None
    named: Mapping[str, Cells]


def joint_of(model: Glue, data: Mapping[str, AnnData] | Any, labels_key: str | None) -> tuple[Cells, Joint]:
    """All cells of the fit, their modality as the batch; and what else the page shows.

    Raises
    ------
    InputError
        If cells of the fit are missing, or no modality has the labels.
    """
    objects = objects_of(data)
    _check_labels(objects, labels_key)
    n_groups = [k for k in GROUPS if 5 * k <= len(model.latent)] or [3]
    consistency = model.consistency(objects, n_groups)  # refuses data of which cells are missing
    fitted = {k: objects[k][model.cells_of(k)] for k in model.modalities}
    own = {k: _labels(cells, labels_key) for k, cells in fitted.items()}
    given = {k: _labels(cells, f"{model.settings['key_added']}_label") for k, cells in fitted.items()}
    reference = Cells(
        z=np.concatenate([model.latent_of(k) for k in fitted]),
        batch=pd.Categorical(np.repeat(list(fitted), [cells.n_obs for cells in fitted.values()]), list(fitted)),
        label=None if labels_key is None else _joined(fitted, _in_one_language(own, given)),
    )
    named = {
        k: Cells(model.latent_of(k), label=given[k], truth=own[k])
        for k in fitted
        if own[k] is not None and given[k] is not None
    }
    return reference, Joint(consistency, None if model.link_embeddings is None else model.links(), named)


def _check_labels(objects: Mapping[str, AnnData], labels_key: str | None) -> None:
    if labels_key is not None and not any(labels_key in cells.obs for cells in objects.values()):
        columns = list(dict.fromkeys(str(name) for cells in objects.values() for name in cells.obs))
        raise InputError(
            f"a column '{labels_key}' in obs of some modality",
            shorten(columns) or "no columns",
            "give labels_key another name, or leave it out",
        )


def _labels(cells: AnnData, name: str | None) -> pd.Categorical | None:
    return column_of(cells, name, "labels_key") if name in cells.obs else None


def _in_one_language(
    own: Mapping[str, pd.Categorical | None], given: Mapping[str, pd.Categorical | None]
) -> dict[str, pd.Categorical | None]:
    """Labels of each modality: its own if they share a name with those of the first that has any, else the model's."""
    first = set(next(label for label in own.values() if label is not None).categories)
    return {
        k: label if given[k] is None or (label is not None and first & set(label.categories)) else given[k]
        for k, label in own.items()
    }


def _joined(fitted: Mapping[str, AnnData], labels: Mapping[str, pd.Categorical | None]) -> pd.Categorical:
    """Labels of all modalities, those of the first one first; missing where a modality has none."""
    names = dict.fromkeys(name for label in labels.values() if label is not None for name in label.categories)
    parts = [
        np.full(cells.n_obs, None, dtype=object) if labels[k] is None else np.asarray(labels[k], dtype=object)
        for k, cells in fitted.items()
    ]
    return pd.Categorical(np.concatenate(parts), categories=list(names))

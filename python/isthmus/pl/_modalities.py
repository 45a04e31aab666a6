"""Cells of several modalities in the embedding that they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.modalities import objects_of
from isthmus.pl._embedding import embedding

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def modalities(
    data: Mapping[str, AnnData] | Any, color: str | None = None, *, basis: str = "X_glue", **how: Any
) -> Axes:
    """Draw the cells of all modalities in one UMAP, coloured by modality or by a column of ``obs``.

    Parameters
    ----------
    data
        The modalities: a mapping from name to AnnData, or a MuData, after :func:`isthmus.tl.glue`.
    color
        Column of ``obs``; modalities that lack it are grey. None = the modality.
    basis
        Key of ``obsm`` with the embedding, (cells, latent) of the same width in all of them.
    **how
        As for :func:`isthmus.pl.embedding`: ``ax``, ``title``, ``palette``, ``names_on_data``, ``size``, ``seed``, ...

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If the data are no modalities, one lacks the embedding, or none has the column.
    """
    tables = objects_of(data)
    lacking = [name for name, table in tables.items() if basis not in table.obsm]
    if lacking or not tables:
        raise InputError(
            f"obsm['{basis}'] in every modality", f"none in {shorten(lacking) or 'no modality'}", "fit a model first"
        )
    if color is not None and not any(color in table.obs for table in tables.values()):
        raise InputError(f"a column of obs named {color!r}", f"none in {shorten(list(tables))}", "check the spelling")
    names = np.repeat(list(tables), [table.n_obs for table in tables.values()])
    cells = AnnData(
        obs=pd.DataFrame({"modality": pd.Categorical(names, list(tables))}, index=[str(i) for i in range(len(names))])
    )
    cells.obsm[basis] = np.concatenate([np.asarray(table.obsm[basis]) for table in tables.values()])
    if color is not None:
        parts = [
            t.obs[color].astype(object) if color in t.obs else pd.Series(np.nan, t.obs_names) for t in tables.values()
        ]
        cells.obs[color] = pd.concat(parts).infer_objects().to_numpy()
    return embedding(cells, basis, color or "modality", **how)

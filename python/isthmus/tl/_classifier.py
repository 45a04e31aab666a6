"""Cell types by the classifier that a network has on its embedding, where it was fitted with labels."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from anndata import AnnData

from isthmus._errors import InputError


def predict_types(model: Any, adata: AnnData, key_added: str | None, settings: dict[str, Any]) -> pd.DataFrame:
    """What a fitted model's classifier says of cells; the best type and its probability go into ``obs``.

    Parameters
    ----------
    model
        A :class:`isthmus.tl.FittedModel` with ``labels`` and a network that can ``classify``.
    adata
        Cells; projected first, unless this model's embedding of them is there.
    key_added
        Stem of the keys; None = as in the fit.
    settings
        Passed to the model's ``project``.

    Returns
    -------
    pandas.DataFrame
        (cells, types) probabilities.

    Raises
    ------
    InputError
        If the model was fitted without labels.
    """
    if model.labels is None:
        raise InputError(
            "a model that was fitted with labels",
            "one without",
            "fit with labels_key=, or use transfer_labels(), which needs labels of the reference cells only",
        )
    key = key_added or model.settings["key_added"]
    z = model._embedding_of(adata, key, settings)
    with torch.inference_mode():
        probability = model.network.classify(torch.from_numpy(z)).numpy()
    table = pd.DataFrame(probability, index=adata.obs_names, columns=list(model.labels.names))
    adata.obs[f"{key}_label"] = pd.Categorical(table.columns[probability.argmax(axis=1)])
    adata.obs[f"{key}_confidence"] = probability.max(axis=1)
    return table

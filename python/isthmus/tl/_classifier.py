"""Cell types by the classifier that a network has on its embedding, where it was fitted with labels."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories
from isthmus.tl.fitted import FittedModel


class Classifying(FittedModel):
    """A fitted model whose network can ``classify``.

    Attributes
    ----------
    labels
        Cell types that it was fitted with; None = there were none.
    """

    labels: Categories | None

    def predict_labels(self, adata: AnnData, *, key_added: str | None = None, **settings: Any) -> pd.DataFrame:
        """Cell types by the model's own classifier, which needs no labels of reference cells any more.

        Parameters
        ----------
        adata
            Reference or query cells; projected first, unless this model's embedding of them is there. Gets
            ``obs["<key_added>_label"]`` and ``obs["<key_added>_confidence"]``.
        key_added
            Stem of the keys; None = as in the fit.
        **settings
            Passed to :meth:`project`: a model of several modalities needs ``modality``.

        Returns
        -------
        pandas.DataFrame
            (cells, types) probabilities.

        Raises
        ------
        InputError
            If the model was fitted without labels, or as in :meth:`project`.
        """
        if self.labels is None:
            raise InputError(
                "a model that was fitted with labels",
                "one without",
                "fit with labels_key=, or use transfer_labels(), which needs labels of the reference cells only",
            )
        key = key_added or self.settings["key_added"]
        z = self._embedding_of(adata, key, settings)
        with torch.inference_mode():
            probability = self.network.classify(torch.from_numpy(z)).numpy()
        table = pd.DataFrame(probability, index=adata.obs_names, columns=list(self.labels.names))
        adata.obs[f"{key}_label"] = pd.Categorical(table.columns[probability.argmax(axis=1)])
        adata.obs[f"{key}_confidence"] = probability.max(axis=1)
        return table

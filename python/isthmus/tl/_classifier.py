"""Cell types by the classifier that a network has on its embedding, where it was fitted with labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import nn

from isthmus._errors import InputError
from isthmus.data import Categories
from isthmus.tl.fitted import FittedModel

ROUNDS, LEAST = 100, 1e-6  # of expectation-maximisation; probability that no type falls below
PSEUDO_CELLS = 20.0  # of the overall composition, added to each batch: few cells hardly tell their own
DECAY = 0.0025  # of the refitted classifier's squared weights beside the mean loss of a cell; less loses rare types


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

        scDREAMER-Sup weighs them by how common each is in the cell's batch, as the fit found it; batches that it does
        not know are taken as the labelled cells are.

        Parameters
        ----------
        adata
            Reference or query cells; projected first, unless this model's embedding of them is there. Gets
            ``obs["<key_added>_label"]`` and ``obs["<key_added>_confidence"]``.
        key_added
            Stem of the columns; None = as in the fit. An embedding under this key is used before that under the key of
            the fit.
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
        probability = self._probabilities(adata, *self._embedding_of(adata, key_added, settings))
        table = pd.DataFrame(probability, index=adata.obs_names, columns=list(self.labels.names))
        adata.obs[f"{key}_label"] = pd.Categorical(table.columns[probability.argmax(axis=1)])
        adata.obs[f"{key}_confidence"] = probability.max(axis=1)
        return table

    def _probabilities(self, adata: AnnData, z: np.ndarray, key: str) -> np.ndarray:
        """(cells, types) of cells whose embedding ``z`` lies under ``key``."""
        return classify(self.network, z)


def classify(network: nn.Module, z: np.ndarray) -> np.ndarray:
    """(cells, types) probabilities by the network's classifier."""
    with torch.inference_mode():
        return network.classify(torch.from_numpy(z)).numpy()


def refit(layer: nn.Linear, z: np.ndarray, label: np.ndarray) -> None:
    """Fit a linear classifier once more, to where the labelled cells have come to lie.

    In training it follows noisy states of cells that still move. This is the penalised logistic regression on their
    final (cells, latent) means ``z``, standardised; ``label`` holds (cells,) codes, -1 where not known.
    """
    from sklearn.linear_model import LogisticRegression

    known, mean, spread = label >= 0, z.mean(axis=0), z.std(axis=0) + LEAST
    inverse = 1 / (DECAY * known.sum())  # scikit-learn weighs the sum over cells
    found = LogisticRegression(C=inverse, max_iter=1000).fit((z[known] - mean) / spread, label[known])
    slope, offset = found.coef_, found.intercept_
    if len(found.classes_) == 2:  # it gives the odds of the second alone
        slope, offset = np.vstack([0 * slope, slope]), np.append(0.0, offset)
    slope = slope / spread
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(slope))
        layer.bias.copy_(torch.from_numpy(offset - slope @ mean))


def batch_odds(probability: np.ndarray, label: np.ndarray, batch: np.ndarray, n_batches: int) -> np.ndarray:
    """How much more common each type is in each batch than among the labelled cells.

    A classifier that knows no batches takes every batch to hold the types in the shares of the labelled cells. Batches
    differ in this, and the shares of one can be estimated from what the classifier says of its cells, whether or not
    they have labels: they are the fixed point at which the mean of the corrected probabilities is the share (Saerens,
    Latinne and Decaestecker 2002, doi:10.1162/089976602753284446).

    Parameters
    ----------
    probability
        (cells, types) of the classifier.
    label
        (cells,) codes of the types, -1 where not known; a cell with a label counts as what it is.
    batch
        (cells,) codes of the batches.
    n_batches
        Number of batches.

    Returns
    -------
    numpy.ndarray
        (batches + 1, types) float32 factors of the probabilities; those of the last row, for unknown batches, are 1.
    """
    p, known = np.maximum(probability.astype(np.float64), LEAST), label >= 0
    n_types = p.shape[1]
    usual = np.bincount(label[known], minlength=n_types) / known.sum()
    odds = np.ones((n_batches + 1, n_types))
    for code in range(n_batches):
        own = batch == code
        counted = np.bincount(label[own & known], minlength=n_types) + PSEUDO_CELLS * usual
        asked = p[own & ~known]
        for _ in range(ROUNDS):
            weighted = asked * odds[code]
            found = (weighted / weighted.sum(axis=1, keepdims=True)).sum(axis=0)
            odds[code] = (counted + found) / (own.sum() + PSEUDO_CELLS) / usual
    return odds.astype(np.float32)

"""A fitted model of one modality: what SCALEX and scDREAMER have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from torch import nn

from isthmus.data import Categories, Coverage, Pipeline, Study, from_anndata
from isthmus.data.door import check_number
from isthmus.data.study import layer_or_usual, relative_counts
from isthmus.tl._impute import collect, column_positions
from isthmus.tl._store import Manifest, weights_of, with_weights
from isthmus.tl.fitted import FittedModel


class SingleModality(FittedModel):
    """Cells of one modality in batches.

    Attributes
    ----------
    network
        The trained model, on the CPU, in evaluation mode.
    pipeline
        The fitted transforms.
    batches
        The reference's batches.
    coverage
        Of the last projection; None before.
    """

    def __init__(
        self, *, manifest: Manifest, network: nn.Module, pipeline: Pipeline, batches: Categories, cells: pd.Index,
        latent: np.ndarray, history: pd.DataFrame,
    ) -> None:  # fmt: skip
        self.manifest, self.network, self.pipeline, self.batches = manifest, network, pipeline, batches
        self.cells, self.latent, self.history = cells, latent, history
        self.coverage: Coverage | None = None

    def impute(
        self,
        adata: AnnData,
        *,
        features: Sequence[str] | None = None,
        batch: str | Sequence[str] | None = None,
        least: float = 0.0,
        file: str | Path | None = None,
        key_added: str | None = None,
        **settings: Any,
    ) -> AnnData:
        """Expression as the decoder expects it, free of noise and, for one or averaged batches, of batch effects.

        Parameters
        ----------
        adata
            Reference or query cells; projected first, unless this model's embedding of them is there.
        features
            Names of the model's features to impute; None = all of them.
        batch
            Name (or names) of the reference's batches to imitate; None or ``"average"`` = the mean over all of them.
        least
            Values below it are left out, and the result is sparse; 0 = dense.
        file
            ``.h5ad`` file to write block by block instead of keeping the result in memory; it is returned opened
            in backed mode.
        key_added
            ``layers["<key_added>"]`` is set when every feature of ``adata`` was imputed and no file is named; None = as
            in the fit. An embedding under this key is used before that under the key of the fit.
        **settings
            Passed to ``project``.

        Returns
        -------
        anndata.AnnData
            (cells, features): log-normalised expression, the unit of the model's input before scaling.

        Raises
        ------
        InputError
            If a feature or batch is unknown, or the result would not fit into memory (name a file, or fewer features).
        """
        columns = column_positions(self.pipeline.features, features)
        domains = self.batches.imitated(batch)
        check_number(least, "least", 0.0)
        self._demand_expression()
        key = key_added or self.settings["key_added"]
        z, _ = self._embedding_of(adata, key_added, settings)
        blocks = (block[:, columns] for block in self._decode(z, domains))
        out = collect(blocks, adata, self.pipeline.features[columns], least, file)
        if file is None and adata.var_names.isin(out.var_names).all():
            adata.layers[key] = out[:, adata.var_names].X
        return out

    def _demand_expression(self) -> None:
        """Refuse to impute where the decoder explains something else than expression."""

    @abstractmethod
    def _decode(self, z: np.ndarray, domains: list[int]) -> Iterator[np.ndarray]:
        """Log-normalised expression averaged over batches, in blocks of (cells, model features) float32."""

    def _study(
        self,
        adata: AnnData,
        batch_key: str | None,
        layer: str | None,
        values: str | None,
        batches: Categories | None,
    ) -> Study:
        """The study of new data, with the fit's settings where none are given."""
        study = from_anndata(
            adata,
            batch_key,
            layer=layer_or_usual(adata, layer, self.settings["layer"]),
            values=values or self.settings["values"],
            batches=batches,
        )
        return relative_counts(study) if self.settings["values"] == "counts" else study

    def _write_projection(
        self, query: AnnData, z: np.ndarray, coverage: Coverage, key_added: str | None, **facts: Any
    ) -> np.ndarray:
        """Put a projection and how it was made into the query."""
        self.coverage = coverage
        key = key_added or self.settings["key_added"]
        self.write_embedding(query, z, key, projection={**coverage.as_dict(), **facts})
        return z

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        plain, arrays = self.pipeline.state()
        names = {
            "universe": plain["universe"],
            "features": plain["features"],
            "batches": list(self.batches.names),
        }
        return names, {**arrays, **weights_of(self.network)}

    @staticmethod
    def _parts(
        manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray], network: nn.Module
    ) -> dict[str, Any]:
        """The constructor's arguments from what was stored; ``network`` is a new one, and gets its weights."""
        plain = {
            "profile": manifest.settings.get("profile", "rna"),
            "target": manifest.facts["target"],
            "scaling": manifest.settings["scaling"],
            **names,
        }
        return {
            "manifest": manifest, "network": with_weights(network, arrays),
            "pipeline": Pipeline.from_state(plain, arrays),
            "batches": Categories(tuple(names["batches"])), "cells": pd.Index(names["cells"]),
            "latent": arrays["latent"], "history": pd.DataFrame(),
        }  # fmt: skip

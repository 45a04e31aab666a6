"""A fitted SCALEX model: embed, project, impute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories, Coverage, Pipeline, Study, from_anndata
from isthmus.data.door import check_choice, check_number
from isthmus.data.study import layer_names
from isthmus.models import SCALEX
from isthmus.nn import Moments
from isthmus.tl._impute import collect, column_positions
from isthmus.tl._inference import choose_moments, decode, encode, moments_of_batches
from isthmus.tl._matching import Anchors, match
from isthmus.tl._store import Manifest
from isthmus.tl.fitted import FittedModel

STATISTICS = ("matched", "exact", "running", "shrunk")


class Scalex(FittedModel):
    """What :func:`isthmus.tl.scalex` returns.

    Attributes
    ----------
    network
        The trained :class:`isthmus.models.SCALEX`, on the CPU, in evaluation mode.
    pipeline
        The fitted transforms.
    batches, counts
        The reference's batches and their numbers of cells.
    moments
        Statistics that each batch of the reference is encoded with, see ``statistics`` of :func:`isthmus.tl.scalex`.
    anchors
        Groups of similar reference cells, which new batches are compared with.
    coverage
        Of the last projection; None before.
    """

    system: ClassVar[str] = "scalex"

    def __init__(
        self,
        *,
        manifest: Manifest,
        network: SCALEX,
        pipeline: Pipeline,
        batches: Categories,
        counts: np.ndarray,
        moments: Moments,
        anchors: Anchors,
        cells: pd.Index,
        latent: np.ndarray,
        history: pd.DataFrame,
    ) -> None:
        self.manifest, self.network, self.pipeline = manifest, network, pipeline
        self.batches, self.counts = batches, counts
        self.moments, self.anchors = moments, anchors
        self.cells, self.latent, self.history = cells, latent, history
        self.coverage: Coverage | None = None

    def embed(self, adata: AnnData, *, layer: str | None = None, values: str | None = None) -> np.ndarray:
        """Embedding of cells of batches that the model was trained with.

        Each cell is normalised with the stored statistics of its batch: the result does not depend on which other
        cells are there.

        Parameters
        ----------
        adata
            Cells by features, with the batch column of the fit.
        layer, values
            As in :meth:`project`.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32.

        Raises
        ------
        InputError
            If a batch is unknown (then :meth:`project` is the verb) or features are missing.
        """
        study = self._study(adata, self.settings["batch_key"], layer, values, self.batches)
        prepared = self.pipeline.apply(study, study.batch, min_coverage=1.0)
        return encode(self.network, prepared, self.moments, study.batch)

    def project(
        self,
        query: AnnData,
        batch_key: str | None = None,
        *,
        layer: str | None = None,
        values: str | None = None,
        statistics: str | None = None,
        min_coverage: float = 0.2,
        key_added: str | None = None,
    ) -> np.ndarray:
        """Bring new cells into the embedding of the reference, without training.

        Parameters
        ----------
        query
            Cells of any batches; features in any order, additional ones are left aside, missing ones count as
            unknown (the reference mean), not as zero. Gets ``obsm["X_<key_added>"]`` and ``uns["<key_added>"]``.
        batch_key
            Column of ``obs`` with the query's batches, each of which is new to the model; None = one batch.
        layer
            Layer with the values; None = the one of the fit where the query has it, else ``X``.
        values
            ``"counts"`` or ``"lognorm"``; None = as in the fit.
        statistics
            As in the fit; None = the fit's own. New batches bring their own statistics.
        min_coverage
            Least share of the model's features that the query must have.
        key_added
            Stem of the keys written; None = as in the fit.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32, one row for every cell of the query.

        Raises
        ------
        InputError
            If the coverage is too low or the values cannot be used; nothing was written then.
        """
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        statistics = statistics or self.settings["statistics"]
        check_choice(statistics, STATISTICS, "statistics")
        study = self._study(query, batch_key, layer, values, None)
        prepared = self.pipeline.apply(study, None, min_coverage)
        counts = np.bincount(study.batch, minlength=len(study.batches))
        exact = moments_of_batches(self.network, prepared, study.batch, len(study.batches))
        if statistics == "matched":
            moments = match(self.network, self.anchors, prepared, study.batch, exact)
        else:
            moments = choose_moments(self.network, exact, counts, statistics)
        z = encode(self.network, prepared, moments, study.batch)
        self.coverage = prepared.coverage
        key = key_added or self.settings["key_added"]
        query.obsm[f"X_{key}"] = z
        query.uns[key] = {**self.record(), "projection": prepared.coverage.as_dict()}
        return z

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
            Stem of the embedding's keys; ``layers["<stem>"]`` is set when every feature of ``adata`` was imputed
            and no file is named.
        **settings
            Passed to :meth:`project`.

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
        domains = self._domains(batch)
        check_number(least, "least", 0.0)
        key = key_added or self.settings["key_added"]
        z = self._embedding_of(adata, key, settings)
        scale = self.pipeline.largest(domains)
        blocks = (block[:, columns] for block in decode(self.network, z, domains, scale))
        out = collect(blocks, adata, self.pipeline.features[columns], least, file)
        if file is None and adata.var_names.isin(out.var_names).all():
            adata.layers[key] = out[:, adata.var_names].X
        return out

    def _domains(self, batch: str | Sequence[str] | None) -> list[int]:
        """Codes of the batches to decode as."""
        if batch is None or (isinstance(batch, str) and batch == "average" and batch not in self.batches.names):
            return list(range(len(self.batches)))
        names = [batch] if np.isscalar(batch) else list(batch)
        if not names:
            raise InputError("at least one batch to imitate", "none", "name one, or give batch=None for their average")
        return [int(code) for code in self.batches.encode(names)]

    def _study(
        self,
        adata: AnnData,
        batch_key: str | None,
        layer: str | None,
        values: str | None,
        batches: Categories | None,
    ) -> Study:
        """The study of new data, with the fit's settings where none are given."""
        usual = self.settings["layer"]
        if layer is None and isinstance(adata, AnnData) and usual in layer_names(adata):
            layer = usual
        return from_anndata(
            adata,
            batch_key,
            layer=layer,
            values=values or self.settings["values"],
            batches=batches,
        )

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        plain, arrays = self.pipeline.state()
        weights = {f"network.{name}": tensor.numpy() for name, tensor in self.network.state_dict().items()}
        own = {
            "counts": self.counts,
            "moments.mean": self.moments.mean.numpy(),
            "moments.variance": self.moments.variance.numpy(),
            "anchors.centres": self.anchors.centres,
            "anchors.spread": np.array([self.anchors.spread]),
            "anchors.hidden": self.anchors.hidden.numpy(),
            "anchors.within": self.anchors.within.numpy(),
        }
        names = {
            "universe": plain["universe"],
            "features": plain["features"],
            "batches": list(self.batches.names),
        }
        return names, {**arrays, **weights, **own}

    @classmethod
    def _from_state(cls, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> Scalex:
        settings = manifest.settings
        network = SCALEX(
            len(names["features"]),
            len(names["batches"]),
            settings["n_latent"],
            settings["n_hidden"],
            settings["kl_weight"],
        )
        weights = {
            n.removeprefix("network."): torch.from_numpy(a) for n, a in arrays.items() if n.startswith("network.")
        }
        network.load_state_dict(weights)
        plain = {
            "profile": settings["profile"],
            "target": manifest.facts["target"],
            "per_batch": settings["scaling"] == "batch",
            **names,
        }
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        moments = Moments(tensors["moments.mean"], tensors["moments.variance"])
        anchors = Anchors(
            arrays["anchors.centres"],
            float(arrays["anchors.spread"][0]),
            tensors["anchors.hidden"],
            tensors["anchors.within"],
        )
        return cls(
            manifest=manifest, network=network.eval(), pipeline=Pipeline.from_state(plain, arrays),
            batches=Categories(tuple(names["batches"])), counts=arrays["counts"], moments=moments, anchors=anchors,
            cells=pd.Index(names["cells"]), latent=arrays["latent"], history=pd.DataFrame(),
        )  # fmt: skip

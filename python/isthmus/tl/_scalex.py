"""A fitted SCALEX model: embed, project, impute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from anndata import AnnData

from isthmus.data.door import check_choice, check_number
from isthmus.models import SCALEX
from isthmus.nn import Moments
from isthmus.tl._inference import choose_moments, decode, encode, moments_of_batches
from isthmus.tl._matching import Anchors, match
from isthmus.tl._single import SingleModality
from isthmus.tl._store import Manifest

STATISTICS = ("matched", "exact", "running", "shrunk")


class Scalex(SingleModality):
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
    title = "SCALEX"

    def __init__(self, *, counts: np.ndarray, moments: Moments, anchors: Anchors, **parts: Any) -> None:
        super().__init__(**parts)
        self.counts, self.moments, self.anchors = counts, moments, anchors

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
        return self._write_projection(query, z, prepared.coverage, key_added)

    def _decode(self, z: np.ndarray, domains: list[int]) -> Iterator[np.ndarray]:
        return decode(self.network, z, domains, self.pipeline.largest(domains))

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        names, arrays = super()._state()
        own = {
            "counts": self.counts,
            "moments.mean": self.moments.mean.numpy(),
            "moments.variance": self.moments.variance.numpy(),
            "anchors.centres": self.anchors.centres,
            "anchors.spread": np.array([self.anchors.spread]),
            "anchors.hidden": self.anchors.hidden.numpy(),
            "anchors.within": self.anchors.within.numpy(),
        }
        return names, {**arrays, **own}

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
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        moments = Moments(tensors["moments.mean"], tensors["moments.variance"])
        anchors = Anchors(
            arrays["anchors.centres"],
            float(arrays["anchors.spread"][0]),
            tensors["anchors.hidden"],
            tensors["anchors.within"],
        )
        parts = cls._parts(manifest, names, arrays, network)
        return cls(counts=arrays["counts"], moments=moments, anchors=anchors, **parts)

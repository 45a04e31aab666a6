"""A fitted scDREAMER or scDREAMER-Sup model: embed, project, predict, impute."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.data import Categories, Prepared, SparseLoader, Study
from isthmus.data.categories import shorten
from isthmus.data.door import check_number
from isthmus.data.study import obs_column
from isthmus.models import SCDREAMER, SCDREAMERSup
from isthmus.models.scdreamer import Weights
from isthmus.tl._classifier import Classifying
from isthmus.tl._inference import CELLS_AT_ONCE, fill_of
from isthmus.tl._single import SingleModality
from isthmus.tl._store import Manifest


class Scdreamer(SingleModality, Classifying):
    """What :func:`isthmus.tl.scdreamer` returns.

    Attributes
    ----------
    network
        The trained :class:`isthmus.models.SCDREAMER` or :class:`isthmus.models.SCDREAMERSup`, on the CPU.
    pipeline
        The fitted transforms.
    batches, labels
        The reference's batches; its cell types, None without labels.
    odds
        (batches + 1, types) how common each type is in each batch, see :func:`isthmus.tl._classifier.batch_odds`;
        None without labels.
    coverage
        Of the last projection; None before.
    """

    system: ClassVar[str] = "scdreamer"

    def __init__(self, *, labels: Categories | None, odds: np.ndarray | None, **parts: Any) -> None:
        super().__init__(**parts)
        self.labels, self.odds = labels, odds
        self.title = "scDREAMER" if labels is None else "scDREAMER-Sup"

    def embed(self, adata: AnnData, *, layer: str | None = None, values: str | None = None) -> np.ndarray:
        """Embedding of cells of batches that the model was trained with.

        Parameters
        ----------
        adata
            Cells by features, with the batch column of the fit.
        layer, values
            As in :meth:`project`.

        Returns
        -------
        numpy.ndarray
            (cells, latent) float32, the posterior means.

        Raises
        ------
        InputError
            If a batch is unknown (then :meth:`project` is the verb) or features are missing.
        """
        study = self._study(adata, self.settings["batch_key"], layer, values, self.batches)
        prepared = self.pipeline.apply(study, study.batch, min_coverage=1.0)
        return encode(self.network, prepared, study.batch)

    def project(
        self,
        query: AnnData,
        batch_key: str | None = None,
        *,
        layer: str | None = None,
        values: str | None = None,
        min_coverage: float = 0.2,
        key_added: str | None = None,
    ) -> np.ndarray:
        """Bring new cells into the embedding of the reference, without training.

        The encoder is told the batch. Cells of a batch that the model knows by name are encoded with it; those of
        other batches by the batch-free encoder, which was trained beside by hiding the batch of some cells
        (``batch_dropout``). A warning names the latter; ``uns`` records both.

        Parameters
        ----------
        query
            Cells of any batches; features in any order, additional ones are left aside, missing ones count as
            unknown (the reference mean), not as zero. Gets ``obsm["X_<key_added>"]`` and ``uns["<key_added>"]``.
        batch_key
            Column of ``obs`` with the query's batches; None = one new batch.
        layer
            Layer with the values; None = the one of the fit where the query has it, else ``X``.
        values
            ``"counts"`` or ``"lognorm"``; None = as in the fit.
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
            If the coverage is too low, the values cannot be used, or a batch is new and the model was fitted
            without the batch-free encoder; nothing was written then.
        """
        check_number(min_coverage, "min_coverage", 0.0, 1.0)
        study = self._study(query, batch_key, layer, values, None)
        code, known, new = self._codes(study, named=batch_key is not None)
        prepared = self.pipeline.apply(study, np.where(code < len(self.batches), code, -1), min_coverage)
        z = encode(self.network, prepared, code)
        named = {}
        if batch_key is not None:
            named = {"batch_key": batch_key, "batch_digest": digest(study.batches, study.batch)}
        return self._write_projection(
            query, z, prepared.coverage, key_added, known_batches=known, new_batches=new, **named
        )

    def _embedding_there(self, query: AnnData, key: str, settings: dict[str, Any]) -> np.ndarray | None:
        """As of any model; also one for which this ``batch_key`` was given, if the cells' batches are those of then."""
        name = settings.get("batch_key")
        if name in query.obs and self._wrote(query, key):
            record = query.uns[key]
            how = record.get("projection", {**self.settings, **record})
            batches = Categories.of(query.obs[name])
            now = {"batch_key": name, "batch_digest": digest(batches, batches.find(query.obs[name]))}
            if now == {part: how.get(part) for part in now}:
                settings = {**settings, "batch_key": None}
        return super()._embedding_there(query, key, settings)

    def _codes(self, study: Study, named: bool) -> tuple[np.ndarray, list[str], list[str]]:
        """(cells,) codes of the reference's batches, unknown ones last; the names of known and of new batches."""
        code = self.batches.find(study.batches.names) if named else np.array([-1])
        known = [name for name, where in zip(study.batches.names, code, strict=True) if where >= 0]
        new = [name for name, where in zip(study.batches.names, code, strict=True) if where < 0]
        if new and self.settings["batch_dropout"] == 0:
            raise InputError(
                f"batches that the model was trained with: {shorten(self.batches.names)}",
                shorten(new) if named else "a query without a batch column",
                "fit with batch_dropout above 0, which trains the batch-free encoder beside",
            )
        if new and self.settings["batch_dropout"] < 1:
            whose = "The query's batch is not known: its"
            if named:
                whose = f"Batches {shorten(new)} are new to the model: their"
            warnings.warn(f"{whose} cells were embedded by the batch-free encoder.", stacklevel=4)
        return np.where(code < 0, len(self.batches), code)[study.batch], known, new

    def _probabilities(self, adata: AnnData, z: np.ndarray, key: str) -> np.ndarray:
        """What the classifier says of z, weighed by how common each type is in the cell's batch."""
        how = adata.uns[key].get("projection", self.settings)
        name = how.get("batch_key")
        code = np.full(len(z), -1)
        if name is not None:
            expected = "the column of obs with the batches that the cells were embedded with"
            code = self.batches.find(obs_column(adata, name, expected, "put it back, or project with batch_key="))
        weighted = super()._probabilities(adata, z, key) * self.odds[code]
        return weighted / weighted.sum(axis=1, keepdims=True)

    def _demand_expression(self) -> None:
        if self.settings["target"] == "input":
            raise InputError(
                "a model whose decoder explains counts",
                "one that explains the encoder's scaled input (target='input')",
                "fit with target='counts' to impute",
            )

    def _decode(self, z: np.ndarray, domains: list[int]) -> Iterator[np.ndarray]:
        """The expected share of each feature, as log-normalised expression."""
        in_universe = self.pipeline.universe.get_indexer(self.pipeline.features)
        depth = self.pipeline.depth.target * self.pipeline.depth.share[in_universe].sum()
        with torch.inference_mode():
            for start in range(0, len(z), CELLS_AT_ONCE):
                part = torch.from_numpy(z[start : start + CELLS_AT_ONCE])
                total = sum(
                    torch.log1p(depth * self.network.decode(part, torch.full((len(part),), domain)))
                    for domain in domains
                )
                yield (total / len(domains)).numpy()

    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        names, arrays = super()._state()
        if self.labels is None:
            return {**names, "labels": []}, arrays
        return {**names, "labels": list(self.labels.names)}, {**arrays, "odds": self.odds}

    @classmethod
    def _from_state(cls, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> Scdreamer:
        labels = Categories(tuple(names["labels"])) if names["labels"] else None
        counts = [1] * len(names["batches"])  # the classifier's weights are stored with the network
        library = (0.0, 1.0) if manifest.settings["library"] == "learned" else None
        network = make_network(len(names["features"]), counts, labels, library, manifest.settings)
        return cls(labels=labels, odds=arrays.get("odds"), **cls._parts(manifest, names, arrays, network))


def make_network(
    n_features: int, batch_counts: list[int], labels: Categories | None, library: tuple[float, float] | None,
    settings: dict[str, Any],
) -> SCDREAMER:  # fmt: skip
    """The network that these settings describe."""
    weights = Weights(
        **{name: settings[f"{name}_weight"] for name in ("kl", "consistency", "bhattacharyya", "batch", "labels")},
        kl_warm_up=settings["kl_warm_up"], batch_warm_up=settings["batch_warm_up"],
    )  # fmt: skip
    same = (
        "n_latent",
        "n_hidden",
        "likelihood",
        "dropout",
        "mask",
        "batch_dropout",
        "n_hidden_adversary",
        "adversary_rate",
    )
    given = {"library": library, "weights": weights, **{name: settings[name] for name in same}}
    if labels is None:
        return SCDREAMER(n_features, batch_counts, **given)
    return SCDREAMERSup(n_features, batch_counts, len(labels), labels_in_prior=settings["labels_in_prior"], **given)


def encode(network: SCDREAMER, prepared: Prepared, batch: np.ndarray) -> np.ndarray:
    """Posterior means, (cells, latent) float32; the number of batches as a code stands for an unknown one."""
    fill = fill_of(prepared)
    with torch.inference_mode():
        parts = [
            network.encode(part.x, part.covariate, fill).mean.numpy()
            for part in SparseLoader(prepared.x, batch, batch_size=CELLS_AT_ONCE).epoch()
        ]
    return np.concatenate(parts)


def digest(batches: Categories, batch: np.ndarray) -> str:
    """What tells whether cells are in the batches that they were embedded in; of (cells,) codes into ``batches``."""
    names = np.array(batches.names, dtype=object)[batch]
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]

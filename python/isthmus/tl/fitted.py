"""A fitted model, as users hold it: what all systems have in common."""

from __future__ import annotations

import hashlib
import platform
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from isthmus._errors import ModelFileError
from isthmus.data.categories import shorten
from isthmus.data.door import check_number
from isthmus.tl import _store
from isthmus.tl._labels import align_labels, nearest_labels
from isthmus.tl._store import Manifest

PACKAGES = ("torch", "anndata", "numpy", "scipy", "scanpy")
SYSTEMS: dict[str, type[FittedModel]] = {}


class FittedModel(ABC):
    """A trained system with everything that new data need: transforms, categories, statistics, reference embedding.

    Attributes
    ----------
    title
        Name of the system as its paper has it.
    manifest
        Settings, versions, seed and facts of the fit.
    cells, latent
        Names and embedding (cells, latent) of the reference cells.
    history
        One row an epoch: every loss term on training and held-out cells.
    """

    system: ClassVar[str]
    title: str
    manifest: Manifest
    cells: pd.Index
    latent: np.ndarray
    history: pd.DataFrame

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the system, so that :func:`load` finds its class."""
        super().__init_subclass__(**kwargs)
        if "system" in cls.__dict__:
            SYSTEMS[cls.system] = cls

    @abstractmethod
    def embed(self, adata: AnnData) -> np.ndarray:
        """Embedding of cells from batches that the model knows, (cells, latent) float32."""

    @abstractmethod
    def project(self, query: AnnData, **settings: Any) -> np.ndarray:
        """Embedding of cells from anywhere, without training, (cells, latent) float32."""

    @abstractmethod
    def _state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        """Names and arrays to store."""

    @classmethod
    @abstractmethod
    def _from_state(cls, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> FittedModel:
        """The model that :meth:`_state` described."""

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the fit."""
        return self.manifest.settings

    def transfer_labels(
        self,
        query: AnnData,
        labels: pd.Series | Sequence,
        *,
        k: int = 15,
        unknown_below: float = 0.5,
        key_added: str | None = None,
        **settings: Any,
    ) -> pd.DataFrame:
        """Label query cells by their nearest reference cells.

        Parameters
        ----------
        query
            Cells to label; projected first unless this model's projection of them is there.
        labels
            Labels of the reference cells: in their order, or a Series named by cell. Missing labels do not vote.
        k
            Reference cells that vote.
        unknown_below
            Confidence in [0, 1] below which a cell is ``"unknown"``.
        key_added
            Stem of the columns written, ``obs["<stem>_label"]`` and ``obs["<stem>_confidence"]``; None = as in the
            fit. A projection under this key is used before that under the key of the fit, which a new one gets (unless
            another model's lies there).
        **settings
            Passed to :meth:`project`.

        Returns
        -------
        pandas.DataFrame
            ``label`` and ``confidence`` of each query cell.

        Raises
        ------
        InputError
            If the labels do not fit the reference cells.
        """
        return self._vote(query, labels, (self.cells, self.latent), k, unknown_below, key_added, settings)

    def _vote(
        self, query: AnnData, labels: pd.Series | Sequence, voters: tuple[pd.Index, np.ndarray], k: int,
        unknown_below: float, key_added: str | None, settings: dict[str, Any],
    ) -> pd.DataFrame:  # fmt: skip
        """Label query cells by the nearest of some reference cells, given by their names and embedding."""
        check_number(k, "k", 1, whole=True)
        check_number(unknown_below, "unknown_below", 0.0, 1.0)
        key = key_added or self.settings["key_added"]
        cells, latent = voters
        known = align_labels(labels, cells)
        has = known.notna().to_numpy()
        z, _ = self._embedding_of(query, key_added, settings)
        label, confidence = nearest_labels(latent[has], known[has].to_numpy(), z, k, unknown_below)
        query.obs[f"{key}_label"] = pd.Categorical(label)
        query.obs[f"{key}_confidence"] = confidence
        return pd.DataFrame({"label": label, "confidence": confidence}, index=query.obs_names)

    def _embedding_of(self, query: AnnData, key_added: str | None, settings: dict[str, Any]) -> tuple[np.ndarray, str]:
        """Give the model's embedding of ``query``, and its key: the one that is there for all cells, or a projection.

        It is looked for under the key given, which may name only what is made of it, then under that of the fit. This
        is where a projection is written, too, unless the key is given and another's embedding lies there.
        """
        usual = self.settings["key_added"]
        given = key_added or usual
        for key in dict.fromkeys((given, usual)):  # one look where they are the same
            z = self._embedding_there(query, key, settings)
            if z is not None:
                return z, key
        key = usual if self._wrote(query, usual) or f"X_{usual}" not in query.obsm else given
        return self.project(query, key_added=key, **settings), key

    def _wrote(self, query: AnnData, key: str) -> bool:
        """Whether what lies under ``key`` is said to be of this model."""
        record = query.uns.get(key)
        return f"X_{key}" in query.obsm and isinstance(record, dict) and record.get("id") == self.manifest.id

    def _embedding_there(self, query: AnnData, key: str, settings: dict[str, Any]) -> np.ndarray | None:
        """Give the embedding that this model wrote under ``key`` with these settings; None = there is none."""
        if self._wrote(query, key):
            record, there = query.uns[key], query.obsm[f"X_{key}"]
            usual = {name: self.settings.get(name) for name in ("layer", "values")}
            asked = {k: v for k, v in settings.items() if v is not None and (k not in usual or v != usual[k])}
            z = np.asarray(there, dtype=np.float32)
            if asked == self._usual_settings(record) and np.isfinite(z).all():  # NaN: cells that were joined later
                return z
        return None

    def _usual_settings(self, record: dict[str, Any]) -> dict[str, Any]:
        """Settings of :meth:`project` that give what this record says was made."""
        return {}

    def write_embedding(self, adata: AnnData, z: np.ndarray, key: str, **facts: Any) -> None:
        """Put an embedding, and which model made it how, into ``adata``."""
        adata.obsm[f"X_{key}"] = z
        adata.uns[key] = {**self.record(), **facts}

    def record(self) -> dict[str, Any]:
        """What ``uns["<key>"]`` holds: enough to know which model made an embedding, and how."""
        history = {name: column.to_numpy() for name, column in self.history.items()}
        plain = {name: value for name, value in self.settings.items() if value is not None}
        return {
            "id": self.manifest.id, "system": self.system, "settings": plain,
            "versions": {"isthmus": self.manifest.isthmus, **self.manifest.environment}, "history": history,
        }  # fmt: skip

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder (safetensors and JSON); see :func:`isthmus.load`."""
        names, arrays = self._state()
        names = {**names, "cells": list(self.cells), "history": list(self.history.columns)}
        arrays = {**arrays, "latent": self.latent, "history": self.history.to_numpy(dtype=np.float64)}
        _store.write(folder, self.manifest, names, arrays)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.cells)} cells, {self.latent.shape[1]} latent dimensions)"


def load(folder: str | Path) -> FittedModel:
    """Read a model that ``save`` wrote.

    Parameters
    ----------
    folder
        The model's folder.

    Raises
    ------
    ModelFileError
        If it is no model, incomplete, altered, or of a newer version.
    """
    manifest, names, arrays = _store.read(folder)
    if manifest.system not in SYSTEMS:
        known = shorten(sorted(SYSTEMS))
        raise ModelFileError(f"a model of one of the systems {known}", f"'{manifest.system}'", "update isthmus")
    try:
        model = SYSTEMS[manifest.system]._from_state(manifest, names, arrays)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # whole files that do not belong together
        what = str(error).splitlines()[0].rstrip(".:")
        raise ModelFileError(
            f"a manifest that fits the arrays of '{folder}'", f"one that does not: {what}", "save the model again"
        ) from error
    model.cells, model.latent = pd.Index(names["cells"]), arrays["latent"]
    history = pd.DataFrame(arrays["history"], columns=names["history"])
    model.history = history.astype({name: int for name in ("epoch", "step", "phase") if name in history})
    return model


def new_manifest(system: str, settings: dict[str, Any], facts: dict[str, Any], latent: np.ndarray) -> Manifest:
    """The manifest of a fit that just ended; the same fit has the same id."""
    digest = hashlib.sha256(np.ascontiguousarray(latent).tobytes()).hexdigest()[:32]
    return Manifest(
        system=system, id=digest, settings=settings, facts=facts,
        environment={"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    )  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"

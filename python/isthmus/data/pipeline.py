"""From a study to the model's input: fitted once on the reference, re-applied to every query."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data import transforms
from isthmus.data.align import Alignment, Coverage, warn_of_blank
from isthmus.data.door import check_choice
from isthmus.data.study import VALUES, Study
from isthmus.data.transforms import DepthNormalise, MaxAbs, cells_per_feature, log1p, row_blocks
from isthmus.data.variability import variable_features

PROFILES = ("rna", "atac")
SCALINGS = ("batch", "global", "double-log")
TECHNICAL = r"^(?:ERCC-|MT-|mt-)"  # spike-ins and mitochondrial genes measure quality, not type
LEAST_CELLS = 3  # a feature seen in fewer cells is noise


@dataclass(frozen=True)
class Prepared:
    """Input of a model.

    Attributes
    ----------
    x
        (cells, model features) float32 CSR in [0, 1].
    found
        (model features,) bool, features that were measured; the others are unknown, not zero.
    fill
        (model features,) float32: the reference mean of each feature that was not measured, else 0.
    coverage
        How much of the model's features was found.
    counts
        (cells, model features) CSR of raw counts with the entries of ``x``; None where the study has none.
    """

    x: sp.csr_matrix
    found: np.ndarray
    fill: np.ndarray
    coverage: Coverage
    counts: sp.csr_matrix | None = None


@dataclass(frozen=True)
class Pipeline:
    """Depth normalisation, log1p, feature selection and max-abs scaling with all that they learned.

    Attributes
    ----------
    profile
        ``"rna"`` (variable genes) or ``"atac"`` (accessible peaks).
    universe
        All features of the reference; the depth of a cell is measured over them.
    features
        The features that the model sees, in order.
    depth, scale
        The fitted transforms.
    mean
        (model features,) float32 mean of the scaled values in the reference.
    scaling
        ``"batch"``: a feature's largest value in each batch is 1. ``"global"``: over all cells. ``"double-log"``: a
        second logarithm, log2(1 + x), then one largest value for all features (as scDREAMER's authors do).
    """

    profile: str
    universe: pd.Index
    features: pd.Index
    depth: DepthNormalise
    scale: MaxAbs
    mean: np.ndarray
    scaling: str = "global"

    @classmethod
    def fit(
        cls,
        study: Study,
        *,
        profile: str = "rna",
        n_features: int = 2000,
        features: list[str] | None = None,
        scaling: str = "global",
    ) -> tuple[Pipeline, Prepared]:
        """Learn the transforms from a study and apply them to it.

        Parameters
        ----------
        study
            The reference.
        profile
            Preset: RNA or ATAC.
        n_features
            How many features to choose.
        features
            Names of the features to use instead of choosing.
        scaling
            How the values are brought to [0, 1], see the class.
        """
        depth = DepthNormalise.fit(study.x, study.values)
        everything = np.ones(study.n_features, dtype=bool)
        logged = log_normalise(study.x, study, depth, everything)
        chosen = _choose(logged, study, profile, n_features, features)
        selected = _stretch(logged[:, chosen], scaling)
        scale = MaxAbs.fit(selected, study.batch, len(study.batches), scaling)
        x = scale.apply(selected, study.batch)
        mean = np.asarray(x.mean(axis=0), dtype=np.float32).ravel()
        names = study.features[chosen]
        pipeline = cls(profile, study.features, names, depth, scale, mean, scaling)
        found = np.ones(len(names), dtype=bool)
        complete = Coverage(len(names), len(names), 1.0, 1.0, ())
        counts = study.x[:, chosen].astype(np.float32) if study.values == "counts" else None
        return pipeline, Prepared(x, found, np.zeros(len(names), np.float32), complete, counts)

    def apply(self, query: Study, batch: np.ndarray | None = None, min_coverage: float = 0.0) -> Prepared:
        """Bring a query to the scale of the reference.

        Parameters
        ----------
        query
            Cells with counts or log-normalised values; features in any order, missing and additional ones allowed.
        batch
            (cells,) codes of the *reference's* batches, -1 for cells of new ones, which bring their own scale where
            the scale is per batch; None = all are new.
        min_coverage
            Least share of the model's features to accept.

        Raises
        ------
        InputError
            If the query covers too little, or its values are neither counts nor logarithms.
        """
        check_choice(query.values, VALUES, "values")
        alignment = Alignment.of(query.features, self.features)
        coverage = Coverage.of(alignment, self.features, self.mean)
        coverage.demand(min_coverage)
        in_universe = Alignment.of(query.features, self.universe)
        logged = sp.vstack(
            [
                log_normalise(alignment.take(block), query, self.depth, in_universe.found, in_universe.position, block)
                for block in row_blocks(query.x)
            ],
            format="csr",
        )
        warn_of_blank(logged)
        logged = _stretch(logged, self.scaling)
        scale, code = self._scales(logged, query, np.full(query.n_cells, -1) if batch is None else batch)
        x = scale.apply(logged, code)
        return Prepared(x, alignment.found, np.where(alignment.found, 0.0, self.mean).astype(np.float32), coverage)

    def _scales(self, logged: sp.csr_matrix, query: Study, batch: np.ndarray) -> tuple[MaxAbs, np.ndarray]:
        """The reference's scales, and below them those of new batches where they have their own; (cells,) rows."""
        if self.scaling != "batch" or (batch >= 0).all():
            return self.scale, batch
        own = MaxAbs.fit(logged, query.batch, len(query.batches), "batch", self.scale.overall)
        largest = np.concatenate([self.scale.largest, own.largest])
        return replace(self.scale, largest=largest), np.where(batch < 0, len(self.scale.largest) + query.batch, batch)

    def largest(self, batches: list[int]) -> np.ndarray:
        """(batches, model features) float32: the log-normalised value that is scaled to 1 in each of these batches."""
        return self.scale.largest[batches if self.scaling == "batch" else [0] * len(batches)]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What a model folder stores: plain values, and arrays."""
        plain = {
            "profile": self.profile,
            "target": self.depth.target,
            "scaling": self.scaling,
            "universe": list(self.universe),
            "features": list(self.features),
        }
        return plain, {
            "depth.share": self.depth.share,
            "scale.largest": self.scale.largest,
            "pipeline.mean": self.mean,
        }

    @classmethod
    def from_state(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Pipeline:
        """The pipeline that :meth:`state` described."""
        depth = DepthNormalise(plain["target"], arrays["depth.share"])
        scale = MaxAbs(arrays["scale.largest"], plain["scaling"] == "batch")
        return cls(
            plain["profile"],
            pd.Index(plain["universe"]),
            pd.Index(plain["features"]),
            depth,
            scale,
            arrays["pipeline.mean"],
            plain["scaling"],
        )


def _stretch(logged: sp.csr_matrix, scaling: str) -> sp.csr_matrix:
    """The second logarithm, where the scaling has one."""
    if scaling != "double-log":
        return logged
    return sp.csr_matrix((np.log2(1.0 + logged.data), logged.indices, logged.indptr), shape=logged.shape, copy=False)


def log_normalise(
    x: sp.csr_matrix,
    study: Study,
    depth: DepthNormalise,
    found: np.ndarray,
    position: np.ndarray | None = None,
    whole: sp.csr_matrix | None = None,
) -> sp.csr_matrix:
    """Log-normalised values of ``x``; the depth of each cell comes from the universe's columns of ``whole``."""
    if study.values == "lognorm":
        return x.astype(np.float32)
    whole = x if whole is None else whole
    counted = np.ones(whole.shape[1]) if position is None else np.zeros(whole.shape[1])
    if position is not None:
        counted[position[found]] = 1.0
    data, start = np.empty(x.nnz, dtype=np.float32), 0
    for block, rows in zip(row_blocks(x), row_blocks(whole), strict=True):
        data[start : start + block.nnz] = log1p(depth.apply(block, found, rows @ counted)).data
        start += block.nnz
    return sp.csr_matrix((data, x.indices, x.indptr), shape=x.shape, copy=False)


def _choose(
    logged: sp.csr_matrix, study: Study, profile: str, n_features: int, features: list[str] | None
) -> np.ndarray:
    """Positions of the features that the model will see."""
    if features is not None:
        return transforms.named_features(study.features, features, logged)
    candidates = cells_per_feature(logged) >= min(LEAST_CELLS, study.n_cells)
    if profile == "atac":
        chosen = transforms.accessible_features(logged, candidates, n_features)
    else:
        candidates &= ~study.features.str.match(TECHNICAL)
        chosen = variable_features(logged, study, candidates, n_features)
    if len(chosen) == 0:
        raise InputError(
            f"features with counts in at least {LEAST_CELLS} cells",
            "none",
            "check the matrix, or name the features to use",
        )
    return chosen

"""One modality of a fitted GLUE model: how its cells become what the encoder sees and what the decoder explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data import Alignment, Categories, Coverage, Study
from isthmus.data.align import warn_of_blank
from isthmus.data.categories import shorten
from isthmus.data.pipeline import TECHNICAL, log_normalise
from isthmus.data.reductions import Lsi, Pca, reduction_from_state
from isthmus.data.transforms import DepthNormalise
from isthmus.data.variability import variable_features
from isthmus.genomics import GuidanceGraph
from isthmus.genomics.intervals import Intervals

REDUCTIONS = ("pca", "lsi")


@dataclass(frozen=True)
class Side:
    """One modality.

    Attributes
    ----------
    name
        Of the modality.
    likelihood
        Of its values.
    values
        What its values are, see :func:`isthmus.data.from_anndata`.
    universe
        All features of the reference.
    inputs
        The features that the reduction sees.
    features
        The features that the decoder explains: nodes of the graph.
    depth
        Depth normalisation before PCA; None where there is none.
    reduction
        From the inputs to the encoder's input.
    batches
        Of the reference.
    mean
        (inputs,) float32 mean in the reference: what is missing where a query lacks them.
    """

    name: str
    likelihood: str
    values: str
    universe: pd.Index
    inputs: pd.Index
    features: pd.Index
    depth: DepthNormalise | None
    reduction: Pca | Lsi
    batches: Categories
    mean: np.ndarray

    @classmethod
    def fit(
        cls, name: str, study: Study, *, likelihood: str, reduction: str, inputs: np.ndarray, n_components: int,
        seed: int,
    ) -> tuple[Side, np.ndarray]:  # fmt: skip
        """Learn the transforms; the side, which has no features yet, and its (cells, components) representation."""
        depth = None
        if reduction == "pca" and study.values == "counts":
            per_cell = np.asarray(study.x.sum(axis=1)).ravel()
            depth = DepthNormalise.fit(study.x, study.values, float(np.median(per_cell)))
        x = _reduced_values(study, depth, np.flatnonzero(inputs))
        fitted = (Lsi if reduction == "lsi" else Pca).fit(x, n_components, seed=seed)
        mean = np.asarray(x.mean(axis=0), dtype=np.float32).ravel()
        side = cls(
            name, likelihood, study.values, study.features, study.features[inputs], study.features[:0], depth, fitted,
            study.batches, mean,
        )  # fmt: skip
        return side, fitted.apply(x)

    def with_features(self, features: Sequence[str]) -> Side:
        """The side whose decoder explains these features."""
        return replace(self, features=pd.Index(features, dtype=object))

    def represent(self, study: Study, min_coverage: float = 0.0) -> tuple[np.ndarray, Coverage]:
        """What the encoder sees of cells with features in any order, and how many of the inputs they have.

        Raises
        ------
        InputError
            If the study covers too little.
        """
        alignment = Alignment.of(study.features, self.inputs)
        coverage = Coverage.of(alignment, self.inputs, np.abs(self.mean))
        coverage.demand(min_coverage)
        x = alignment.take(study.x)
        if study.values != "values":  # where 0 is a value like others
            warn_of_blank(x)
        if self.depth is not None:
            everything = Alignment.of(study.features, self.universe)
            x = log_normalise(x, study, self.depth, everything.found, everything.position, study.x)
        return self.reduction.apply(x.astype(np.float32), alignment.found), coverage

    def targets(self, study: Study) -> sp.csr_matrix:
        """(cells, features) float32 CSR, what the decoder explains.

        Raises
        ------
        InputError
            If the study lacks any of the features.
        """
        alignment = Alignment.of(study.features, self.features)
        if not alignment.found.all():
            absent = self.features[~alignment.found]
            raise InputError(
                f"the {len(self.features)} features of '{self.name}' that the model explains",
                f"{len(absent)} of them missing, such as {shorten(absent, 3)}",
                "give the cells that the model was fitted to, with all features",
            )
        x = alignment.take(study.x).astype(np.float32)
        if self.likelihood == "bernoulli":
            x.data = (x.data > 0).astype(np.float32)
        return x

    def state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray], dict[str, Any]]:
        """Names, arrays and plain facts to store."""
        plain, arrays = self.reduction.state()
        names = {"universe": self.universe, "inputs": self.inputs, "features": self.features}
        facts = {"likelihood": self.likelihood, "values": self.values, "reduction": plain}
        arrays = {**{f"reduction.{key}": array for key, array in arrays.items()}, "mean": self.mean}
        if self.depth is not None:
            facts["target"], arrays["share"] = self.depth.target, self.depth.share
        return {**{k: list(v) for k, v in names.items()}, "batches": list(self.batches.names)}, arrays, facts

    @classmethod
    def from_state(
        cls, name: str, names: dict[str, list[str]], arrays: dict[str, np.ndarray], facts: dict[str, Any]
    ) -> Side:
        """The side that :meth:`state` described."""
        parts = {key.removeprefix("reduction."): a for key, a in arrays.items() if key.startswith("reduction.")}
        depth = DepthNormalise(facts["target"], arrays["share"]) if "share" in arrays else None
        universe, inputs, features = (pd.Index(names[key], dtype=object) for key in ("universe", "inputs", "features"))
        return cls(
            name, facts["likelihood"], facts["values"], universe, inputs, features, depth,
            reduction_from_state(facts["reduction"], parts), Categories(tuple(names["batches"])), arrays["mean"],
        )  # fmt: skip


def _reduced_values(study: Study, depth: DepthNormalise | None, columns: np.ndarray) -> sp.csr_matrix:
    """(cells, inputs) values that the reduction is of."""
    if depth is None:
        return study.x[:, columns].astype(np.float32)
    everything = np.ones(study.n_features, dtype=bool)
    return log_normalise(study.x[:, columns], study, depth, everything, whole=study.x)


def variable_inputs(study: Study, n_features: int, among: np.ndarray) -> np.ndarray:
    """(features,) bool, the variable ones of those ``among``; all of these where the values are no counts."""
    if study.values == "values":
        return among
    chosen = np.zeros(study.n_features, dtype=bool)
    chosen[variable_values(study, n_features, among & (study.x.getnnz(axis=0) > 0))[1]] = True
    return chosen


def variable_values(study: Study, n_features: int, among: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """(cells, features) log-normalised values, and the positions of the variable features of those ``among``."""
    everything = np.ones(study.n_features, dtype=bool)
    logged = log_normalise(study.x, study, DepthNormalise.fit(study.x, study.values), everything)
    return logged, variable_features(logged, study, among & ~study.features.str.match(TECHNICAL), n_features)


def usual_reduction(study: Study) -> str:
    """LSI where names are positions, such as chr1:100-200, and 0 is the least value; else PCA."""
    try:
        Intervals.from_names(study.features[:100])
    except InputError:
        return "pca"
    return "pca" if study.values == "values" else "lsi"


def trained_graph(graph: GuidanceGraph, wanted: dict[str, pd.Index], first: str) -> GuidanceGraph:
    """The part of the graph that is trained: chosen features of the first modality, and what they lead to.

    Parameters
    ----------
    graph
        Forward edges.
    wanted
        Features of each modality that may take part: the chosen ones of the first, all of the others.
    first
        The modality that edges start from.

    Raises
    ------
    InputError
        If no edge leads from the chosen features to a modality.
    """
    start = wanted[first][wanted[first].isin(graph.features)]
    reached = graph.neighbors_of(start)
    nodes = [start, *(x[x.isin(reached)] for name, x in wanted.items() if name != first)]
    for name, part in zip([first, *(k for k in wanted if k != first)], nodes, strict=True):
        if not len(part):
            raise InputError(
                f"edges from the chosen features of '{first}' to features of '{name}'",
                "none",
                f"put the modality that the edges start from first, choose more features of '{first}' (n_features), "
                "or widen the windows of the graph (extend=150000)",
            )
    return graph.subset(nodes[0].append(nodes[1:]))

"""What GLUE needs of several modalities and their graph together; each alone was checked before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from torch import nn

from isthmus._errors import InputError
from isthmus.data import Study
from isthmus.data.categories import shorten
from isthmus.data.door import check_number
from isthmus.genomics import GuidanceGraph

LEAST_CELLS = 16  # of each modality
OF_COUNTS = ("nb", "zinb")  # likelihoods
NOT_BELOW_ZERO = ("nb", "zinb", "ziln", "bernoulli")


def check_modalities(studies: Mapping[str, Study], graph: GuidanceGraph, settings: Any) -> None:
    """Refuse what would fail, or mean nothing, after the work.

    Raises
    ------
    InputError
        If there is no graph of forward edges, a modality has a name that no network can have, too few cells, no
        features in the graph, features that another one has too, or values that its likelihood or reduction cannot be
        of, or weights are wrong.
    """
    _check_graph(graph)
    for name, study in studies.items():
        if "." in name or hasattr(nn.ModuleDict, name):
            raise InputError(
                "names of modalities without dots that are no words of torch's own",
                f"'{name}'",
                "rename it, such as 'rna'",
            )
        if study.n_cells < LEAST_CELLS:
            raise InputError(
                f"at least {LEAST_CELLS} cells of each modality", f"{study.n_cells} of '{name}'", "give more cells"
            )
        if not study.features.isin(graph.features).any():
            raise InputError(
                f"features of '{name}' in the graph, such as {shorten(study.features, 3)}",
                f"none of {study.n_features}; the graph has {shorten(graph.features, 3)}",
                "build the graph from these data, with the same names of features",
            )
        _check_values(name, study, settings)
    for (one, first), (other, second) in combinations(studies.items(), 2):
        both = first.features[first.features.isin(second.features)]
        if len(both):
            raise InputError(
                "features of different names in different modalities",
                f"{len(both)} of the same name in '{one}' and '{other}', such as '{both[0]}'",
                "add the modality to the names of one of them, in the data and in the graph",
            )
    _check_weights(settings.data_weights, list(studies))


def _check_graph(graph: Any) -> None:
    if not isinstance(graph, GuidanceGraph):
        raise InputError(
            "a guidance graph",
            f"a {type(graph).__name__}",
            "make one with im.genomics.guidance_graph() or GuidanceGraph.from_frame()",
        )
    if graph.closed:
        raise InputError(
            "a graph of forward edges",
            "one that has reverse edges and loops",
            "give the graph as it was before with_reverse_and_loops(); the fit adds them",
        )


def _check_values(name: str, study: Study, settings: Any) -> None:
    """Values that the likelihood and the reduction can be of."""
    likelihood, lsi = settings.likelihoods.get(name), settings.representations.get(name) == "lsi"
    if likelihood in OF_COUNTS and study.values != "counts":
        raise InputError(
            f"counts in '{name}', for the likelihood '{likelihood}'",
            f"values='{study.values}'",
            "give the layer with counts, or likelihoods='normal'",
        )
    least = study.x.data.min(initial=0.0)
    if (likelihood in NOT_BELOW_ZERO or lsi) and least < 0:
        needs = "the representation 'lsi'" if lsi else f"the likelihood '{likelihood}'"
        raise InputError(
            f"no value below 0 in '{name}', for {needs}", f"{least:g}", "choose 'normal' and 'pca' for such values"
        )


def _check_weights(weights: Mapping[str, float] | None, names: list[str]) -> None:
    unknown = [str(name) for name in weights or {} if name not in names]
    if unknown:
        raise InputError(f"data_weights of {shorten(names)}", f"of {shorten(unknown)}", "use the modalities' names")
    for name, weight in (weights or {}).items():
        check_number(weight, f"data_weights of '{name}'", 1e-6)


def with_same_batches(studies: Mapping[str, Study]) -> dict[str, Study]:
    """The studies with the codes of batches of the first, for batches that are the same ones in all.

    Raises
    ------
    InputError
        If they are not.
    """
    first, known = next((name, study.batches) for name, study in studies.items())
    out = {}
    for name, study in studies.items():
        if set(study.batches.names) != set(known.names):
            raise InputError(
                f"the batches of '{first}' in '{name}', as shared_batches=True says: {shorten(known.names)}",
                f"{shorten(study.batches.names)}",
                "name the batches alike, or give shared_batches=False",
            )
        code = known.encode(np.array(study.batches.names, dtype=object))
        out[name] = replace(study, batches=known, batch=code[study.batch])
    return out

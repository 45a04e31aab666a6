"""A graph as plain names and arrays, in which a saved model keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import ModelFileError
from isthmus.genomics._places import Places

PREFIX = "graph."
_EDGES = ("source", "target", "sign", "weight")
_PLACES = ("chrom", "start", "end", "strand")


def to_state(graph: Any) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """Names and arrays of a :class:`~isthmus.genomics.GuidanceGraph`."""
    modality, modalities = pd.factorize(graph.modality)
    names = {"features": [str(name) for name in graph.features], "modalities": [str(name) for name in modalities]}
    arrays = {"modality": modality.astype(np.int32), "closed": np.array([graph.closed], dtype=np.uint8)}
    arrays |= {part: getattr(graph, part) for part in _EDGES}
    if graph.positions is not None:
        places = Places.of(graph.positions, graph.n_features)
        names["chroms"] = [str(name) for name in places.names]
        arrays |= {part: getattr(places, part) for part in _PLACES}
    return {PREFIX + name: x for name, x in names.items()}, {PREFIX + name: x for name, x in arrays.items()}


def from_state(names: Mapping[str, Sequence[str]], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arguments of the graph that :func:`to_state` took apart."""
    missing = [name for name in ("modality", "closed", *_EDGES) if PREFIX + name not in arrays]
    if missing or PREFIX + "features" not in names:
        raise ModelFileError(
            "names and arrays of a guidance graph",
            f"none called '{PREFIX}{missing[0] if missing else 'features'}'",
            "give what state() returned, or save the model again",
        )
    features = pd.Index(names[PREFIX + "features"], dtype=object)
    out = {part: np.asarray(arrays[PREFIX + part]) for part in _EDGES}
    modality = np.array(names[PREFIX + "modalities"], dtype=object)[np.asarray(arrays[PREFIX + "modality"])]
    positions = None
    if PREFIX + "chrom" in arrays:
        chroms = pd.Index(names[PREFIX + "chroms"], dtype=object)
        positions = Places(chroms, *(np.asarray(arrays[PREFIX + part]) for part in _PLACES)).to_frame(features)
    closed = bool(np.asarray(arrays[PREFIX + "closed"])[0])
    return {"features": features, "modality": modality, **out, "closed": closed, "positions": positions}

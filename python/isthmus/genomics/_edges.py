"""Tables of edges: what they must satisfy, where they come from, where they lead."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_unique
from isthmus.genomics._arrays import is_in

Parts = tuple[pd.Index, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def check_edges(
    features: pd.Index,
    modality: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    sign: np.ndarray,
    weight: np.ndarray,
    closed: bool,
) -> None:
    """Refuse a graph that is no guidance graph."""
    lengths = {len(source), len(target), len(sign), len(weight)}
    if len(lengths) > 1 or len(modality) != len(features):
        raise InputError(
            "source, target, sign and weight of one length, and a modality for every feature",
            f"lengths {sorted(lengths)}, and {len(modality)} modalities for {len(features)} features",
            "give one value each",
        )
    if 0 in lengths:
        raise InputError(
            "at least one edge",
            f"none between {len(features)} features",
            "widen the windows around the genes (extend=150000), or check that features and positions belong together",
        )
    ends = np.concatenate([source, target])
    if ends.min() < 0 or ends.max() >= len(features):
        raise InputError(
            f"edges between the {len(features)} features (0 to {len(features) - 1})",
            f"an edge at feature {ends.min() if ends.min() < 0 else ends.max()}",
            "give positions of features",
        )
    loop = source == target
    if not closed and loop.any():
        raise InputError(
            "edges between different features",
            f"{int(loop.sum())} from a feature to itself, such as '{features[source[loop.argmax()]]}'",
            "leave them out; with_reverse_and_loops() adds loops",
        )
    _check_values(features, source, target, sign, np.abs(sign) == 1, "signs of 1 or -1", "write the strength as weight")
    within = (weight > 0) & (weight <= 1)  # false for NaN too
    _check_values(
        features, source, target, weight, within, "weights above 0 and at most 1", "divide by the largest weight"
    )


def _check_values(
    features: pd.Index,
    source: np.ndarray,
    target: np.ndarray,
    values: np.ndarray,
    fine: np.ndarray,
    expected: str,
    remedy: str,
) -> None:
    if not fine.all():
        edge = int(np.argmin(fine))
        raise InputError(
            expected,
            f"{int((~fine).sum())} of {len(values)} others, such as {values[edge]:g} between "
            f"'{features[source[edge]]}' and '{features[target[edge]]}'",
            f"{remedy}, and leave edges without any out",
        )


def check_one_way(features: pd.Index, source: np.ndarray, target: np.ndarray) -> None:
    """Refuse a pair that stands in both directions: reverse edges would be counted twice."""
    n = len(features)
    both = is_in(source * n + target, np.sort(target * n + source))
    if both.any():
        edge = int(both.argmax())
        raise InputError(
            "every pair of features in one direction, the gene as source",
            f"{int(both.sum())} edges that stand in both, such as '{features[source[edge]]}' and "
            f"'{features[target[edge]]}'",
            "keep one of the two; with_reverse_and_loops() adds the others",
        )


def warn_parallel(features: pd.Index, source: np.ndarray, target: np.ndarray, sign: np.ndarray) -> None:
    """Say how many edges repeat another one."""
    repeated = pd.DataFrame({"source": source, "target": target, "sign": sign}).duplicated().to_numpy()
    if repeated.any():
        edge = int(repeated.argmax())
        warnings.warn(
            f"{int(repeated.sum())} of {len(source)} edges repeat another one, such as '{features[source[edge]]}' to "
            f"'{features[target[edge]]}'; each counts, as a parallel edge.",
            stacklevel=3,
        )


def edges_from_frame(table: pd.DataFrame, features: Mapping[str, Sequence[str]] | None) -> Parts:
    """The parts of a graph from a table of names."""
    missing = [name for name in ("source", "target") if name not in table]
    if missing:
        raise InputError(
            "columns 'source' and 'target' with names of features",
            f"no {shorten(missing)} among {shorten([str(name) for name in table.columns]) or 'no columns'}",
            "rename the columns that hold the features",
        )
    ends = pd.Index(table["source"].astype(str)), pd.Index(table["target"].astype(str))
    names, modality = _nodes(features, ends)
    source, target = (_known_rows(names, end) for end in ends)
    sign, weight = (_numbers(table, part) for part in ("sign", "weight"))
    return names, modality, source, target, sign, weight


def _nodes(
    features: Mapping[str, Sequence[str]] | None, ends: tuple[pd.Index, pd.Index]
) -> tuple[pd.Index, np.ndarray]:
    if not features:
        names = pd.Index(pd.unique(np.concatenate([end.to_numpy(dtype=object) for end in ends])), dtype=object)
        return names, np.full(len(names), "", dtype=object)
    groups = [pd.Index(group, dtype=object) for group in features.values()]
    names = pd.Index(np.concatenate([group.to_numpy() for group in groups]), dtype=object)
    check_unique(names, "feature")
    return names, np.repeat(np.array(list(features), dtype=object), [len(group) for group in groups])


def _known_rows(features: pd.Index, names: pd.Index) -> np.ndarray:
    rows = features.get_indexer(names)
    if (rows < 0).any():
        unknown = pd.unique(names[rows < 0])
        raise InputError(
            f"edges between known features, such as {shorten(features, 3)}",
            f"{int((rows < 0).sum())} edges at {len(unknown)} unknown ones, such as {shorten(unknown, 3)}",
            "leave these edges out, or check that the names are of the same kind",
        )
    return rows


def _numbers(table: pd.DataFrame, part: str) -> np.ndarray:
    if part not in table:
        return np.ones(len(table))
    numbers = pd.to_numeric(table[part], errors="coerce").to_numpy(dtype=float)
    if np.isnan(numbers).any():
        row = int(np.isnan(numbers).argmax())
        raise InputError(f"a number in every row as {part}", f"{table[part].iloc[row]!r}", f"correct the column {part}")
    return numbers


def edges_from_networkx(graph: Any, features: Mapping[str, Sequence[str]] | None) -> Parts:
    """The parts of a graph from one of networkx, forward edges alone."""
    rows = [
        (str(source), str(target), data.get("sign", 1), data.get("weight", 1), data.get("type", ""))
        for source, target, data in graph.edges(data=True)
        if source != target and data.get("type") not in ("rev", "loop")
    ]
    if features is None:
        groups: dict[str, list[str]] = {}
        for name, data in graph.nodes(data=True):
            groups.setdefault(str(data.get("modality", "")), []).append(str(name))
        features = groups
        order = {str(name): place for place, name in enumerate(graph.nodes)}
    else:
        order = {name: place for place, name in enumerate(name for group in features.values() for name in group)}
    table = pd.DataFrame(rows, columns=["source", "target", "sign", "weight", "type"])
    last = len(order)
    place = [
        table[end].map(lambda name: order.get(name, last)).to_numpy(dtype=np.int64) for end in ("source", "target")
    ]
    backward = place[0] > place[1]
    if not graph.is_directed():  # the order of the two ends means nothing there
        table.loc[backward, ["source", "target"]] = table.loc[backward, ["target", "source"]].to_numpy()
        return edges_from_frame(table, features)
    pairs = set(zip(table["source"], table["target"], strict=True))
    paired = np.array([(t, s) in pairs for s, t in zip(table["source"], table["target"], strict=True)], dtype=bool)
    return edges_from_frame(table[~(backward & paired)], features)


def reached(start: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(nodes,) bool, the nodes that edges lead to from those in ``start``, which are counted in."""
    seen = start.copy()
    while True:
        fresh = target[seen[source] & ~seen[target]]
        if not fresh.size:
            return seen
        seen[fresh] = True

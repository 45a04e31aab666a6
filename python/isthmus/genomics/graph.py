"""The guidance graph: which features of different modalities are thought to act together, as a table of edges.

Cao and Gao 2022, doi:10.1038/s41587-022-01284-4: nodes are features, an edge carries a sign (+1 where both rise
together, -1 where one falls) and a weight in (0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_unique
from isthmus.genomics import _places, _state
from isthmus.genomics._arrays import read_only
from isthmus.genomics._corrupt import replace_edges
from isthmus.genomics._edges import (
    check_edges,
    check_one_way,
    edges_from_frame,
    edges_from_networkx,
    reached,
    warn_parallel,
)
from isthmus.genomics.decoys import decoy_edges


@dataclass(frozen=True, eq=False)
class GuidanceGraph:
    """Features and the signed, weighted edges between them.

    Only forward edges are stored (from a gene to the feature that may regulate it);
    :meth:`with_reverse_and_loops` gives the graph that a model is trained on. Parallel edges are allowed.

    Attributes
    ----------
    features
        (nodes,) unique names.
    modality
        (nodes,) name of the modality of each feature; empty where it is not known.
    source, target
        (edges,) int64, positions in ``features``; read-only, as are the others.
    sign
        (edges,) int8, 1 or -1.
    weight
        (edges,) float32 in (0, 1].
    closed
        Whether reverse edges and self loops are in the table.
    positions
        Where the features lie, if that is known: a table indexed as ``features`` with chrom, start, end (0-based and
        half-open; missing where not known) and strand (``+``, ``-``, or ``.`` where not known).

    Raises
    ------
    InputError
        If a name stands twice, there is no edge, an edge leads to no feature or (unless ``closed``) from a feature
        to itself, a sign is not 1 or -1, a weight is outside (0, 1], or positions are not those of the features.
    """

    features: pd.Index
    modality: np.ndarray
    source: np.ndarray
    target: np.ndarray
    sign: np.ndarray
    weight: np.ndarray
    closed: bool = False
    positions: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        set_part = object.__setattr__  # the record is frozen for everyone else
        set_part(self, "features", pd.Index(self.features, dtype=object))
        set_part(self, "modality", read_only(np.asarray(self.modality, dtype=object)))
        check_unique(self.features, "feature")
        for part, kind in (("source", np.int64), ("target", np.int64), ("sign", None), ("weight", np.float32)):
            set_part(self, part, read_only(np.asarray(getattr(self, part), dtype=kind)))
        check_edges(self.features, self.modality, self.source, self.target, self.sign, self.weight, self.closed)
        set_part(self, "sign", read_only(self.sign.astype(np.int8)))  # only now: 1.5 must not become 1
        if self.positions is not None:
            set_part(self, "positions", _places.checked(self.positions, self.features))

    def __repr__(self) -> str:
        kind = "edges with reverse edges and self loops" if self.closed else "forward edges"
        parts = ", ".join(f"{name or 'unknown'}: {len(names)}" for name, names in self.by_modality().items())
        return f"GuidanceGraph({self.n_features} features ({parts}), {self.n_edges} {kind})"

    @classmethod
    def from_frame(cls, table: pd.DataFrame, features: Mapping[str, Sequence[str]] | None = None) -> GuidanceGraph:
        """A user's own table of edges, such as promoter-capture Hi-C contacts or eQTLs.

        Parameters
        ----------
        table
            Columns ``source`` and ``target`` (names of features; a gene is the source, what may regulate it the
            target) and, if they are there, ``sign`` (else 1) and ``weight`` (else 1). A pair stands once, in one
            direction.
        features
            Names of the features of each modality, all of which become nodes. By default the nodes are the names in
            the table, of unknown modality.

        Warns
        -----
        UserWarning
            If an edge stands more than once: each of them counts, as a parallel edge.

        Raises
        ------
        InputError
            If a column is absent, a name is not among ``features``, a pair stands in both directions, and as
            :class:`GuidanceGraph`.
        """
        graph = cls(*edges_from_frame(table, features))
        check_one_way(graph.features, graph.source, graph.target)
        warn_parallel(graph.features, graph.source, graph.target, graph.sign)
        return graph

    @classmethod
    def from_networkx(cls, graph: Any, features: Mapping[str, Sequence[str]] | None = None) -> GuidanceGraph:
        """Take over the edges of a graph of networkx, such as one made by scglue.

        Parameters
        ----------
        graph
            Any graph of networkx. Edges may have the attributes ``sign`` and ``weight`` (else 1). Self loops are
            left out. So are edges with a ``type`` of ``"rev"`` and, where a pair stands in both directions, the
            edge to the earlier node (in the order of ``features``, else of the graph). An undirected edge leads
            from the earlier node to the later one.
        features
            As in :meth:`from_frame`; by default the nodes of the graph, by their attribute ``modality`` if any.

        Raises
        ------
        InputError
            As :meth:`from_frame`.
        """
        return cls(*edges_from_networkx(graph, features))

    @classmethod
    def from_state(cls, names: Mapping[str, Sequence[str]], arrays: Mapping[str, np.ndarray]) -> GuidanceGraph:
        """The graph that :meth:`state` took apart; other names and arrays may stand beside its own.

        Raises
        ------
        ModelFileError
            If a part is missing.
        """
        return cls(**_state.from_state(names, arrays))

    def state(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        """The graph as plain names and arrays, all of whose keys start with ``graph.``, to be kept in a file."""
        return _state.to_state(self)

    @property
    def n_features(self) -> int:
        """Number of nodes."""
        return len(self.features)

    @property
    def n_edges(self) -> int:
        """Number of edges, parallel ones and (in a closed graph) loops included."""
        return len(self.source)

    @property
    def distance(self) -> np.ndarray:
        """(edges,) float64 base pairs from the transcription start of the source to the middle of the target.

        Negative upstream, as the strand of the source runs. NaN where a position or the strand is not known, or where
        the two lie on different chromosomes.

        Raises
        ------
        InputError
            If the graph is closed: the source of a reverse edge is no gene.
        """
        self._need_forward("ask it before with_reverse_and_loops()")
        return _places.Places.of(self.positions, self.n_features).distance(self.source, self.target)

    def by_modality(self) -> dict[str, pd.Index]:
        """Names of the features of each modality, in their order."""
        return {str(name): self.features[self.modality == name] for name in pd.unique(self.modality)}

    def with_reverse_and_loops(self) -> GuidanceGraph:
        """The graph to train on: forward edges, then reverse edges, then a loop (weight 1, sign 1) on each feature.

        Returns
        -------
        GuidanceGraph
            ``2 * n_edges + n_features`` edges, ``closed``; the graph itself if it is closed already.
        """
        if self.closed:
            return self
        loop = np.arange(self.n_features)
        ones = np.ones(self.n_features)
        return GuidanceGraph(
            self.features,
            self.modality,
            np.concatenate([self.source, self.target, loop]),
            np.concatenate([self.target, self.source, loop]),
            np.concatenate([self.sign, self.sign, ones]),
            np.concatenate([self.weight, self.weight, ones]),
            closed=True,
            positions=self.positions,
        )

    def with_decoys(self, seed: int | np.random.Generator = 0) -> tuple[GuidanceGraph, np.ndarray]:
        """The graph with a decoy for every edge, to tell how well edges score that mean nothing.

        A decoy starts at the same gene and has the same sign and weight, and its target is one of another edge of
        about the same distance, permuted so that no feature gains or loses edges. It leads to another chromosome, or
        more than 5 Mb away, and to no feature that the gene has an edge to. A model that is trained on this graph is
        pulled by edges and decoys alike, so that what edges score beyond decoys comes from the data
        (:func:`link_table`).

        Parameters
        ----------
        seed
            A number, or a generator of NumPy.

        Returns
        -------
        tuple
            The graph, and (its edges,) bool, which are decoys. First stand the edges that have a decoy, then those
            for which none was found, then the decoys, in the order of the edges they stand for.

        Warns
        -----
        UserWarning
            If more than 5 % of the edges have no decoy.

        Raises
        ------
        InputError
            If the graph is closed, or no edge has a decoy.
        """
        self._need_forward("call with_decoys() first, then with_reverse_and_loops()")
        rows, target = decoy_edges(self, np.random.default_rng(seed))
        order = np.concatenate([rows, np.setdiff1d(np.arange(self.n_edges), rows), rows])
        ends = self.target[order]
        ends[self.n_edges :] = target
        graph = replace(self, source=self.source[order], target=ends, sign=self.sign[order], weight=self.weight[order])
        return graph, np.arange(graph.n_edges) >= self.n_edges

    def subset(self, features: Sequence[str] | pd.Index) -> GuidanceGraph:
        """The graph among ``features``, which become its nodes in this order.

        Raises
        ------
        InputError
            If a name is unknown or stands twice, or no edge is left.
        """
        wanted = pd.Index(features, dtype=object)
        check_unique(wanted, "feature")
        rows = self._rows_of(wanted)
        position = np.full(self.n_features, -1)
        position[rows] = np.arange(len(rows))
        source, target = position[self.source], position[self.target]
        kept = (source >= 0) & (target >= 0)
        return GuidanceGraph(
            wanted,
            self.modality[rows],
            *(part[kept] for part in (source, target, self.sign, self.weight)),
            self.closed,
            None if self.positions is None else self.positions.iloc[rows],
        )

    def merge(self, *others: GuidanceGraph) -> GuidanceGraph:
        """Features and edges of several graphs together; the same edge in two of them becomes two parallel edges.

        Features keep the order of first appearance. A modality or position that one graph does not know is taken from
        another.

        Raises
        ------
        InputError
            If a graph is closed, or a feature is of two modalities.
        """
        graphs = (self, *others)
        if any(graph.closed for graph in graphs):
            raise InputError(
                "graphs of forward edges",
                "one that has reverse edges and loops",
                "merge first, then call with_reverse_and_loops()",
            )
        names = np.concatenate([graph.features.to_numpy() for graph in graphs])
        codes, features = pd.factorize(names)
        parts = np.split(codes, np.cumsum([graph.n_features for graph in graphs])[:-1])
        return GuidanceGraph(
            pd.Index(features, dtype=object),
            _united(codes, np.concatenate([graph.modality for graph in graphs]), features),
            *(
                np.concatenate([code[getattr(graph, end)] for code, graph in zip(parts, graphs, strict=True)])
                for end in ("source", "target")
            ),
            *(np.concatenate([getattr(graph, part) for graph in graphs]) for part in ("sign", "weight")),
            positions=_places.united([graph.positions for graph in graphs], parts, pd.Index(features, dtype=object)),
        )

    def neighbors_of(self, names: Sequence[str] | pd.Index) -> pd.Index:
        """Features that forward edges lead to from ``names``, over any number of steps; ``names`` are not among them.

        With highly variable genes as ``names``, these are the features of the other modalities to use with them.

        Raises
        ------
        InputError
            If a name is not a feature of the graph.
        """
        start = np.zeros(self.n_features, dtype=bool)
        start[self._rows_of(pd.Index(names, dtype=object))] = True
        return self.features[reached(start, self.source, self.target) & ~start]

    def corrupted(self, share: float, seed: int | np.random.Generator = 0) -> GuidanceGraph:
        """A graph in which a share of the edges leads elsewhere, to test how robust a model is.

        Edges drawn at random are removed. For each one, a pair that has no edge is drawn from the same two
        modalities and takes over its sign and weight.

        Parameters
        ----------
        share
            Share of the edges to replace, from 0 to 1.
        seed
            A number, or a generator of NumPy.

        Raises
        ------
        InputError
            If ``share`` is not in [0, 1], the graph is closed, or there are too few pairs without an edge.
        """
        self._need_forward("corrupt the graph first, then call with_reverse_and_loops()")
        source, target = replace_edges(self.modality, self.source, self.target, share, np.random.default_rng(seed))
        return replace(self, source=source, target=target)

    def to_frame(self) -> pd.DataFrame:
        """Columns ``source``, ``target`` (names), ``sign``, ``weight``; one edge a row.

        ``GuidanceGraph.from_frame(graph.to_frame(), graph.by_modality())`` is the same graph, up to the order of
        the features.
        """
        names = self.features.to_numpy()
        return pd.DataFrame(
            {"source": names[self.source], "target": names[self.target], "sign": self.sign, "weight": self.weight}
        )

    def to_networkx(self) -> Any:
        """A ``networkx.MultiDiGraph`` with the attributes ``modality`` of nodes, ``sign`` and ``weight`` of edges."""
        import networkx

        out = networkx.MultiDiGraph()
        out.add_nodes_from(
            (name, {"modality": modality}) for name, modality in zip(self.features, self.modality, strict=True)
        )
        table = self.to_frame()
        columns = (table[name].tolist() for name in ("source", "target", "sign", "weight"))
        out.add_edges_from((s, t, {"sign": sign, "weight": w}) for s, t, sign, w in zip(*columns, strict=True))
        return out

    def _need_forward(self, remedy: str) -> None:
        if self.closed:
            raise InputError("a graph of forward edges", "one that has reverse edges and loops", remedy)

    def _rows_of(self, names: pd.Index) -> np.ndarray:
        rows = self.features.get_indexer(names)
        if (rows < 0).any():
            raise InputError(
                f"features of the graph, such as {shorten(self.features, 3)}",
                f"{int((rows < 0).sum())} of {len(names)} names that it lacks, such as {shorten(names[rows < 0], 3)}",
                "leave these features out, or build the graph from them too",
            )
        return rows


def _united(codes: np.ndarray, modality: np.ndarray, features: np.ndarray) -> np.ndarray:
    """One modality for each feature, from those that the graphs name (empty: not known)."""
    known = modality != ""
    out = np.full(len(features), "", dtype=object)
    out[codes[known][::-1]] = modality[known][::-1]  # the first graph that knows has the last word
    clash = out[codes[known]] != modality[known]
    if clash.any():
        row = codes[known][clash.argmax()]
        raise InputError(
            "each feature in one modality",
            f"'{features[row]}' in '{out[row]}' and in '{modality[known][clash.argmax()]}'",
            "give the graphs the same names of modalities, or the features of different modalities different names",
        )
    return out

"""Regulatory links: how far genes and peaks agree in a model's space, and how sure that is.

Cao and Gao 2022, doi:10.1038/s41587-022-01284-4: the score of a link is the cosine of the embeddings of its two
features, averaged over models of different seeds.
"""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus.data.categories import shorten
from isthmus.data.door import check_choice, check_number
from isthmus.genomics._columns import as_text
from isthmus.genomics._links_null import (
    Links,
    NullBlock,
    Significance,
    against_null,
    mean_cosine,
    null_scores,
    unit_rows,
    weighted_fdr,
)
from isthmus.genomics._places import Places, optional
from isthmus.genomics._strata import pairs_of_modalities
from isthmus.genomics.graph import GuidanceGraph

NULLS = ("decoy", "shuffled", "trans")
ALTERNATIVES = ("greater", "two-sided", "less")
N_NULL = 50_000_000  # p values have to get as small as one in all pairs of a genome asks for
COLUMNS = (
    *("peak", "gene", "score", "zscore", "pvalue", "qvalue", "distance", "n_null"),
    *("sign", "weight", "chrom", "peak_start", "peak_end", "tss", "strand"),
)


def link_table(
    graph: GuidanceGraph,
    embeddings: np.ndarray,
    is_decoy: np.ndarray | None = None,
    *,
    null: str = "decoy",
    n_null: int = N_NULL,
    alternative: str = "greater",
    seed: int | np.random.Generator = 0,
) -> pd.DataFrame:
    """Score every edge of a graph by the cosine of its two features, and compare it with links that mean nothing.

    Parameters
    ----------
    graph
        Forward edges, with decoys where they are the null.
    embeddings
        (models, nodes, latent) feature embeddings, rows as ``graph.features``; several models of different seeds are
        averaged.
    is_decoy
        (edges,) bool, from :meth:`GuidanceGraph.with_decoys`; these edges are no rows of the result.
    null
        ``"decoy"``: edges that the model was trained on as on real ones, but that lead far away; an honest null, as
        an edge alone raises the cosine. ``"trans"``: pairs without an edge, the genes and peaks of links, on other
        chromosomes or more than 5 Mb apart (of the links of a stratum all such pairs, up to ``n_null``); honest where
        edges had no part in the embeddings. ``"shuffled"``: rows of
        the embeddings shuffled for each model, as in the paper. The last two ignore the pull of an edge, and call
        more links where there is one.
    n_null
        Null values of ``"trans"`` and ``"shuffled"`` in all, about: at least one for each link, and no more than there
        are.
    alternative
        ``"greater"``, ``"two-sided"`` or ``"less"``.
    seed
        A number, or a generator of NumPy; ``"decoy"`` needs none.

    Returns
    -------
    pandas.DataFrame
        One row a pair, in the order of the edges (of parallel edges the heaviest counts):

        - ``peak``, ``gene``: names of target and source.
        - ``score``: sign x cosine, the mean over models, in [-1, 1].
        - ``zscore``: standard deviations above the mean of the null values of the same stratum.
        - ``pvalue``: (k + 1) / (n + 1), where k of the n null values are at least as extreme. Strata are quantile
          bins of the absolute distance with at least 1,000 links (with ``"decoy"`` decoys) each where there are enough
          (of the weight where distances are not known), for each pair of modalities.
        - ``qvalue``: false discovery rate of Benjamini and Hochberg over all rows, which weigh by how many pairs of
          about their distance mean something, as large p values tell (Genovese et al. 2006,
          doi:10.1093/biomet/93.3.509; Ignatiadis and Huber 2021, doi:10.1111/rssb.12411).
        - ``distance``: base pairs, see :attr:`GuidanceGraph.distance`.
        - ``n_null``: n.
        - ``sign``, ``weight`` of the edge.
        - ``chrom``, ``peak_start``, ``peak_end``, ``tss``, ``strand``: positions (0-based and half-open, ``tss`` the
          first transcribed base, ``strand`` that of the gene), missing where not known. ``chrom`` is that of the
          peak; ``tss`` is missing where the gene lies on another one.

    Raises
    ------
    InputError
        If the graph is closed, embeddings are of another shape or not finite, decoys are absent or not in the order
        of :meth:`GuidanceGraph.with_decoys`, or a setting is out of its range.

    Notes
    -----
    Genes of one locus share peaks, and decoys do not know of that: where edges pull strongly, a peak that belongs to
    one gene is drawn towards the neighbours of that gene too, and more of its other links are called than the q-value
    says. Between genes of one peak the score tells which is likelier.
    """
    check_choice(null, NULLS, "null")
    check_choice(alternative, ALTERNATIVES, "alternative")
    check_number(n_null, "n_null", 1, whole=True)
    embeddings = _checked(embeddings, graph)
    decoy = _checked_decoys(graph, is_decoy, null)
    every = Links(
        *(graph.source, graph.target, graph.sign, graph.weight),
        pairs_of_modalities(graph.modality, graph.source, graph.target),
        graph.distance,
    )
    edges = every.take(np.flatnonzero(~decoy))
    links = edges.take(edges.heaviest(graph.n_features))
    places = Places.of(graph.positions, graph.n_features)
    unit = unit_rows(embeddings)
    score = links.sign * mean_cosine(unit, links.source, links.target)
    if null == "decoy":
        stratum, nothing = _decoy_null(edges, every.take(np.flatnonzero(decoy)), links, unit)
    else:
        stratum, count = links.strata(), max(int(n_null), len(score))
        nothing = null_scores(null, links, stratum, every, places, unit, count, np.random.default_rng(seed))
    found = against_null(score, stratum, nothing, alternative)
    if not found.n_null.any():
        raise InputError(
            "features on several chromosomes, or more than 5 Mb apart, without edges between them",
            "only pairs that are near or linked",
            "give null='shuffled'",
        )
    return _table(graph, places, links, score, found)


def write_bedpe(table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write links as BEDPE, which genome browsers draw as arcs.

    Columns: the peak (chrom1, start1, end1), the gene's transcription start of one base (chrom2, start2, end2), name
    (``gene|peak``), score, strand1 (``.``), strand2, zscore, pvalue, qvalue; a header line starts with ``#``. Where a
    position is not known the format has ``.`` and -1.

    Parameters
    ----------
    table
        From :func:`link_table`, or some of its rows.
    path
        Where to write; compressed if the name ends in ``.gz``.

    Raises
    ------
    InputError
        If a column is absent.
    """
    table = checked_links(table)
    peak, gene = table["peak_start"].notna() & table["chrom"].notna(), table["tss"].notna() & table["chrom"].notna()
    chrom = table["chrom"].astype(object)
    out = {
        "#chrom1": chrom.where(peak, "."),
        "start1": _whole(table["peak_start"], peak),
        "end1": _whole(table["peak_end"], peak),
        "chrom2": chrom.where(gene, "."),
        "start2": _whole(table["tss"], gene),
        "end2": _whole(table["tss"] + 1, gene),
        "name": table["gene"].astype(str) + "|" + table["peak"].astype(str),
        "score": table["score"],
        "strand1": ".",
        "strand2": table["strand"],
        **{name: table[name] for name in ("zscore", "pvalue", "qvalue")},
    }
    with atomic_path(path) as temporary:
        pd.DataFrame(out).to_csv(temporary, sep="\t", index=False, float_format="%.6g", na_rep=".")


def checked_links(table: pd.DataFrame) -> pd.DataFrame:
    """The table that :func:`link_table` made, with names as text again where it was written and read in between."""
    check_columns(table, COLUMNS)
    return table.assign(**{name: as_text(table[name]).astype(object) for name in ("peak", "gene", "chrom")})


def check_columns(table: pd.DataFrame, columns: tuple[str, ...], maker: str = "link_table") -> None:
    """Refuse a table that lacks columns which the function ``maker`` writes."""
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"a table with the columns {shorten(columns, len(columns))}",
            f"no {shorten(missing)} among {shorten([str(name) for name in table.columns]) or 'no columns'}",
            f"give the table that {maker}() made",
        )


def _checked(embeddings: np.ndarray, graph: GuidanceGraph) -> np.ndarray:
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 3 or embeddings.shape[1] != graph.n_features or 0 in embeddings.shape:
        raise InputError(
            f"embeddings of shape (models, nodes, latent) with a row for each of the {graph.n_features} features",
            f"shape {embeddings.shape}",
            "stack those of the models, with rows as graph.features; of one model give embedding[None]",
        )
    if not np.isfinite(embeddings).all():
        model, node = np.argwhere(~np.isfinite(embeddings))[0, :2]
        raise InputError(
            "finite embeddings",
            f"others in model {model} for '{graph.features[node]}'",
            "train this model again, or leave it out",
        )
    return embeddings if embeddings.dtype.kind == "f" else embeddings.astype(np.float64)


def _checked_decoys(graph: GuidanceGraph, is_decoy: np.ndarray | None, null: str) -> np.ndarray:
    decoy = np.zeros(graph.n_edges, dtype=bool) if is_decoy is None else np.asarray(is_decoy)
    if decoy.shape != (graph.n_edges,) or decoy.dtype != bool:
        raise InputError(
            f"is_decoy true or false for each of the {graph.n_edges} edges",
            f"{decoy.dtype} of shape {decoy.shape}",
            "give what graph.with_decoys() returned",
        )
    if null == "decoy" and not decoy.any():
        raise InputError(
            "decoys among the edges for null='decoy'",
            "none",
            "train on graph.with_decoys(), or give null='trans' or null='shuffled'",
        )
    real = np.flatnonzero(~decoy)[: decoy.sum()]
    parts = (graph.source, graph.sign, graph.weight)
    if len(real) < decoy.sum() or any((part[real] != part[decoy]).any() for part in parts):
        raise InputError(
            "decoys in the order of the edges that they stand for",
            "decoys of other genes, signs or weights than these edges",
            "give graph and is_decoy as graph.with_decoys() returned them; take subset() before it",
        )
    return decoy


def _decoy_null(edges: Links, decoys: Links, links: Links, unit: np.ndarray) -> tuple[np.ndarray, list[NullBlock]]:
    """Strata of links, and scores of decoys; the distance that counts is that of the edge that each stands for."""
    once = decoys.heaviest(len(unit))
    decoys, stands_for = decoys.take(once), edges.take(once)
    score = decoys.sign * mean_cosine(unit, decoys.source, decoys.target)
    both = [np.concatenate(pair) for pair in zip(links, stands_for, strict=True)]
    stratum = Links(*both).strata(learn=np.arange(len(both[0])) >= len(links.source))
    stratum, of_null = np.split(stratum, [len(links.source)])
    return stratum, [NullBlock(one, score[of_null == one]) for one in np.unique(stratum)]


def _table(graph: GuidanceGraph, places: Places, links: Links, score: np.ndarray, found: Significance) -> pd.DataFrame:
    gene, peak = links.source, links.target
    known = places.chrom[peak] >= 0
    chrom = np.where(known, places.chrom[peak], places.chrom[gene])
    names = graph.features.to_numpy()
    columns = (
        *(names[peak], names[gene], score, found.zscore, found.pvalue, weighted_fdr(found.pvalue, links)),
        *(links.distance, found.n_null, links.sign, links.weight),
        pd.Categorical.from_codes(chrom, categories=places.names),
        *(optional(places.start[peak]), optional(places.end[peak])),
        optional(np.where(chrom == places.chrom[gene], places.tss[gene], -1)),
        np.array([".", "+", "-"], dtype=object)[places.strand[gene]],
    )
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _whole(column: pd.Series, known: pd.Series) -> pd.Series:
    """Positions as whole numbers, -1 where not known."""
    return column.where(known, -1).astype(np.int64)

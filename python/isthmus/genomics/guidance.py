"""Guidance graphs from positions: genes are joined to what lies on them, before them, or near them.

Cao and Gao 2022, doi:10.1038/s41587-022-01284-4.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import shorten
from isthmus.data.door import check_choice, check_number
from isthmus.genomics._places import of_intervals
from isthmus.genomics._positions import Annotation, Features, joined
from isthmus.genomics.builds import in_one_style, match_styles, promoter_enrichment
from isthmus.genomics.graph import GuidanceGraph
from isthmus.genomics.intervals import Intervals
from isthmus.genomics.joins import distance_join

REGIONS = ("combined", "promoter", "gene_body")
LEAST_ENRICHMENT = 1.5  # below, peaks and annotation may be of different genome builds
ENOUGH_PEAKS = 1000  # fewer tell too little about it
WIDE = 5000  # base pairs; bins of this width touch transcription starts of any build


def guidance_graph(
    rna: Any,
    *others: Any,
    genes: str | os.PathLike | pd.DataFrame | Intervals | None = None,
    region: str = "combined",
    upstream: int = 2000,
    extend: int = 0,
    decay: bool = True,
    signs: Mapping[str, int] | Sequence[int] | None = None,
    modalities: Sequence[str] | None = None,
    harmonise: bool = True,
) -> GuidanceGraph:
    """Join every gene to the features of the other modalities that lie in its window, or near it.

    Parameters
    ----------
    rna
        The genes: AnnData, a data frame, :class:`Intervals`, or names. Or all modalities at once, as a mapping from
        name to any of these, the genes first: ``{"rna": rna, "atac": atac}``, or as a MuData.
    *others
        The other modalities, such as peaks. Positions come from the columns (of ``.var`` in AnnData) for chromosome,
        start and end where there are any, else from the names, such as ``chr1:100-200``.
    genes
        Where the genes lie: a path to a GTF, GFF3 or BED file (plain or gzip-compressed), a data frame, or
        :class:`Intervals`. Genes are looked up by name, then by id without its version, then by ``gene_ids`` of
        ``.var`` if there is such a column. By default positions come from the columns of ``rna``.
    region
        The window of a gene: ``"combined"`` is the gene body and ``upstream`` base pairs before it, ``"promoter"``
        the transcription start and ``upstream`` base pairs before it, ``"gene_body"`` the gene alone.
    upstream
        Base pairs, see ``region``.
    extend
        Largest distance between window and feature in base pairs; 0 asks for overlap. 150,000 with
        ``region="promoter"`` is the recipe for regulatory inference.
    decay
        Whether an edge over distance d weighs ((abs(d) + 1000) / 1000)^-0.75, else 1.
    signs
        1 or -1 for each of the other modalities, in their order or by name; 1 by default, -1 suits methylation.
    modalities
        Names of the modalities, the genes first; by default the keys of the mapping, else ``rna``, ``other`` (or
        ``other1``, ``other2``, ...).
    harmonise
        Whether ``chr`` may be added or dropped where genes and features write chromosomes in different ways.

    Returns
    -------
    GuidanceGraph
        Forward edges from genes to features. All features of the other modalities are nodes, and all genes with
        a position. It keeps where they lie (``positions``).

    Warns
    -----
    UserWarning
        If genes have no position (they are left out), chromosomes were renamed, or peaks do not crowd at transcription
        starts, which hints at another genome build (see :func:`promoter_enrichment`; not asked of fewer than 1,000
        peaks, or wider than 5 kb).

    Raises
    ------
    InputError
        If a feature has no position or no unique name, a strand that is needed is missing, no chromosome is shared,
        no feature is in reach of a gene, or a setting is out of its range.
    """
    check_choice(region, REGIONS, "region")
    check_number(extend, "extend", 0, whole=True)
    anchor, rest = _modalities(rna, others, modalities)
    sign = _signs(signs, [features.modality for features in rest])
    annotation = None if genes is None else Annotation.of(genes)
    placed, known = anchor.genes(annotation)
    everything = placed if annotation is None else joined([placed, annotation.all])
    _report_missing(anchor, known)
    positions = [features.positions() for features in rest]
    edges, start = [], len(placed)
    for features, where, one_sign in zip(rest, positions, sign, strict=True):
        here = match_styles(everything, where, harmonise, f"the genes and '{features.modality}'", stacklevel=2)
        # Genes chosen for their variability stand in busy neighbourhoods, so the build is judged by all genes.
        _check_build(features.modality, where, here.take(slice(len(placed), None)) if annotation is not None else here)
        pairs = distance_join(_windows(here.take(slice(len(placed))), region, upstream), where, extend)
        if len(where) and not len(pairs.first):
            _refuse_no_edge(features.modality, extend)
        edges.append(
            (pairs.first, pairs.second + start, np.full(len(pairs.first), one_sign), _weights(pairs.distance, decay))
        )
        start += len(where)
    parts = [placed, *positions]
    names = _all_names([part.names for part in parts], [anchor, *rest])
    return GuidanceGraph(
        names,
        np.repeat(np.array([x.modality for x in (anchor, *rest)], dtype=object), [len(part) for part in parts]),
        *(np.concatenate(part) for part in zip(*edges, strict=True)),
        positions=of_intervals(joined(in_one_style(parts) if harmonise else parts)),
    )


def _modalities(rna: Any, others: tuple, modalities: Sequence[str] | None) -> tuple[Features, list[Features]]:
    """The genes and the other modalities, each with a name."""
    held = getattr(rna, "mod", None)  # of a MuData; data frames have a method of this name
    rna = held if isinstance(held, Mapping) else rna
    if isinstance(rna, Mapping):
        modalities = list(rna) if modalities is None else modalities
        rna, *more = rna.values() if len(rna) else [None]
        others = (*more, *others)
    if modalities is None:
        numbers = range(1, len(others) + 1)
        modalities = ["rna", *(["other"] if len(others) == 1 else [f"other{number}" for number in numbers])]
    if not others:
        raise InputError(
            "the genes and at least one other modality", "one modality", "give its peaks too: guidance_graph(rna, atac)"
        )
    if len(modalities) != len(others) + 1 or len(set(modalities)) < len(modalities):
        raise InputError(
            f"{len(others) + 1} different names of modalities",
            f"{list(modalities)}",
            "give one name each, the genes first",
        )
    first, *rest = (Features.of(str(name), x) for name, x in zip(modalities, (rna, *others), strict=True))
    return first, rest


def _signs(signs: Mapping[str, int] | Sequence[int] | None, modalities: list[str]) -> list[int]:
    """One sign for each of the other modalities."""
    if signs is None:
        return [1] * len(modalities)
    if isinstance(signs, Mapping):
        unknown = [name for name in signs if name not in modalities]
        out = [signs.get(name, 1) for name in modalities]
    else:
        unknown, out = [], list(signs)
    if unknown or len(out) != len(modalities) or any(sign not in (1, -1) for sign in out):
        raise InputError(
            f"signs 1 or -1 for {shorten(modalities)}", f"{signs!r}", "give one for each modality, or a mapping by name"
        )
    return [int(sign) for sign in out]


def _windows(genes: Intervals, region: str, upstream: int) -> Intervals:
    if region == "gene_body":
        return genes
    return genes.extend(upstream, 0) if region == "combined" else genes.promoters(upstream, 0)


def _weights(distance: np.ndarray, decay: bool) -> np.ndarray:
    """((abs(d) + 1000) / 1000)^-0.75: 1 where they overlap, 0.023 at 150 kb."""
    return ((np.abs(distance) + 1000) / 1000) ** -0.75 if decay else np.ones(len(distance))


def _report_missing(anchor: Features, known: np.ndarray) -> None:
    missing = anchor.names[~known]
    if len(missing) == len(known):
        raise InputError(
            f"positions for the genes of '{anchor.modality}'",
            f"none for any of {len(known)} genes, such as {shorten(missing, 3) or 'none'}",
            "check that the names are of the same kind (symbols or Ensembl ids) and species as the annotation",
        )
    if len(missing):
        warnings.warn(
            f"{len(missing)} of {len(known)} genes have no position and are left out of the graph: "
            f"{shorten(missing, 4)}.",
            stacklevel=3,
        )


def _check_build(modality: str, peaks: Intervals, genes: Intervals) -> None:
    """Warn where peaks do not crowd at transcription starts."""
    if len(peaks) < ENOUGH_PEAKS or np.median(peaks.width) > WIDE or not genes.stranded.any():
        return
    enrichment = promoter_enrichment(peaks, genes)
    if enrichment < LEAST_ENRICHMENT:
        warnings.warn(
            f"Features of '{modality}' lie at transcription starts only {enrichment:.2f} times as often as by chance, "
            f"and {LEAST_ENRICHMENT:g} times is the least to expect: check that they and the genes are of the same "
            "genome build (hg19 or hg38, mm10 or mm39).",
            stacklevel=3,
        )


def _refuse_no_edge(modality: str, extend: int) -> None:
    raise InputError(
        f"features of '{modality}' at genes",
        f"none within {extend:,} bp of the window of a gene",
        "widen it (extend=150000), or check that positions and genes are of the same genome",
    )


def _all_names(names: list[pd.Index], features: list[Features]) -> pd.Index:
    """All nodes; a name that two modalities share would make one node of two features."""
    out = names[0].append(names[1:])
    if not out.is_unique:
        twice = out[out.duplicated()]
        holders = [x.modality for x, part in zip(features, names, strict=True) if twice[0] in part]
        raise InputError(
            "different names for the features of different modalities",
            f"{len(twice.unique())} names in two of them, such as '{twice[0]}' in {shorten(holders)}",
            "add the modality to the names, such as 'CD4_protein'",
        )
    return out

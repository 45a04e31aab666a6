"""Positions on a genome, joins between them, and the guidance graphs that GLUE is trained on."""

from __future__ import annotations

from isthmus.genomics.builds import promoter_enrichment
from isthmus.genomics.graph import GuidanceGraph
from isthmus.genomics.guidance import guidance_graph
from isthmus.genomics.intervals import Intervals
from isthmus.genomics.joins import Pairs, distance_join, overlap_join

__all__ = [
    "GuidanceGraph",
    "Intervals",
    "Pairs",
    "distance_join",
    "guidance_graph",
    "overlap_join",
    "promoter_enrichment",
]

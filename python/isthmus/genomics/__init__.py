"""Positions on a genome, joins between them, guidance graphs, and the regulatory links and targets found with them."""

from __future__ import annotations

from isthmus.genomics.builds import promoter_enrichment
from isthmus.genomics.graph import GuidanceGraph
from isthmus.genomics.guidance import guidance_graph
from isthmus.genomics.intervals import Intervals
from isthmus.genomics.joins import Pairs, distance_join, overlap_join
from isthmus.genomics.links import link_table, write_bedpe
from isthmus.genomics.targets import tf_rankings, tf_targets

__all__ = [
    "GuidanceGraph",
    "Intervals",
    "Pairs",
    "distance_join",
    "guidance_graph",
    "link_table",
    "overlap_join",
    "promoter_enrichment",
    "tf_rankings",
    "tf_targets",
    "write_bedpe",
]

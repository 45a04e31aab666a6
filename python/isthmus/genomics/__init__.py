"""Positions on a genome and joins between them."""

from __future__ import annotations

from isthmus.genomics.intervals import Intervals
from isthmus.genomics.joins import Pairs, distance_join, overlap_join

__all__ = ["Intervals", "Pairs", "distance_join", "overlap_join"]

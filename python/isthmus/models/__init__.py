"""The systems, one file each, that reads like its paper."""

from __future__ import annotations

from isthmus.models.scalex import SCALEX

__all__ = ["SCALEX"]

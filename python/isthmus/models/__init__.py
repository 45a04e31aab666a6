"""The systems, one file each, that reads like its paper."""

from __future__ import annotations

from isthmus.models.glue import GLUE
from isthmus.models.scalex import SCALEX
from isthmus.models.scdreamer import SCDREAMER, SCDREAMERSup

__all__ = ["GLUE", "SCALEX", "SCDREAMER", "SCDREAMERSup"]

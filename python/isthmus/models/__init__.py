"""The systems, one file each, that reads like its paper."""

from __future__ import annotations

from isthmus.models.glue import GLUE
from isthmus.models.sailerx import SAILERX
from isthmus.models.scalex import SCALEX
from isthmus.models.scdreamer import SCDREAMER, SCDREAMERSup
from isthmus.models.sci2cl import SCI2CL

__all__ = ["GLUE", "SAILERX", "SCALEX", "SCDREAMER", "SCI2CL", "SCDREAMERSup"]

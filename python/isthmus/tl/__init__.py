"""The verbs: one for each system, and what they return."""

from __future__ import annotations

from isthmus.tl._glue import Glue
from isthmus.tl._sailerx import Sailerx
from isthmus.tl._scalex import Scalex
from isthmus.tl._scdreamer import Scdreamer
from isthmus.tl._sci2cl import Sci2cl
from isthmus.tl.check_labels import check_labels
from isthmus.tl.fitted import FittedModel, load
from isthmus.tl.glue import glue
from isthmus.tl.metacells import metacells
from isthmus.tl.sailerx import sailerx
from isthmus.tl.scalex import scalex
from isthmus.tl.scdreamer import scdreamer
from isthmus.tl.sci2cl import sci2cl

__all__ = [
    "FittedModel",
    "Glue",
    "Sailerx",
    "Scalex",
    "Scdreamer",
    "Sci2cl",
    "check_labels",
    "glue",
    "load",
    "metacells",
    "sailerx",
    "scalex",
    "scdreamer",
    "sci2cl",
]

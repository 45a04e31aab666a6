"""The verbs: one for each system, and what they return."""

from __future__ import annotations

from isthmus.tl._glue import Glue
from isthmus.tl._scalex import Scalex
from isthmus.tl._scdreamer import Scdreamer
from isthmus.tl.fitted import FittedModel, load
from isthmus.tl.glue import glue
from isthmus.tl.metacells import metacells
from isthmus.tl.scalex import scalex
from isthmus.tl.scdreamer import scdreamer

__all__ = ["FittedModel", "Glue", "Scalex", "Scdreamer", "glue", "load", "metacells", "scalex", "scdreamer"]

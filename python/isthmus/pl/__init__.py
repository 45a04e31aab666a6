"""Pictures: embeddings, projections, training curves, transferred labels, regulatory links.

Every function draws on the Axes it is given, or on a new one, and returns it; none shows or saves anything,
so that ``ax.figure.savefig(...)`` is the caller's. Colours can be told apart by colour-blind readers, points
are drawn in a shuffled order so that no group hides another, and nothing of the user's object is changed
unless asked for. Needs matplotlib (``pip install "isthmus[plot]"``).
"""

from __future__ import annotations

from isthmus.pl._colors import colors_of
from isthmus.pl._confusion import confusion
from isthmus.pl._consistency import consistency
from isthmus.pl._embedding import embedding, projection
from isthmus.pl._history import history
from isthmus.pl._layout import umap
from isthmus.pl._links import links
from isthmus.pl._modalities import modalities

__all__ = ["colors_of", "confusion", "consistency", "embedding", "history", "links", "modalities", "projection", "umap"]

"""Scores of an embedding: how well types stay apart, how well batches mix, how well pairs meet.

Every function takes an embedding ``(cells, latent)`` and plain arrays of labels or batches, so that any
method can be scored, not only those of isthmus. :func:`summary` runs all that apply with one
nearest-neighbour search.

================================  =====================  ===============  ==============================
score                             needs                  range            better
================================  =====================  ===============  ==============================
:func:`leiden_sweep` NMI, ARI     labels                 0..1, -0.5..1    higher
:func:`silhouette_label`          labels                 0..1             higher
:func:`graph_connectivity`        labels                 0..1             higher
:func:`overcorrection`            labels                 0..1             lower
:func:`ilisi`                     batches                0..1             higher
:func:`silhouette_batch`          batches (and labels)   0..1             higher
:func:`batch_entropy_mixing`      batches                0..1             higher
:func:`foscttm`                   paired embeddings      0..1             lower (0.5 is chance)
:func:`label_transfer_scores`     two label arrays       0..1             higher (``unknown``: lower)
:func:`integration_consistency`   counts and a graph     -1..1            higher (0.05 or more)
================================  =====================  ===============  ==============================
"""

from __future__ import annotations

from isthmus.metrics._clusters import LeidenScores, leiden_sweep
from isthmus.metrics._consistency import integration_consistency
from isthmus.metrics._mixing import batch_entropy_mixing, ilisi
from isthmus.metrics._neighbors import Neighbors, nearest
from isthmus.metrics._pairs import foscttm, foscttm_per_cell
from isthmus.metrics._silhouette import silhouette_batch, silhouette_label
from isthmus.metrics._summary import summary
from isthmus.metrics._transfer import TransferScores, label_transfer_scores
from isthmus.metrics._types import graph_connectivity, overcorrection

__all__ = [
    "LeidenScores",
    "Neighbors",
    "TransferScores",
    "batch_entropy_mixing",
    "foscttm",
    "foscttm_per_cell",
    "graph_connectivity",
    "ilisi",
    "integration_consistency",
    "label_transfer_scores",
    "leiden_sweep",
    "nearest",
    "overcorrection",
    "silhouette_batch",
    "silhouette_label",
    "summary",
]

"""What all sections of a report share, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isthmus import pl
from isthmus.report import _pictures, _tables
from isthmus.report._cells import Cells, types_of

if TYPE_CHECKING:
    from isthmus.report._joint import Joint
    from isthmus.tl import FittedModel


@dataclass(frozen=True)
class Page:
    """The material of one report.

    Attributes
    ----------
    model
        The fitted model.
    reference, query
        The cells to draw and score.
    markers
        Label or topic to genes.
    coverage
        Numbers of the projection: ``n_reference``, ``n_found``, ``share``, ``weighted``.
    before_name
        What the embedding before integration is called.
    notes, facts
        The caller's paragraphs by section, and rows of the last table.
    seed
        Of layouts and samples.
    joint
        What a page of several modalities shows beside the cells; the batch of a cell is its modality then.
    """

    model: FittedModel
    reference: Cells
    query: Cells | None
    markers: Mapping[str, Sequence[str]]
    coverage: Mapping[str, float] | None
    before_name: str
    notes: Mapping[str, str]
    facts: Mapping[str, Any]
    seed: int
    joint: Joint | None = None

    @cached_property
    def layout(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Places of reference and query on the map, (cells, 2) each."""
        return _pictures.layout(self.reference, self.query, self.seed)

    @cached_property
    def layout_before(self) -> NDArray[np.floating] | None:
        """Places of the reference before integration, (cells, 2)."""
        before = self.reference.before
        if before is None:
            return None
        return np.asarray(before)[:, :2] if before.shape[1] <= 2 else pl.umap(before, seed=self.seed)

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Scores of the reference after and before integration."""
        return _tables.score(self.reference, self.seed)

    @cached_property
    def colors(self) -> dict[Any, str]:
        """Colour of every label, the same in all pictures."""
        return _pictures.label_colors(types_of(self.reference, self.query))

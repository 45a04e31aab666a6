"""Features of a query laid over the features of a reference."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from isthmus._errors import InputError
from isthmus.data.categories import shorten


@dataclass(frozen=True)
class Alignment:
    """Where each reference feature stands in the query.

    Attributes
    ----------
    position
        (reference features,) int64, column in the query or -1 where the query lacks the feature.
    """

    position: np.ndarray

    @classmethod
    def of(cls, query: pd.Index, reference: pd.Index) -> Alignment:
        """Match by name."""
        return cls(query.get_indexer(reference))

    @property
    def found(self) -> np.ndarray:
        """(reference features,) bool, which features the query has."""
        return self.position >= 0

    @property
    def complete(self) -> bool:
        """Whether the query has every feature, in the order of the reference."""
        return bool(np.array_equal(self.position, np.arange(len(self.position))))

    def take(self, x: sp.csr_matrix) -> sp.csr_matrix:
        """Columns of ``x`` in the order of the reference; absent features are left empty (see ``found``).

        Returns
        -------
        scipy.sparse.csr_matrix
            (cells, reference features) with sorted indices.
        """
        if self.complete and x.shape[1] == len(self.position):
            return x
        target = np.full(x.shape[1], -1, dtype=np.int64)
        target[self.position[self.found]] = np.flatnonzero(self.found)
        column = target[x.indices]
        keep = column >= 0
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        out = sp.csr_matrix((x.data[keep], column[keep], kept_before[x.indptr]), shape=(x.shape[0], len(self.position)))
        out.sort_indices()
        return out


def warn_of_blank(x: sp.csr_matrix) -> None:
    """Say how many cells of (cells, model features) ``x`` show none of what the model looks at."""
    blank = int((np.diff(x.indptr) == 0).sum())
    if blank:
        warnings.warn(
            f"{blank} of {x.shape[0]} cells have no count in any of the model's features: where they lie in the "
            "embedding, and what they are called there, says nothing of them.",
            stacklevel=2,
        )


@dataclass(frozen=True)
class Coverage:
    """How much of a reference a query covers.

    Attributes
    ----------
    n_reference, n_found
        Number of the model's features, and of those that the query has.
    share
        ``n_found / n_reference``.
    weighted
        Share of the reference's signal (sum of scaled values) that the found features carry.
    missing
        Names of the missing features.
    """

    n_reference: int
    n_found: int
    share: float
    weighted: float
    missing: tuple[str, ...]

    @classmethod
    def of(cls, alignment: Alignment, features: pd.Index, weight: np.ndarray) -> Coverage:
        """Coverage of ``features``, of which each weighs ``weight``."""
        found = alignment.found
        return cls(
            n_reference=len(features),
            n_found=int(found.sum()),
            share=float(found.mean()),
            weighted=float(weight[found].sum() / max(weight.sum(), 1e-12)),
            missing=tuple(features[~found]),
        )

    def demand(self, least: float) -> None:
        """Refuse a query that covers less than ``least`` of the model's features."""
        way_out = "project() takes missing features as unknown" if least == 1 else "lower min_coverage"
        if self.n_found == 0 or self.share < least:
            raise InputError(
                f"at least {least:.0%} of the model's {self.n_reference} features in the query",
                f"{self.n_found} ({self.share:.1%}); missing are {shorten(self.missing, 4) or 'none'}",
                "check that feature names are of the same kind (symbols or Ensembl ids, peak style)"
                + (f", or {way_out}" if self.n_found else ""),
            )

    def as_dict(self) -> dict[str, float | int]:
        """The numbers, without the names of the missing features."""
        return {
            "n_reference": self.n_reference,
            "n_found": self.n_found,
            "share": self.share,
            "weighted": self.weighted,
        }

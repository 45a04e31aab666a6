"""Sparse rows to feed blocks with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from isthmus.nn import SparseRows


@pytest.fixture
def rows_of() -> Callable[..., SparseRows]:
    """``rows_of(dense)``: the non-zero entries of a matrix as sparse rows."""

    def build(dense: np.ndarray | torch.Tensor) -> SparseRows:
        csr = sp.csr_matrix(np.asarray(dense, dtype=np.float32))
        return SparseRows(
            torch.from_numpy(csr.indptr.astype(np.int64)),
            torch.from_numpy(csr.indices.astype(np.int64)),
            torch.from_numpy(csr.data),
            csr.shape[1],
        )

    return build


@pytest.fixture
def sparse_matrix(rng: np.random.Generator) -> Callable[..., np.ndarray]:
    """``sparse_matrix(cells, features, density)``: values in [0, 1], one row all zero."""

    def draw(cells: int, features: int, density: float) -> np.ndarray:
        x = rng.random((cells, features), dtype=np.float32) * (rng.random((cells, features)) < density)
        x[cells // 2] = 0
        return x

    return draw

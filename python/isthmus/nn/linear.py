"""A linear layer whose input is sparse."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.sparse import SparseRows

# density from which a dense product beats a gather of weight rows on a CPU (measured), by arithmetic
DENSE_ABOVE = {"float32": 0.25, "bfloat16": 0.03}


class SparseLinear(nn.Module):
    """``y = x W + b`` for sparse rows ``x``: a weighted sum of the rows of W, never dense where x is very sparse.

    Parameters
    ----------
    n_features, n_out
        Width of input and output.

    Notes
    -----
    The weight is kept (features, out), the transpose of ``nn.Linear``, so that one feature's weights lie together.
    Initial values are those of ``nn.Linear``.
    """

    def __init__(self, n_features: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_features, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))
        bound = 1.0 / math.sqrt(n_features)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: SparseRows | Tensor, fill: Tensor | None = None) -> Tensor:
        """Apply to (cells, features) rows.

        Parameters
        ----------
        x
            Sparse rows, or a dense tensor.
        fill
            (features,) value of features that no cell was measured for; the same for every cell.

        Returns
        -------
        torch.Tensor
            (cells, out).
        """
        bias = self.bias if fill is None else self.bias + fill @ self.weight
        if isinstance(x, Tensor):
            return torch.addmm(bias, x, self.weight)
        if self._prefers_dense(x):
            return torch.addmm(bias, x.dense, self.weight)
        return bias + F.embedding_bag(
            x.indices,
            self.weight,
            x.indptr,
            mode="sum",
            per_sample_weights=x.values,
            include_last_offset=True,
        )

    def _prefers_dense(self, x: SparseRows) -> bool:
        """Whether a dense product is the faster one here."""
        device = x.values.device.type
        if device != "cpu":
            return True
        arithmetic = "bfloat16" if torch.is_autocast_enabled(device) else "float32"
        return x.values.shape[0] > DENSE_ABOVE[arithmetic] * x.n_cells * x.n_features

"""Signed sums over the neighbours of a graph, as one sparse product; imports torch-geometric, which takes seconds."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from isthmus._optional import deferred

with deferred("numba"):  # torch-geometric imports it for personalised PageRank: 50 MiB
    from torch_geometric.nn import MessagePassing


class SignedPropagation(MessagePassing):
    """``P_t``, the sum over edges s -> t of ``sign * w' * H_s``, with ``w' = w / sqrt(sum of weights into t)``.

    Dividing by the root of the target's weighted degree keeps the variance of what is summed (Cao and Gao 2022). The
    product is set up once: entries sorted by target for the forward pass and by source for the backward pass, so that
    both gather, neither scatters, and results can be reproduced.

    Parameters
    ----------
    source, target
        (edges,) int64 nodes.
    sign, weight
        (edges,) float.
    n_nodes
        Number of nodes.
    """

    def __init__(self, source: Tensor, target: Tensor, sign: Tensor, weight: Tensor, n_nodes: int) -> None:
        super().__init__(aggr="sum")
        into = torch.zeros(n_nodes).index_add(0, target, weight)
        value = sign * weight / into[target].sqrt()
        for name, (row, column) in {"forward": (target, source), "backward": (source, target)}.items():
            order = torch.argsort(row, stable=True)
            counts = torch.bincount(row, minlength=n_nodes)
            start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
            for part, tensor in (("start", start), ("column", column[order]), ("value", value[order])):
                self.register_buffer(f"{name}_{part}", tensor, persistent=False)
        self.register_buffer("edges", torch.stack([source, target]), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        """(nodes, width) to (nodes, width)."""
        return self.propagate(self.edges, h=h)

    def propagate(self, edge_index: Tensor, **arrays: Any) -> Tensor:
        """Message and sum in one product."""
        return _Product.apply(arrays["h"], self)


class _Product(torch.autograd.Function):
    """A h forward, the transpose of A times the slope backward."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, graph: SignedPropagation) -> Tensor:
        ctx.graph = graph
        return _gather_sum(h, graph.forward_column, graph.forward_start, graph.forward_value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        graph = ctx.graph
        return _gather_sum(slope, graph.backward_column, graph.backward_start, graph.backward_value), None


def _gather_sum(h: Tensor, column: Tensor, start: Tensor, value: Tensor) -> Tensor:
    """Sparse rows times h."""
    return F.embedding_bag(
        column, h.contiguous(), start, mode="sum", per_sample_weights=value.to(h.dtype), include_last_offset=True
    )

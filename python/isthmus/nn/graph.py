"""Features as nodes of a signed graph: their embeddings, and the edges that these explain."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.conditional import GaussianHead
from isthmus.nn.gaussian import Gaussian


class Edges(NamedTuple):
    """Directed edges.

    Attributes
    ----------
    source, target
        (edges,) int64 nodes.
    sign
        (edges,) float32, 1 or -1.
    weight
        (edges,) float32 in (0, 1].
    """

    source: Tensor
    target: Tensor
    sign: Tensor
    weight: Tensor


GAIN = 2.0  # of parameters that start at zero: Adam moves all parameters alike, and these have a long way to go


class GraphEncoder(nn.Module):
    """``q(v | graph)``: a table of nodes, one signed propagation, one linear head each for mean and log-variance.

    The table starts at zero, so that all nodes start alike; what tells them apart are the data.

    Parameters
    ----------
    edges
        Both directions and self loops.
    n_nodes, n_latent
        Sizes.
    """

    def __init__(self, edges: Edges, n_nodes: int, n_latent: int) -> None:
        super().__init__()
        from isthmus.nn.propagation import SignedPropagation  # takes seconds to import: only where it is used

        self.table = nn.Parameter(torch.zeros(n_nodes, n_latent))
        self.propagate = SignedPropagation(*edges, n_nodes)
        self.head = GaussianHead(n_latent, n_latent)

    def forward(self) -> Gaussian:
        """A Gaussian for each node, (nodes, latent)."""
        return self.head(self.propagate(GAIN * self.table))


class EdgeSampler(nn.Module):
    """Draws edges by their weight, and pairs of nodes that are none, on the device.

    For each drawn edge, ``n_negatives`` targets are drawn in proportion to the weighted degree (loops aside). A pair
    that happens to be an edge of this sign does not count.

    Parameters
    ----------
    edges
        Both directions and self loops.
    n_nodes
        Number of nodes.
    n_negatives
        Negative pairs for each edge.
    steps_per_pass
        Steps in which as many edges are drawn as the weights sum to.
    """

    def __init__(self, edges: Edges, n_nodes: int, n_negatives: int = 10, steps_per_pass: int = 32) -> None:
        super().__init__()
        self.n_nodes, self.n_negatives = n_nodes, n_negatives
        self.n_draws = max(int(edges.weight.sum() / steps_per_pass), 1)
        between = (edges.source != edges.target).float() * edges.weight
        degree = torch.zeros(n_nodes).index_add(0, edges.source, between).index_add(0, edges.target, between)
        degree = degree if degree.sum() > 0 else torch.ones(n_nodes)
        for name, tensor in {
            "source": edges.source, "target": edges.target, "sign": edges.sign,
            "by_weight": edges.weight.double().cumsum(0), "by_degree": degree.double().cumsum(0),
            "known": torch.sort(self._key(edges.source, edges.target, edges.sign)).values,
        }.items():  # fmt: skip
            self.register_buffer(name, tensor, persistent=False)

    def _key(self, source: Tensor, target: Tensor, sign: Tensor) -> Tensor:
        """One number for each signed pair."""
        return (source * self.n_nodes + target) * 2 + (sign > 0).long()

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Edges and negative pairs of one step.

        Returns
        -------
        edge
            (draws,) int64, positions of the edges drawn.
        target
            (draws, negatives) int64 nodes that take the place of the edge's target.
        counts
            (draws, negatives) bool, False where the pair is an edge.
        """
        edge = self._pick(self.by_weight, (self.n_draws,))
        target = self._pick(self.by_degree, (self.n_draws, self.n_negatives))
        key = self._key(self.source[edge][:, None], target, self.sign[edge][:, None])
        place = torch.searchsorted(self.known, key).clamp(max=len(self.known) - 1)
        return edge, target, self.known[place] != key

    @staticmethod
    def _pick(cumulated: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Positions drawn in proportion to the steps of ``cumulated``."""
        place = torch.rand(shape, dtype=cumulated.dtype, device=cumulated.device) * cumulated[-1]
        return torch.searchsorted(cumulated, place, right=True).clamp(max=len(cumulated) - 1)

    def nll(self, v: Tensor) -> Tensor:
        """Mean over edges and mean over negatives of ``-ln P``, averaged; P(edge) = sigmoid(sign * v_s . v_t).

        Parameters
        ----------
        v
            (nodes, latent), one draw of the embeddings.
        """
        edge, target, counts = self.draw()
        sign, source = self.sign[edge], v[self.source[edge]]  # (draws, latent)
        positive = F.softplus(-sign * (source * v[self.target[edge]]).sum(dim=1)).mean()
        dots = torch.einsum("el,enl->en", source, v[target])
        negative = F.softplus(sign[:, None] * dots) * counts
        return 0.5 * (positive + negative.sum() / counts.sum().clamp(min=1))

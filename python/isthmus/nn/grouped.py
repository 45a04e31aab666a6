"""Layers for features in groups, such as peaks on chromosomes: each group has its own units, all groups at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from isthmus.nn.sparse import SparseRows

FEATURES_AT_ONCE = 2048  # logits of one tile stay in the processor's cache, and none are ever all in memory
LEAST_TILES = 8  # of a share of the features: fewer would tell too little of the others
LARGEST_LOGIT = 15.0  # 1 - 3e-7: beyond it, one minus the probability is rounding


class Columns(NamedTuple):
    """The entries of sparse rows in the order of their features."""

    indptr: Tensor  # (features + 1,) feature f owns the entries indptr[f]:indptr[f + 1]
    rows: Tensor  # (entries,) row of each
    order: Tensor  # (entries,) where each stands in the rows


def by_column(x: SparseRows) -> Columns:
    """The transpose of ``x``; made once for all layers that ask for it."""
    if "columns" not in x.pattern:
        feature, order = torch.sort(x.indices.int(), stable=True)  # four times as fast as with 64 bits
        counts = torch.bincount(feature, minlength=x.n_features)
        x.pattern["columns"] = Columns(F.pad(counts.cumsum(0), (1, 0)), x.row.index_select(0, order), order)
    return x.pattern["columns"]


class GroupedSparseLinear(nn.Module):
    """``h_g = sum over the entries in group g of x_f W_f``, plus a bias: a linear layer for each group of features.

    Parameters
    ----------
    sizes
        Features of each group; those of a group lie together.
    n_out
        Units of each group.

    Notes
    -----
    Weights are kept (features, out), so that they take no more room than one group's layer would. Entries of a row
    that lie in one group follow each other: the layer is one sum over such segments, whatever the number of groups.
    """

    def __init__(self, sizes: Sequence[int], n_out: int) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.weight = nn.Parameter(torch.empty(sum(self.sizes), n_out))
        self.bias = nn.Parameter(torch.zeros(len(self.sizes), n_out))
        _xavier(self.weight, self.sizes)
        group = torch.repeat_interleave(torch.arange(len(self.sizes)), torch.tensor(self.sizes))
        self.register_buffer("group", group, persistent=False)

    def forward(self, x: SparseRows, scale: Tensor | None = None, fill: Tensor | None = None) -> Tensor:
        """Apply to (cells, features) rows.

        Parameters
        ----------
        x
            Sparse rows.
        scale
            (cells,) factor of each cell's sums; None = 1.
        fill
            (features,) values of features that no cell was measured for; 0 for the others.

        Returns
        -------
        torch.Tensor
            (cells, groups, out) float32.
        """
        sums = _SegmentSum.apply(self.weight, x, self.group, len(self.sizes))
        if scale is not None:
            sums = sums * scale[:, None, None]
        if fill is not None:
            sums = sums + torch.stack([f @ w for f, w in zip(*map(self._split, (fill, self.weight)), strict=True)])
        return sums + self.bias

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        return values.split(self.sizes)


class _SegmentSum(torch.autograd.Function):
    """Sums of weight rows over the segments of entries that lie in one row and one group."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: SparseRows, group: Tensor, n_groups: int) -> Tensor:
        """(cells, groups, out)."""
        ctx.x, ctx.group, ctx.n_groups = x, group, n_groups
        segment = x.row * n_groups + group.index_select(0, x.indices)
        counts = torch.bincount(segment, minlength=x.n_cells * n_groups)
        sums = F.embedding_bag(
            x.indices, weight.float(), F.pad(counts.cumsum(0), (1, 0)), mode="sum", include_last_offset=True,
            per_sample_weights=x.values,
        )  # fmt: skip
        return sums.view(x.n_cells, n_groups, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """A feature's weights get the sum of the gradients of the segments that it is in."""
        indptr, rows, order = by_column(ctx.x)
        group = torch.repeat_interleave(ctx.group, indptr.diff(), output_size=rows.shape[0])
        to_weight = F.embedding_bag(
            rows * ctx.n_groups + group, gradient.flatten(0, 1).float().contiguous(), indptr, mode="sum",
            include_last_offset=True, per_sample_weights=ctx.x.values.index_select(0, order),
        )  # fmt: skip
        return to_weight, None, None, None


class GroupedLinear(nn.Module):
    """A linear layer for each group: (cells, groups, in) to (cells, groups, out) as one batched product."""

    def __init__(self, n_groups: int, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = math.sqrt(6.0 / (n_in + n_out))
        self.weight = nn.Parameter(torch.empty(n_groups, n_in, n_out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(n_groups, 1, n_out))

    def forward(self, h: Tensor) -> Tensor:
        """Apply."""
        return torch.baddbmm(self.bias.to(h.dtype), h.transpose(0, 1), self.weight.to(h.dtype)).transpose(0, 1)


class GroupedBernoulli(nn.Module):
    """``x_f ~ Bernoulli(sigmoid(W_f h_g + b_f))`` for the features f of each group g.

    Parameters
    ----------
    sizes
        Features of each group; those of a group lie together.
    n_in
        Units of each group.

    Attributes
    ----------
    parts
        (features of the tile, in + 1) weights and offset, one parameter for each tile: features that a step does not
        look at have no gradient, and the optimiser leaves them alone.
    """

    def __init__(self, sizes: Sequence[int], n_in: int) -> None:
        super().__init__()
        self.tiles = list(_tiles(sizes))
        weight = torch.empty(sum(sizes), n_in)
        _xavier(weight, list(sizes))
        self.parts = nn.ParameterList(F.pad(weight[start:stop], (0, 1)) for _, start, stop in self.tiles)

    @property
    def weight(self) -> Tensor:
        """(features, in)."""
        return torch.cat([part[:, :-1] for part in self.parts])

    @property
    def bias(self) -> Tensor:
        """(features,)."""
        return torch.cat([part[:, -1] for part in self.parts])

    @torch.no_grad()
    def start_at(self, frequency: Tensor | None = None, weight: Tensor | None = None) -> None:
        """Begin at the (features,) share of cells in which each feature is 1, with these (features, in) weights."""
        for part, (_, start, stop) in zip(self.parts, self.tiles, strict=True):
            if frequency is not None:
                part[:, -1] = torch.logit(frequency[start:stop], eps=1e-5)
            if weight is not None:
                part[:, :-1] = weight[start:stop]

    def nll(self, x: SparseRows, h: Tensor, positive_weight: float = 1.0, share: float = 1.0) -> Tensor:
        """Mean over cells of the negative log-likelihood summed over features.

        Parameters
        ----------
        x
            (cells, features) rows of ones: their values are not looked at.
        h
            (cells, groups, in).
        positive_weight
            How many zeros a one counts as.
        share
            Of the features that are looked at: stretches of them drawn at random, the same for all cells, which
            count for the others too. The result's expectation is that of all features.

        Returns
        -------
        torch.Tensor
            Scalar, nats per cell.
        """
        drawn = range(len(self.tiles))
        if share < 1.0:
            number = max(round(share * len(self.tiles)), LEAST_TILES)
            drawn = sorted(torch.randperm(len(self.tiles))[:number].tolist())
        tiles, parts = [self.tiles[i] for i in drawn], [self.parts[i] for i in drawn]
        return len(self.tiles) / len(tiles) * _GroupedNll.apply(h, x, tiles, positive_weight, *parts)

    def logits(self, h: Tensor) -> Tensor:
        """(cells, features)."""
        both = zip(self.tiles, self.parts, strict=True)
        return torch.cat([torch.addmm(part[:, -1], h[:, tile[0]], part[:, :-1].T) for tile, part in both], dim=1)


def chances_of_sum(logits: Tensor, total: Tensor, rounds: int = 6) -> Tensor:
    """Chances ``sigmoid(l_f + a)`` of each cell, with the one offset ``a`` that makes them sum to ``total``.

    Parameters
    ----------
    logits
        (cells, features).
    total
        (cells,) wanted sums, between 0 and the number of features.
    rounds
        Of Newton's method on the logarithm of the sum, which is nearly linear in the offset.
    """
    offset = torch.zeros_like(total)
    for _ in range(rounds):
        chance = torch.sigmoid(logits + offset[:, None])
        reached = chance.sum(dim=1)
        slope = 1.0 - chance.square().sum(dim=1) / reached
        offset = offset + ((total.log() - reached.log()) / slope.clamp(min=0.05)).clamp(-2.0, 2.0)
    return torch.sigmoid(logits + offset[:, None])


class _GroupedNll(torch.autograd.Function):
    """Likelihood and gradients of one tile of features after the other: no (cells, features) tensor is ever made.

    The gradient of ``softplus(l) - x l`` is ``sigmoid(l) - x``. As the loss is one number, gradients can be taken
    where the logits are at hand and multiplied by the number's own gradient later.
    """

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, x: SparseRows, tiles: list[tuple[int, int, int]], positive_weight: float, *parts: Tensor
    ) -> Tensor:
        """Scalar."""
        device, total = h.device.type, h.new_zeros((), dtype=torch.float32)
        half = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        wanted = any(ctx.needs_input_grad)
        to_h, to_parts = torch.zeros_like(h, dtype=torch.float32), []
        with torch.autocast(device, enabled=False):
            for (group, *_), entries, part in zip(tiles, _entries_of_tiles(x, tiles), parts, strict=True):
                own_h, own_weight = h[:, group].to(half), part[:, :-1].to(half)
                logits = (own_h @ own_weight.T).float().add_(part[:, -1])
                cost, slope = _cost_and_slope(logits, entries, positive_weight)
                total += cost
                if wanted:
                    slope = slope.to(half)
                    to_h[:, group] += (slope @ own_weight).float()
                    own_h = F.pad(own_h, (0, 1), value=1.0)  # the sum over cells comes with the product
                    to_parts.append((slope.T @ own_h).float())
        ctx.gradients = (to_h, to_parts) if wanted else None
        ctx.n_cells = len(h)
        return total / len(h)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Scale what the forward pass found; once only, as it is done in place."""
        (to_h, to_parts), ctx.gradients = ctx.gradients, None
        factor = gradient / ctx.n_cells
        return to_h.mul_(factor), None, None, None, *(g.mul_(factor) for g in to_parts)


def _entries_of_tiles(x: SparseRows, tiles: Sequence[tuple[int, int, int]]) -> Iterator[Tensor]:
    """Where the ones of each tile are in its dense (cells, features of the tile) tensor."""
    tile_of = torch.full((x.n_features,), len(tiles), dtype=torch.uint8 if len(tiles) < 256 else torch.int32)
    for i, (_, start, stop) in enumerate(tiles):
        tile_of[start:stop] = i
    tile = tile_of.to(x.indices.device).index_select(0, x.indices)
    tile, order = torch.sort(tile, stable=True)
    counts = torch.bincount(tile, minlength=len(tiles) + 1)[:-1].tolist()
    order = order[: sum(counts)]
    rows, features = x.row.index_select(0, order), x.indices.index_select(0, order)
    for (_, start, stop), row, feature in zip(tiles, rows.split(counts), features.split(counts), strict=True):
        yield row * (stop - start) + (feature - start)


def _cost_and_slope(logits: Tensor, ones: Tensor, positive_weight: float) -> tuple[Tensor, Tensor]:
    """Sum of the negative log-likelihood over a tile, and its slope by the logits, which are overwritten."""
    flat = logits.view(-1)
    at_ones = flat.index_select(0, ones)
    share = flat.clamp_(max=LARGEST_LOGIT).sigmoid_()
    cost, pull = -_log_product(1.0 - share) - at_ones.sum(), torch.ones_like(at_ones)
    if positive_weight != 1.0:
        cost = cost + (positive_weight - 1.0) * F.softplus(-at_ones).sum()
        pull = 1.0 + (positive_weight - 1.0) * torch.sigmoid(-at_ones)
    return cost, share.index_add_(0, ones, pull, alpha=-1).view_as(logits)


def _log_product(values: Tensor) -> Tensor:
    """Sum of the logarithms of values of at least 1e-7, four at a time: logarithms are what takes the time."""
    quarter = len(values) // 4
    first, second, third, fourth, rest = values.split([quarter] * 4 + [len(values) - 4 * quarter])
    return (first * second).mul_(third).mul_(fourth).log_().sum() + rest.log().sum()


def _tiles(sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Group, first and last feature of stretches that lie in one group and are not too long."""
    start = 0
    for group, size in enumerate(sizes):
        pieces = -(-size // FEATURES_AT_ONCE)
        bounds = [start + size * i // pieces for i in range(pieces + 1)]
        yield from ((group, first, stop) for first, stop in pairwise(bounds))
        start += size


@torch.no_grad()
def _xavier(weight: Tensor, sizes: Sequence[int]) -> None:
    """Uniform values whose range depends on the widths of each group's layer (Glorot and Bengio 2010)."""
    for part in weight.split(list(sizes)):
        bound = math.sqrt(6.0 / (len(part) + weight.shape[1]))
        part.uniform_(-bound, bound)

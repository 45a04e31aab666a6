from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from isthmus.nn import SparseRows
from isthmus.nn import grouped as module
from isthmus.nn.grouped import GroupedBernoulli, GroupedLinear, GroupedSparseLinear, by_column, chances_of_sum

SIZES = [5, 1, 9, 3]


def rows_of(x):
    m = sp.csr_matrix(x)
    parts = (m.indptr.astype(np.int64), m.indices.astype(np.int64), m.data.astype(np.float32))
    return SparseRows(*map(torch.from_numpy, parts), x.shape[1])


@pytest.fixture
def x(rng):
    """Seven cells, one of them empty, a group without entries in another."""
    out = (rng.random((7, sum(SIZES))) < 0.4).astype(np.float32)
    out[2] = 0
    out[4, :5] = 0
    return out


@pytest.fixture(autouse=True)
def narrow_tiles(monkeypatch):
    """Tiles so short that a group has several."""
    monkeypatch.setattr(module, "FEATURES_AT_ONCE", 4)


def blocks(x):
    return np.split(x, np.cumsum(SIZES)[:-1], axis=1)


def test_the_transpose_finds_every_entry(x):
    indptr, rows, order = by_column(rows_of(x))
    turned = sp.csc_matrix(x)
    assert indptr.tolist() == turned.indptr.tolist()
    assert rows.tolist() == turned.indices.tolist()
    assert (np.diff(rows_of(x).indices.numpy()[order.numpy()]) >= 0).all()


def test_one_sum_equals_a_layer_for_each_group(x, generator):
    layer = GroupedSparseLinear(SIZES, 3)
    layer.bias.data.normal_(generator=generator)
    scale, fill = torch.rand(7, generator=generator), torch.rand(sum(SIZES), generator=generator)
    got = layer(rows_of(2.0 * x), scale, fill)
    weights = layer.weight.split(SIZES)
    dense = [torch.from_numpy(2.0 * part) for part in blocks(x)]
    expected = [
        part @ w * scale[:, None] + f @ w + b
        for part, w, f, b in zip(dense, weights, fill.split(SIZES), layer.bias, strict=True)
    ]
    torch.testing.assert_close(got, torch.stack(expected, dim=1))
    upstream = torch.randn(got.shape, generator=generator)
    mine = torch.autograd.grad((got * upstream).sum(), [layer.weight, layer.bias], retain_graph=True)
    theirs = torch.autograd.grad((torch.stack(expected, dim=1) * upstream).sum(), [layer.weight, layer.bias])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_batched_product_equals_a_loop(generator):
    layer, h = GroupedLinear(4, 3, 2), torch.randn(6, 4, 3, generator=generator)
    expected = torch.stack([h[:, g] @ layer.weight[g] + layer.bias[g] for g in range(4)], dim=1)
    torch.testing.assert_close(layer(h), expected)


@pytest.mark.parametrize("positive_weight", [1.0, 20.0])
def test_tiles_give_the_likelihood_and_gradients_of_the_dense_rows(x, generator, positive_weight):
    head, h = GroupedBernoulli(SIZES, 3), torch.randn(7, 4, 3, generator=generator, requires_grad=True)
    for part in head.parts:
        part.data[:, -1].normal_(generator=generator)
    inputs = [*head.parts, h]
    got = head.nll(rows_of(x), h, positive_weight)
    logits = [h[:, g] @ w.T for g, w in enumerate(head.weight.split(SIZES))]
    dense = torch.cat(logits, dim=1) + head.bias
    torch.testing.assert_close(head.logits(h), dense)
    expected = F.binary_cross_entropy_with_logits(
        dense, torch.from_numpy(x), reduction="sum", pos_weight=torch.tensor(positive_weight)
    ) / len(x)
    torch.testing.assert_close(got, expected)
    theirs = torch.autograd.grad(3.0 * expected, inputs)
    for mine, other in zip(torch.autograd.grad(3.0 * got, inputs), theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_a_share_of_the_features_gives_the_likelihood_on_average(x, generator, monkeypatch):
    """Groups of one length each, so that stretches are alike; gradients too."""
    monkeypatch.setattr(module, "LEAST_TILES", 1)
    sizes = [4] * 6
    head, h = GroupedBernoulli(sizes, 3), torch.randn(7, 6, 3, generator=generator, requires_grad=True)
    rows = rows_of(np.tile(x, 2)[:, :24])
    torch.manual_seed(0)
    parts = [head.nll(rows, h, share=0.5) for _ in range(400)]
    whole = head.nll(rows, h)
    torch.testing.assert_close(torch.stack(parts).mean(), whole, rtol=0.02, atol=0)
    slopes = [torch.autograd.grad(part, h)[0] for part in parts]
    torch.testing.assert_close(torch.stack(slopes).mean(0), torch.autograd.grad(whole, h)[0], rtol=0, atol=0.03)


def test_features_that_a_step_does_not_look_at_stay_as_they_are(x, generator, monkeypatch):
    monkeypatch.setattr(module, "LEAST_TILES", 1)
    head, h = GroupedBernoulli(SIZES, 3), torch.randn(7, 4, 3, generator=generator)
    optimizer, rows = torch.optim.Adam(head.parameters(), lr=0.1, weight_decay=0.1), rows_of(x)
    for _ in range(6):
        before = [part.detach().clone() for part in head.parts]
        optimizer.zero_grad()
        head.nll(rows, h, share=0.5).backward()
        optimizer.step()
        drawn = [part.grad is not None for part in head.parts]
        assert sum(drawn) == round(0.5 * len(drawn))
        assert [not torch.equal(*pair) for pair in zip(before, head.parts, strict=True)] == drawn


def test_chances_have_the_sum_that_is_asked_for(generator):
    logits, total = (
        3.0 * torch.randn(6, 500, generator=generator) - 2.0,
        torch.tensor([1.0, 5.0, 50.0, 150.0, 300.0, 450.0]),
    )
    chances = chances_of_sum(logits, total)
    torch.testing.assert_close(chances.sum(1), total, rtol=1e-3, atol=0)
    moved = torch.logit(chances.double()) - logits.double()
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), rtol=0, atol=0.05)


def test_half_precision_is_near(x, generator):
    head, h = GroupedBernoulli(SIZES, 3), torch.randn(7, 4, 3, generator=generator, requires_grad=True)
    full = head.nll(rows_of(x), h)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = head.nll(rows_of(x), h)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=2e-2, atol=0)


def test_extreme_logits_stay_finite(x):
    head, h = GroupedBernoulli(SIZES, 1), torch.ones(7, 4, 1)
    for extreme in (200.0, -200.0):
        head.start_at(weight=torch.full((sum(SIZES), 1), extreme))
        assert head.nll(rows_of(x), h).isfinite()


def test_the_head_begins_at_the_frequencies(x):
    head = GroupedBernoulli(SIZES, 2)
    head.start_at(torch.full((sum(SIZES),), 0.25))
    torch.testing.assert_close(head.logits(torch.zeros(1, 4, 2)).sigmoid(), torch.full((1, sum(SIZES)), 0.25))

"""Contrast: InfoNCE against a loop, views that miss features of their own, negatives by similarity."""

from __future__ import annotations

import math

import pytest
import scipy.sparse as sp
import torch

from isthmus.data import SparseLoader
from isthmus.nn.contrast import InfoNCE, cosines, hard_negatives, masked_views


def test_infonce_is_the_loop(generator):
    u, v = (torch.randn(6, 4, generator=generator) for _ in range(2))
    loss, t = InfoNCE(0.2)(cosines(u, v)), 0.2
    expected = 0.0
    for one, two in ((u, v), (v, u)):
        for i in range(6):
            s = [float(torch.cosine_similarity(one[i], two[j], dim=0)) / t for j in range(6)]
            expected += (math.log(sum(math.exp(x) for x in s)) - s[i]) / 12
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_the_contrast_knows_no_order_and_no_length(generator):
    u, v = (torch.randn(6, 4, generator=generator) for _ in range(2))
    block, order = InfoNCE(), torch.randperm(6, generator=generator)
    expected = block(cosines(u, v))
    torch.testing.assert_close(block(cosines(3.0 * u[order], 0.1 * v[order])), expected)
    torch.testing.assert_close(block(cosines(v, u)), expected)
    assert float(block(cosines(u, u))) < float(expected)


def test_the_temperature_is_learned_within_bounds(generator):
    s = cosines(*(torch.randn(6, 4, generator=generator) for _ in range(2)))
    block, fixed = InfoNCE(0.1), InfoNCE(0.1, learnable=False)
    block(s).backward()
    assert float(block.log_temperature.grad) != 0.0
    assert not list(fixed.parameters())
    with torch.no_grad():
        block.log_temperature.fill_(5.0)
    torch.testing.assert_close(block(s), InfoNCE(1.0)(s))


def test_each_view_of_each_cell_misses_its_own_features(rng):
    x = sp.csr_matrix(rng.uniform(1.0, 2.0, (200, 50)).astype("f4"))
    rows = next(SparseLoader(x, rng.integers(0, 1, 200), batch_size=200).epoch()).x
    with torch.random.fork_rng():
        torch.manual_seed(0)
        views = [view.dense for view in masked_views(rows, 3, 0.4)]
    hidden = torch.stack([view == 0 for view in views])
    assert hidden.float().mean() == pytest.approx(0.4, abs=0.02)
    assert not torch.equal(hidden[0], hidden[1])
    assert hidden[0].float().mean(dim=0).min() > 0.3  # no column is hidden from all cells alike
    assert hidden[0].float().mean(dim=0).max() < 0.5 + 0.1
    torch.testing.assert_close(views[0][~hidden[0]], rows.dense[~hidden[0]] / 0.6)


def test_negatives_are_allowed_distinct_and_similar(generator):
    similarity = torch.rand(40, 40, generator=generator)
    allowed = ~torch.eye(40, dtype=torch.bool)
    allowed[0] = False
    allowed[1, 2:] = False
    index, valid = hard_negatives(similarity, allowed, 3, 0.1)
    assert index.shape == (40, 3)
    assert not valid[0].any()
    assert valid[1].sum() == 1
    assert valid[2:].all()
    for i in range(2, 40):
        assert i not in index[i]
        assert len(set(index[i].tolist())) == 3
    drawn = similarity.gather(1, index)[2:].mean()
    assert drawn > similarity.mean() + 0.2


def test_negatives_come_with_the_weight_of_their_similarity():
    s = torch.tensor([[0.0, 1.0, 2.0]]).repeat(20_000, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        index, _ = hard_negatives(s, torch.ones_like(s, dtype=torch.bool), 1, 1.0)
    share = torch.bincount(index[:, 0], minlength=3) / 20_000
    torch.testing.assert_close(share, s[0].softmax(dim=0), atol=0.02, rtol=0.0)


def test_there_may_be_fewer_cells_than_negatives(generator):
    index, valid = hard_negatives(torch.rand(2, 2, generator=generator), ~torch.eye(2, dtype=torch.bool), 5, 0.1)
    assert index.shape == (2, 2)
    assert valid.sum(dim=1).tolist() == [1, 1]

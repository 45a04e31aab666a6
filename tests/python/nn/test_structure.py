from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from isthmus.nn import Gaussian
from isthmus.nn.structure import mean_pairwise_kl, structure_loss


@pytest.fixture
def q(generator):
    mean = 3.0 + torch.randn(9, 4, generator=generator)
    return Gaussian(mean, torch.randn(9, 4, generator=generator))


def test_pairwise_divergence_equals_brute_force(q):
    each = [Independent(Normal(m, (0.5 * v).exp()), 1) for m, v in zip(q.mean, q.log_variance, strict=True)]
    brute = torch.stack([kl_divergence(a, b) for a in each for b in each]).mean()
    torch.testing.assert_close(mean_pairwise_kl(q), brute)


def test_its_gradient_is_that_of_brute_force(q):
    parts = [q.mean.requires_grad_(), q.log_variance.requires_grad_()]
    variance = q.log_variance.exp()
    gap = (q.mean[:, None] - q.mean).square() / variance + variance[:, None] / variance
    brute = 0.5 * (gap - 1.0 + q.log_variance - q.log_variance[:, None]).sum(dim=2).mean()
    theirs = torch.autograd.grad(brute, parts)
    for mine, other in zip(torch.autograd.grad(mean_pairwise_kl(q), parts), theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_a_shift_of_all_cells_changes_nothing(q):
    torch.testing.assert_close(
        mean_pairwise_kl(Gaussian(q.mean + 100.0, q.log_variance)), mean_pairwise_kl(q), rtol=1e-4, atol=0
    )


def test_structure_equals_a_loop_over_pairs(generator):
    z, g, w = (
        torch.randn(8, 3, generator=generator),
        torch.randn(8, 5, generator=generator),
        torch.rand(8, generator=generator),
    )
    cosine = torch.nn.functional.cosine_similarity
    pairs = [
        w[i] * w[j] * (cosine(g[i], g[j], dim=0) - cosine(z[i], z[j], dim=0)) ** 2
        for i in range(8)
        for j in range(8)
        if i != j
    ]
    torch.testing.assert_close(structure_loss(z, g, w), torch.stack(pairs).mean())


def test_structure_does_not_depend_on_order_or_scale(generator):
    z, g, w = (
        torch.randn(8, 3, generator=generator),
        torch.randn(8, 5, generator=generator),
        torch.rand(8, generator=generator),
    )
    order = torch.randperm(8, generator=generator)
    expected = structure_loss(z, g, w)
    torch.testing.assert_close(structure_loss(z[order], g[order], w[order]), expected)
    torch.testing.assert_close(structure_loss(z, 1000.0 * g, w), expected)
    assert structure_loss(g, 0.01 * g, w) < 1e-10


def test_structure_of_parts_is_that_of_the_whole_on_average(generator):
    z, g = torch.randn(200, 3, generator=generator), torch.randn(200, 5, generator=generator)
    parts = [
        structure_loss(z[rows], g[rows]) for rows in (torch.randperm(200, generator=generator)[:4] for _ in range(3000))
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), structure_loss(z, g), rtol=0.05, atol=0)


def test_only_cells_of_one_group_are_compared(generator):
    z, g, w = (
        torch.randn(9, 3, generator=generator),
        torch.randn(9, 5, generator=generator),
        torch.rand(9, generator=generator),
    )
    group = torch.tensor([0, 1, 0, 1, 1, 0, 0, 2, 1])  # the one of the last group has nothing to be compared with
    pairs, total = {0: 12, 1: 12}, 0.0
    for code, number in pairs.items():
        own = group == code
        total = total + number * structure_loss(z[own], g[own], w[own])
    torch.testing.assert_close(structure_loss(z, g, w, group), total / 24)
    assert structure_loss(z[:2], g[:2], None, group[:2]) == 0

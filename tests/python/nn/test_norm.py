from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.nn import DomainBatchNorm


class OneNormPerDomain(nn.Module):
    """The slow version: one BatchNorm1d a domain, in a loop."""

    def __init__(self, n_features: int, n_domains: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm1d(n_features) for _ in range(n_domains))

    def forward(self, x, domain):
        out = torch.zeros_like(x)
        for code, norm in enumerate(self.norms):
            mine = domain == code
            norm.train(self.training and int(mine.sum()) >= 2)  # too few cells: running statistics, kept as they are
            if mine.any():
                out = out.masked_scatter(mine[:, None].expand_as(x), norm(x[mine]))
        return out

    def stacked(self, name):
        return torch.stack([getattr(norm, name) for norm in self.norms])


def a_pair(n_domains, generator):
    """The fast and the slow version with the same weights."""
    fast, slow = DomainBatchNorm(5, n_domains), OneNormPerDomain(5, n_domains)
    with torch.no_grad():
        fast.weight.copy_(torch.randn(n_domains, 5, generator=generator))
        fast.bias.copy_(torch.randn(n_domains, 5, generator=generator))
        for code, norm in enumerate(slow.norms):
            norm.weight.copy_(fast.weight[code])
            norm.bias.copy_(fast.bias[code])
    return fast, slow


def assert_same_state(fast, slow):
    torch.testing.assert_close(fast.running_mean, slow.stacked("running_mean"))
    torch.testing.assert_close(fast.running_var, slow.stacked("running_var"))


# domain 2 has one cell in the first mini-batch and none in the second
MINIBATCHES = [[0, 1, 0, 1, 1, 2, 0, 1], [1, 0, 0, 1, 1, 0], [2, 2, 2, 0]]


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_training_equals_a_loop_over_ordinary_norms(generator, offset):
    fast, slow = a_pair(3, generator)
    for codes in MINIBATCHES:
        domain = torch.tensor(codes)
        x = (torch.randn(len(codes), 5, generator=generator) * 2 + offset).requires_grad_()
        other = x.detach().clone().requires_grad_()
        weight = torch.randn(len(codes), 5, generator=generator)
        mine, reference = fast(x, domain), slow(other, domain)
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)
        (mine * weight).sum().backward()
        (reference * weight).sum().backward()
        torch.testing.assert_close(x.grad, other.grad, rtol=1e-4, atol=1e-4)
    assert_same_state(fast, slow)
    torch.testing.assert_close(fast.weight.grad, torch.stack([n.weight.grad for n in slow.norms]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fast.bias.grad, torch.stack([n.bias.grad for n in slow.norms]))


def test_evaluation_equals_a_loop_over_ordinary_norms(generator):
    fast, slow = a_pair(3, generator)
    for codes in MINIBATCHES:
        x = torch.randn(len(codes), 5, generator=generator)
        fast(x, torch.tensor(codes)), slow(x, torch.tensor(codes))
    before = fast.running_mean.clone()
    fast.eval(), slow.eval()
    x, domain = torch.randn(6, 5, generator=generator), torch.tensor([2, 0, 1, 1, 0, 2])
    torch.testing.assert_close(fast(x, domain), slow(x, domain))
    assert torch.equal(fast.running_mean, before)


def test_one_domain_equals_the_ordinary_norm(generator):
    fast, slow = a_pair(1, generator)
    x = torch.randn(7, 5, generator=generator)
    torch.testing.assert_close(fast(x, torch.zeros(7, dtype=torch.long)), slow.norms[0](x))
    assert_same_state(fast, slow)


@pytest.mark.parametrize("cells", [0, 1])
def test_a_domain_with_too_few_cells_uses_and_keeps_its_running_statistics(generator, cells):
    norm = DomainBatchNorm(5, 2)
    norm.running_mean[1], norm.running_var[1] = 4.0, 9.0
    x = torch.randn(6 + cells, 5, generator=generator)
    domain = torch.tensor([0] * 6 + [1] * cells)
    y = norm(x, domain)
    assert (norm.running_mean[1] == 4.0).all()
    assert (norm.running_var[1] == 9.0).all()
    torch.testing.assert_close(y[6:], (x[6:] - 4.0) / (9.0 + norm.eps) ** 0.5)


def test_a_lone_cell_gives_finite_gradients(generator):
    norm = DomainBatchNorm(5, 2)
    x = torch.randn(1, 5, generator=generator, requires_grad=True)
    norm(x, torch.tensor([1])).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(norm.weight.grad).all()


def test_equal_cells_of_a_domain_give_the_shift(generator):
    norm = DomainBatchNorm(5, 2)
    x = torch.full((4, 5), 3.0)
    torch.testing.assert_close(norm(x, torch.tensor([0, 0, 1, 1])), torch.zeros(4, 5), atol=1e-3, rtol=0)


def test_order_of_cells_does_not_matter(generator):
    fast, _ = a_pair(3, generator)
    x, domain = torch.randn(9, 5, generator=generator), torch.tensor([0, 1, 2] * 3)
    order = torch.randperm(9, generator=generator)
    torch.testing.assert_close(fast(x, domain)[order], fast(x[order], domain[order]))


def test_moments_are_in_full_precision_under_autocast(generator):
    x, domain = torch.randn(64, 5, generator=generator) * 0.1 + 1, torch.tensor([0, 1] * 32)
    plain, cast = DomainBatchNorm(5, 2), DomainBatchNorm(5, 2)
    plain(x, domain)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast(x, domain)
    assert torch.equal(plain.running_mean, cast.running_mean)
    assert torch.equal(plain.running_var, cast.running_var)

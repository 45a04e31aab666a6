from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from isthmus.nn import Gaussian, kl_standard_normal


@pytest.fixture
def posterior(generator):
    draw = torch.randn(2, 50, 7, generator=generator)
    return Gaussian(draw[0] * 3, draw[1])


def test_divergence_is_that_of_torch(posterior):
    reference = kl_divergence(Normal(posterior.mean, (0.5 * posterior.log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_standard_normal(posterior), reference)


def test_divergence_from_itself_is_zero():
    assert kl_standard_normal(Gaussian(torch.zeros(3, 4), torch.zeros(3, 4))).abs().max() == 0


def test_draws_have_the_moments_of_the_posterior():
    q = Gaussian(torch.tensor([[2.0, -1.0]]).expand(20_000, 2), torch.tensor([[0.0, -2.0]]).expand(20_000, 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = q.rsample()
    torch.testing.assert_close(z.mean(0), torch.tensor([2.0, -1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(
        z.var(0),
        torch.tensor([1.0, -2.0]).where(torch.tensor([True, False]), torch.tensor(-2.0).exp()),
        atol=0.03,
        rtol=0,
    )


def test_draws_are_differentiable_in_both_parameters():
    mean, log_variance = torch.zeros(5, 3, requires_grad=True), torch.zeros(5, 3, requires_grad=True)
    z = Gaussian(mean, log_variance).rsample()
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(5, 3))
    torch.testing.assert_close(log_variance.grad, 0.5 * z.detach())  # z = exp(v / 2) e, so dz/dv = z / 2

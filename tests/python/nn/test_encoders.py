from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from isthmus.nn import GaussianEncoder, Moments


@pytest.fixture
def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = GaussianEncoder(20, 6, 3)
        torch.nn.init.normal_(encoder.norm.weight)
        torch.nn.init.normal_(encoder.norm.bias)
        encoder.norm.running_mean.normal_()
        encoder.norm.running_var.uniform_(0.5, 2.0)
    return encoder


def by_hand(encoder, x, mean, variance):
    """The encoder in plain matrix words."""
    h = x @ encoder.first.weight + encoder.first.bias
    h = (h - mean) / (variance + encoder.norm.eps).sqrt() * encoder.norm.weight + encoder.norm.bias
    h = F.relu(h)
    return encoder.mean(h), encoder.log_variance(h)


def test_training_normalises_with_the_minibatch(encoder, rows_of, sparse_matrix):
    x = torch.from_numpy(sparse_matrix(30, 20, 0.2))
    h = x @ encoder.first.weight + encoder.first.bias
    mean, log_variance = by_hand(encoder, x, h.mean(0), h.var(0, correction=0))
    q = encoder.train()(rows_of(x))
    torch.testing.assert_close(q.mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(q.log_variance, log_variance, rtol=1e-4, atol=1e-5)


def test_evaluation_normalises_with_the_running_statistics(encoder, rows_of, sparse_matrix):
    x = torch.from_numpy(sparse_matrix(30, 20, 0.2))
    encoder.eval()
    mean, _ = by_hand(encoder, x, encoder.norm.running_mean, encoder.norm.running_var)
    torch.testing.assert_close(encoder(rows_of(x)).mean, mean, rtol=1e-4, atol=1e-5)
    running = encoder.running_moments()
    given = encoder(rows_of(x), moments=running, group=torch.zeros(30, dtype=torch.long))
    torch.testing.assert_close(given.mean, mean, rtol=1e-4, atol=1e-5)


def test_moments_are_those_of_the_cells_group(encoder, rows_of, sparse_matrix, generator):
    x = torch.from_numpy(sparse_matrix(30, 20, 0.2))
    moments = Moments(torch.randn(2, 6, generator=generator), torch.rand(2, 6, generator=generator) + 0.1)
    group = torch.arange(30) % 2
    q = encoder.eval()(rows_of(x), moments=moments, group=group)
    for code in (0, 1):
        mean, _ = by_hand(encoder, x[group == code], moments.mean[code], moments.variance[code])
        torch.testing.assert_close(q.mean[group == code], mean, rtol=1e-4, atol=1e-5)


def test_fill_is_the_value_of_unmeasured_features(encoder, rows_of, sparse_matrix):
    x = sparse_matrix(10, 20, 0.3)
    x[:, :4] = 0
    fill = torch.zeros(20)
    fill[:4] = torch.tensor([0.5, 0.2, 0.1, 0.9])
    encoder.eval()
    torch.testing.assert_close(encoder(rows_of(x), fill).mean, encoder(rows_of(x + fill.numpy())).mean)


def test_posterior_is_full_precision_under_autocast(encoder, rows_of, sparse_matrix):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = encoder.train()(rows_of(sparse_matrix(10, 20, 0.3)))
    assert q.mean.dtype == q.log_variance.dtype == torch.float32


def test_mixture_of_moments_is_that_of_mixed_samples(rng):
    one, other = rng.normal(2.0, 1.5, 200_000), rng.normal(-1.0, 0.5, 200_000)
    for weight in (0.0, 0.25, 1.0):
        take = rng.random(200_000) < weight
        mixed = np.where(take, one, other)
        mine = Moments(torch.tensor([[2.0]]), torch.tensor([[2.25]])).towards(
            Moments(torch.tensor([[-1.0]]), torch.tensor([[0.25]])), torch.tensor([weight])
        )
        assert float(mine.mean) == pytest.approx(mixed.mean(), abs=0.02)
        assert float(mine.variance) == pytest.approx(mixed.var(), abs=0.04)


def test_mixture_weights_each_group_by_its_own(generator):
    a, b = (Moments(torch.randn(3, 4, generator=generator), torch.rand(3, 4, generator=generator)) for _ in range(2))
    mixed = a.towards(b, torch.tensor([1.0, 0.0, 0.5]))
    torch.testing.assert_close(mixed.mean[0], a.mean[0])
    torch.testing.assert_close(mixed.variance[1], b.variance[1])
    torch.testing.assert_close(mixed.mean[2], (a.mean[2] + b.mean[2]) / 2)

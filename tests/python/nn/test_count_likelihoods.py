"""NB and ZINB against SciPy, entry by entry."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.stats import nbinom

from isthmus.nn import CountHead, SparseRows, likelihoods, nb_nll, zinb_nll

CELLS, FEATURES = 6, 9


def rows(x):
    x = sp.csr_matrix(x)
    return SparseRows(
        torch.from_numpy(x.indptr.astype(np.int64)),
        torch.from_numpy(x.indices.astype(np.int64)),
        torch.from_numpy(x.data.astype(np.float32)),
        x.shape[1],
    )


@pytest.fixture
def parts(rng):
    counts = rng.poisson(1.5, (CELLS, FEATURES))
    counts[0], counts[1, 3] = 0, 400  # a cell without counts, and a count far above its mean
    log_mean = rng.normal(0.0, 1.5, (CELLS, FEATURES))
    return counts, log_mean, rng.normal(0.0, 1.0, FEATURES), rng.normal(0.0, 2.0, (CELLS, FEATURES))


def tensors(*arrays):
    return [torch.from_numpy(a.astype(np.float32)).requires_grad_() for a in arrays]


def log_nb(counts, log_mean, log_theta):
    theta, mean = np.exp(log_theta), np.exp(log_mean)
    return nbinom.logpmf(counts, theta, theta / (theta + mean))


def test_nb_is_scipys(parts):
    counts, log_mean, log_theta, _ = parts
    slow = -log_nb(counts, log_mean, log_theta).sum(axis=1)
    np.testing.assert_allclose(nb_nll(rows(counts), *tensors(log_mean, log_theta)).detach(), slow, rtol=1e-4)


def test_zinb_is_a_mixture_of_dropouts_and_nb(parts):
    counts, log_mean, log_theta, logits = parts
    p, nb = 1 / (1 + np.exp(-logits)), np.exp(log_nb(counts, log_mean, log_theta))
    slow = -np.log(np.where(counts == 0, p + (1 - p) * nb, (1 - p) * nb)).sum(axis=1)
    fast = zinb_nll(rows(counts), *tensors(log_mean, log_theta, logits)).detach()
    np.testing.assert_allclose(fast, slow, rtol=1e-4)


def test_zinb_without_dropouts_is_nb(parts):
    counts, log_mean, log_theta, _ = parts
    given = tensors(log_mean, log_theta)
    never = torch.full((CELLS, FEATURES), -30.0)
    torch.testing.assert_close(
        zinb_nll(rows(counts), *given, never), nb_nll(rows(counts), *given), rtol=1e-5, atol=1e-4
    )


def test_gradients_are_those_of_the_dense_formula(parts):
    counts, log_mean, log_theta, logits = parts
    given = tensors(log_mean, log_theta, logits)
    zinb_nll(rows(counts), *given).sum().backward()
    dense = [t.detach().double().requires_grad_() for t in given]
    k, (m, th, pi) = torch.from_numpy(counts).double(), (dense[0].exp(), dense[1].exp(), dense[2].sigmoid())
    nb = torch.lgamma(k + th) - torch.lgamma(th) - torch.lgamma(k + 1)
    nb = nb + th * (th / (th + m)).log() + k * (m / (th + m)).log()
    slow = -torch.where(k == 0, (pi + (1 - pi) * nb.exp()).log(), (1 - pi).log() + nb).sum()
    slow.backward()
    for fast, expected in zip(given, dense, strict=True):
        torch.testing.assert_close(fast.grad.double(), expected.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("likelihood", [nb_nll, zinb_nll])
def test_the_compiler_leaves_the_likelihood_as_it_is(likelihood, parts, monkeypatch):
    monkeypatch.setattr(likelihoods, "_count_nll", likelihoods._count_nll)  # as before when the test ends
    likelihoods.leave_uncompiled()
    counts, *given = parts
    given = tensors(*given)[: 2 + (likelihood is zinb_nll)]
    compiled = torch.compile(lambda x, *given: likelihood(x, *given).mean(), backend="eager")
    compiled(rows(counts), *given).backward()
    slopes = [t.grad for t in given]
    again = [t.detach().requires_grad_() for t in given]
    likelihood(rows(counts), *again).mean().backward()
    for slope, expected in zip(slopes, again, strict=True):
        torch.testing.assert_close(slope, expected.grad)


@pytest.mark.parametrize("log_mean", [-60.0, 15.0])
def test_extreme_means_stay_finite(log_mean):
    counts = rows(np.array([[0, 1, 5000]]))
    given = [torch.full((1, 3), log_mean, requires_grad=True), torch.zeros(3), torch.zeros(1, 3)]
    loss = zinb_nll(counts, *given)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(given[0].grad).all()


@pytest.mark.parametrize("likelihood", ["zinb", "nb"])
def test_the_library_is_shared_out(likelihood, generator):
    head = CountHead(4, FEATURES, likelihood)
    h = torch.randn(CELLS, 4, generator=generator)
    shares = head.shares(h)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(CELLS))
    counts = rows(np.ones((CELLS, FEATURES)))
    library = torch.full((CELLS, 1), 3.0)
    given = [(library + shares.log()).detach(), head.log_theta]
    expected = nb_nll(counts, *given) if likelihood == "nb" else zinb_nll(counts, *given, head.dropout_logits(h))
    torch.testing.assert_close(head.nll(counts, h, library), expected, rtol=1e-4, atol=1e-4)

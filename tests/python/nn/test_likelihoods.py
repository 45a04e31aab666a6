from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from isthmus.nn import bernoulli_nll


@pytest.mark.parametrize("path", ["sparse", "dense"])
@pytest.mark.parametrize("density", [0.0, 0.05, 1.0])
def test_equals_cross_entropy_with_its_gradient(rows_of, sparse_matrix, generator, path, density):
    x = sparse_matrix(12, 30, density)
    rows = rows_of(x)
    if path == "dense":
        _ = rows.dense  # a layer that made the rows dense switches the path
    logits = (torch.randn(12, 30, generator=generator) * 5).requires_grad_()
    other = logits.detach().clone().requires_grad_()

    mine = bernoulli_nll(rows, logits)
    reference = F.binary_cross_entropy_with_logits(other, torch.from_numpy(x), reduction="none").sum(dim=1)
    torch.testing.assert_close(mine, reference)

    weight = torch.rand(12, generator=generator)
    (mine * weight).sum().backward()
    (reference * weight).sum().backward()
    torch.testing.assert_close(logits.grad, other.grad)


def test_extreme_logits_stay_finite(rows_of):
    nll = bernoulli_nll(rows_of([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[200.0, -200.0], [200.0, -200.0]]))
    torch.testing.assert_close(nll, torch.tensor([0.0, 400.0]))


def test_sums_are_in_full_precision(rows_of, sparse_matrix, generator):
    x = sparse_matrix(6, 4000, 0.05)
    logits = torch.randn(6, 4000, generator=generator).bfloat16()
    nll = bernoulli_nll(rows_of(x), logits)
    assert nll.dtype == torch.float32
    reference = F.binary_cross_entropy_with_logits(logits.double(), torch.from_numpy(x).double(), reduction="none")
    torch.testing.assert_close(nll.double(), reference.sum(dim=1), rtol=1e-5, atol=1e-3)

from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.nn import SparseLinear


@pytest.fixture
def pair(generator):
    """A sparse layer and the ordinary layer of the same weights."""
    sparse, plain = SparseLinear(40, 8), nn.Linear(40, 8)
    with torch.no_grad():
        plain.weight.copy_(torch.randn(8, 40, generator=generator))
        plain.bias.copy_(torch.randn(8, generator=generator))
        sparse.weight.copy_(plain.weight.T)
        sparse.bias.copy_(plain.bias)
    return sparse, plain


@pytest.mark.parametrize("density", [0.0, 0.02, 0.9], ids=["empty", "gather", "product"])
def test_equals_the_ordinary_layer_with_its_gradient(rows_of, sparse_matrix, generator, pair, density):
    sparse, plain = pair
    x = sparse_matrix(16, 40, density)
    mine, reference = sparse(rows_of(x)), plain(torch.from_numpy(x))
    torch.testing.assert_close(mine, reference)

    weight = torch.randn(16, 8, generator=generator)
    (mine * weight).sum().backward()
    (reference * weight).sum().backward()
    torch.testing.assert_close(sparse.weight.grad, plain.weight.grad.T)
    torch.testing.assert_close(sparse.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("density", [0.02, 0.9], ids=["gather", "product"])
def test_fill_stands_for_values_in_every_row(rows_of, sparse_matrix, pair, density):
    sparse, plain = pair
    x = sparse_matrix(16, 40, density)
    x[:, :5] = 0
    fill = torch.zeros(40)
    fill[:5] = torch.tensor([0.3, 0.1, 0.0, 1.0, 0.7])
    torch.testing.assert_close(sparse(rows_of(x), fill), plain(torch.from_numpy(x) + fill))


def test_first_weights_lie_where_those_of_the_ordinary_layer_lie():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sparse, plain = SparseLinear(100, 300), nn.Linear(100, 300)
    assert sparse.weight.abs().max() <= 0.1
    torch.testing.assert_close(sparse.weight.std(), plain.weight.std(), rtol=0.02, atol=0)
    assert sparse.bias.abs().max() <= 0.1

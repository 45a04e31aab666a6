"""Codes and their fusion: starts that are linear reductions, whitening that can be undone."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from isthmus.data import SparseLoader
from isthmus.nn.fusion import CodeEncoder, ResidualFusion, Whitening


def close(a, b, **settings):
    torch.testing.assert_close(a, b, **settings)


@pytest.fixture
def rows(rng):
    x = sp.csr_matrix(rng.poisson(1.0, (9, 12)).astype("f4"))
    return next(SparseLoader(x, np.zeros(9, dtype=np.int64), batch_size=9).epoch()).x


@pytest.mark.parametrize("latent", [4, 6])
def test_an_encoder_begins_as_the_reduction(rows, generator, latent):
    encoder = CodeEncoder(12, 8, latent, 0.0)
    loadings, shift = torch.randn(12, 6, generator=generator), torch.randn(6, generator=generator)
    encoder.start_at(loadings, shift)
    torch.nn.init.zeros_(encoder.bent[-1].weight)
    torch.nn.init.zeros_(encoder.bent[-1].bias)
    expected = torch.nn.functional.layer_norm((rows.dense @ loadings + shift)[:, :latent], (latent,))
    close(encoder(rows), expected, atol=1e-4, rtol=1e-4)


def test_a_code_has_mean_0_and_variance_1_whatever_the_cell(rows):
    z = CodeEncoder(12, 8, 5, 0.1)(rows)
    close(z.mean(dim=1), torch.zeros(9), atol=1e-5, rtol=0.0)
    close(z.square().mean(dim=1), torch.ones(9), atol=1e-3, rtol=0.0)


def test_fusion_begins_near_an_orthogonal_projection(generator):
    fusion = ResidualFusion(4, 8)
    close(fusion.straight.weight @ fusion.straight.weight.T, torch.eye(8), atol=1e-5, rtol=0.0)
    u, v = (torch.randn(7, 4, generator=generator) for _ in range(2))
    close(fusion(u, v)[2:3], fusion(u[2:3], v[2:3]))


def test_whitening_gives_unit_covariance_and_can_be_undone(generator):
    z = torch.randn(300, 5, generator=generator) @ torch.randn(5, 5, generator=generator) + 3.0
    block = Whitening(5)
    close(block(z), z)  # at first it does nothing
    block.settle(z)
    w = block(z)
    close(w.mean(dim=0), torch.zeros(5), atol=1e-4, rtol=0.0)
    close(w.T @ w / 299, torch.eye(5), atol=1e-3, rtol=0.0)
    close(block.undo(w), z, atol=1e-3, rtol=1e-3)
    again = Whitening(5)
    again.settle(z[torch.randperm(300, generator=generator)])
    close(again(z), w, atol=1e-3, rtol=1e-3)


def test_a_direction_without_variance_stays_finite(generator):
    z = torch.randn(300, 5, generator=generator)
    z[:, 4] = z[:, 0]
    block = Whitening(5)
    block.settle(z)
    assert block(z).isfinite().all()
    close(block.undo(block(z)), z, atol=1e-3, rtol=1e-3)
    block.settle(torch.ones(4, 5))
    close(block(torch.ones(4, 5)), torch.zeros(4, 5))


def test_a_direction_is_held_back_and_the_others_are_not(generator):
    z = torch.randn(300, 5, generator=generator) @ torch.randn(5, 5, generator=generator) + 3.0
    block = Whitening(5)
    block.settle(z)
    before = block(z)
    both, rest = torch.linalg.qr(torch.randn(5, 5, generator=generator))[0].split([2, 3], dim=1)
    block.hold_back(both, torch.tensor([0.25, 0.0]))
    close(block(z) @ rest, before @ rest, atol=1e-3, rtol=1e-3)
    close(block(z) @ both, before @ both * torch.tensor([0.25, 0.01]), atol=1e-3, rtol=1e-3)
    close(block.undo(block(z)), z, atol=1e-2, rtol=1e-3)
    held = block(z)
    block.hold_back(torch.empty(5, 0), torch.empty(0))
    close(block(z), held)


def test_directions_that_halves_do_not_agree_on_count_less(generator):
    """Two signals, one of them small, and three directions of noise: the noise is held back, the small signal not."""
    scale = torch.tensor([3.0, 0.3, 1.0, 1.0, 1.0])
    signal = torch.randn(2000, 5, generator=generator) * torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    halves = [(signal + 0.3 * torch.randn(2000, 5, generator=generator)) * scale for _ in range(2)]
    block, z = Whitening(5), sum(halves) / 2
    block.settle(z, tuple(halves))
    w = block(z)
    spread = w.std(dim=0)
    rho = 1 / (1 + 0.09)  # of variance in one half that is signal
    close(spread[:2], torch.full((2,), rho), atol=0.03, rtol=0.0)
    assert spread[2:].max() < 0.1
    close(w.T @ w / 1999, torch.diag(spread**2), atol=0.05, rtol=0.0)
    close(block.undo(w), z, atol=1e-3, rtol=1e-3)
    block.settle(z, tuple(halves), least=0.4)
    close(block(z).std(dim=0), torch.cat([spread[:2], torch.full((3,), 0.4)]), atol=0.02, rtol=0.0)

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from isthmus.data import Batch
from isthmus.models import SCALEX
from isthmus.nn import SparseRows
from isthmus.train import Clock


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return SCALEX(n_features=12, n_batches=3, n_latent=4, n_hidden=8, kl_weight=0.5)


@pytest.fixture
def batch(rng):
    dense = (rng.random((20, 12)) * (rng.random((20, 12)) < 0.4)).astype(np.float32)
    row, column = np.nonzero(dense)
    rows = SparseRows(
        torch.from_numpy(np.concatenate([[0], np.cumsum(np.bincount(row, minlength=20))])),
        torch.from_numpy(column), torch.from_numpy(dense[row, column]), 12,
    )  # fmt: skip
    return Batch({"x": rows}, torch.from_numpy(rng.integers(0, 3, 20)), torch.arange(20))


def test_losses_are_the_evidence_lower_bound(network, batch):
    """Equation 1 in plain words, with the same noise."""
    with torch.random.fork_rng():
        torch.manual_seed(9)
        losses = network.train().losses(batch)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        noise = torch.randn(20, 4)
    x = batch.x.dense
    h = x @ network.encoder.first.weight + network.encoder.first.bias
    h = F.relu(F.batch_norm(h, None, None, network.encoder.norm.weight, network.encoder.norm.bias, training=True))
    mean, log_variance = network.encoder.mean(h), network.encoder.log_variance(h)
    y = network.decoder(mean + (log_variance / 2).exp() * noise)
    logits = torch.empty_like(y)
    for code in range(3):
        mine = batch.covariate == code
        logits[mine] = F.batch_norm(
            y[mine], None, None, network.norm.weight[code], network.norm.bias[code], training=True
        )
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1).mean()
    kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(losses.reconstruction, reconstruction, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(losses.kl, kl, rtol=1e-4, atol=1e-4)
    (phase,) = network.phases()
    torch.testing.assert_close(phase.loss(losses, Clock(0, 1)), reconstruction + 0.5 * kl, rtol=1e-4, atol=1e-4)


def test_the_encoder_never_sees_the_batch(network, batch):
    q = network.eval().encode(batch.x)
    batch.covariate = batch.covariate.flip(0)
    torch.testing.assert_close(network.encode(batch.x).mean, q.mean)


def test_the_decoder_knows_the_batch_through_its_norm_only(network):
    network.eval()
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    shown = [network.decode(z, torch.full((5,), code)) for code in range(3)]
    torch.testing.assert_close(shown[0], shown[1])  # equal norms, equal cells
    with torch.no_grad():
        network.norm.bias[1] += 1.0
    assert (network.decode(z, torch.full((5,), 1)) > shown[0]).all()
    torch.testing.assert_close(network.decode(z, torch.full((5,), 2)), shown[2])
    assert all(((x > 0) & (x < 1)).all() for x in shown)


def test_hidden_is_what_the_norm_normalises(network, batch):
    network.eval()
    h = network.hidden(batch.x)
    expected = network.encoder.mean(F.relu(network.encoder.norm(h)))
    torch.testing.assert_close(network.encode(batch.x).mean, expected)


def test_it_can_start_at_the_mean_of_each_batch(network):
    """In training mode, where the norm brings W z to mean 0: the average cell shows about the batch's mean."""
    mean = torch.rand(3, 12, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.1
    network.start_at(mean)
    z = torch.randn(600, 4, generator=torch.Generator().manual_seed(2))
    domain = torch.arange(600) % 3
    shown = network.train().decode(z, domain)
    for code in range(3):
        np.testing.assert_allclose(shown[domain == code].mean(dim=0).detach(), mean[code], atol=0.05)


def test_means_of_zero_and_one_start_finite(network):
    network.start_at(torch.tensor([0.0, 1.0, 0.5]).repeat_interleave(4).expand(3, 12))
    assert torch.isfinite(network.norm.bias).all()


def test_features_are_hidden_in_training_only(batch):
    network = SCALEX(n_features=12, n_batches=3, n_latent=4, n_hidden=8, feature_dropout=0.5)
    seen = [network.train().encode(batch.x).mean for _ in range(2)]
    assert not torch.allclose(*seen)
    seen = [network.eval().encode(batch.x).mean for _ in range(2)]
    assert torch.equal(*seen)


def test_hidden_features_stay_targets_and_keep_their_sum(batch):
    values = batch.x.values.clone()
    rows = SparseRows(torch.tensor([0, 40_000]), torch.arange(40_000), torch.ones(40_000), 40_000)
    part = rows.dropout(0.3)
    assert float((part.values == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(part.values.mean()) == pytest.approx(1.0, abs=0.02)
    SCALEX(n_features=12, n_batches=3, n_latent=4, n_hidden=8, feature_dropout=0.5).train().losses(batch)
    assert torch.equal(batch.x.values, values)

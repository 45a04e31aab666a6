from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from isthmus.nn.graph import GAIN
from isthmus.nn.inner_product import DECODERS, LEAST_SD

CELLS, FEATURES, LATENT, BATCHES = 7, 12, 3, 2


@pytest.fixture
def parts(generator):
    """Cells, features and batches."""
    u = torch.randn(CELLS, LATENT, generator=generator)
    v = torch.randn(FEATURES, LATENT, generator=generator)
    return u, v, torch.tensor([0, 1, 1, 0, 1, 0, 0])


def decoder_of(name, generator, n_batches=BATCHES):
    decoder = DECODERS[name](FEATURES, n_batches)
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return decoder


def slow_activation(decoder, u, v, batch):
    out = np.zeros((CELLS, FEATURES))
    for i in range(CELLS):
        for j in range(FEATURES):
            scale = np.log1p(np.exp(GAIN * decoder.scale[batch[i], j].item()))
            out[i, j] = scale * float(u[i] @ v[j]) + GAIN * decoder.offset[batch[i], j].item()
    return out


def slow_nll(name, decoder, x, a, batch):
    """By SciPy's distributions."""

    def by_cell(table):
        return GAIN * table.detach().numpy()[batch.numpy()]

    if name in ("nb", "zinb"):
        share = np.exp(a - a.max(axis=1, keepdims=True))
        mean = share / share.sum(axis=1, keepdims=True) * np.maximum(x.sum(axis=1, keepdims=True), 1)
        theta = np.exp(by_cell(decoder.log_theta))
        p = stats.nbinom.pmf(x, theta, theta / (theta + mean))
        if name == "zinb":
            missing = 1 / (1 + np.exp(-by_cell(decoder.dropout_logits)))
            p = (1 - missing) * p + missing * (x == 0)
        return -np.log(p).sum(axis=1)
    if name == "bernoulli":
        return -stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-a))).sum(axis=1)
    sd = np.log1p(np.exp(by_cell(decoder.spread))) + LEAST_SD
    if name == "normal":
        return -stats.norm.logpdf(x, a, sd).sum(axis=1)
    zero = 1 / (1 + np.exp(-by_cell(decoder.zero_logits)))
    positive = np.log1p(-zero) + stats.lognorm.logpdf(np.maximum(x, 0.1), sd, scale=np.exp(a))
    return -np.where(x > 0, positive, np.log(zero)).sum(axis=1)


@pytest.mark.parametrize("name", list(DECODERS))
def test_likelihoods_are_those_of_scipy_with_each_batch_its_own(name, parts, rows_of, generator, rng):
    u, v, batch = parts
    decoder = decoder_of(name, generator)
    x = rng.poisson(1.5, (CELLS, FEATURES)).astype(np.float32)
    x = {"bernoulli": (x > 1).astype(np.float32), "ziln": x / 3, "normal": x - 1}.get(name, x)
    expected = slow_nll(name, decoder, x.astype(float), slow_activation(decoder, u, v, batch), batch)
    np.testing.assert_allclose(decoder.nll(rows_of(x), u, v, batch).detach(), expected, rtol=2e-4)


@pytest.mark.parametrize("name", list(DECODERS))
def test_one_batch_is_what_several_alike_are(name, parts, rows_of, generator, rng):
    u, v, batch = parts
    one = decoder_of(name, generator, 1)
    several = DECODERS[name](FEATURES, BATCHES)
    several.load_state_dict({k: w.expand(BATCHES, -1) for k, w in one.state_dict().items()})
    x = rows_of((rng.poisson(1.0, (CELLS, FEATURES)) > 0).astype(np.float32))
    results = []
    for decoder in (one, several):
        nll = decoder.nll(x, u, v, batch)
        nll.sum().backward()
        results.append((nll.detach(), {k: p.grad.sum(dim=0) for k, p in decoder.named_parameters()}))
    torch.testing.assert_close(results[0][0], results[1][0])
    for key, slope in results[0][1].items():
        torch.testing.assert_close(slope, results[1][1][key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["nb", "zinb"])
def test_expected_counts_share_out_the_library(name, parts, generator):
    u, v, batch = parts
    expected = decoder_of(name, generator).expected(u, v, batch, torch.full((CELLS, 1), 50.0))
    total = expected.sum(dim=1)
    assert torch.all(expected >= 0)
    assert torch.all(total < 50.0) if name == "zinb" else torch.allclose(total, torch.tensor(50.0))


def test_expected_values_are_the_mean_of_draws(parts, generator, rng):
    u, v, batch = parts
    decoder = decoder_of("ziln", generator)
    a = slow_activation(decoder, u, v, batch)
    sd = np.log1p(np.exp(GAIN * decoder.spread.detach().numpy()[batch])) + LEAST_SD
    there = 1 / (1 + np.exp(GAIN * decoder.zero_logits.detach().numpy()[batch]))
    expected = decoder.expected(u, v, batch, torch.ones(CELLS, 1)).detach().numpy()
    np.testing.assert_allclose(expected, there * np.exp(a + sd**2 / 2), rtol=1e-4)


@pytest.mark.parametrize("name", list(DECODERS))
def test_cells_and_offsets_can_move_together(name, parts, generator):
    u, v, batch = parts
    decoder = decoder_of(name, generator)
    library, shift = torch.full((CELLS, 1), 9.0), torch.randn(LATENT, generator=generator)
    before = decoder.expected(u, v, batch, library)
    with torch.no_grad():
        decoder.shift(v @ shift)
    torch.testing.assert_close(decoder.expected(u - shift, v, batch, library), before, rtol=1e-4, atol=1e-5)

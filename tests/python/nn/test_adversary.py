from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from isthmus.nn import (
    BatchClassifier,
    ConditionalDecoder,
    ConditionalEncoder,
    Discriminator,
    SparseRows,
    bhattacharyya,
    hide_batches,
)


def dense_rows(x):
    n, g = x.shape
    indices = torch.arange(g).repeat(n)
    return SparseRows(torch.arange(0, n * g + 1, g), indices, x.reshape(-1), g)


def test_bhattacharyya_is_the_sum_over_cells(rng):
    u, v = rng.random(7) + 0.1, rng.random(7) + 0.1
    slow = -math.log(sum(math.sqrt((a / sum(u)) * (b / sum(v))) for a, b in zip(u, v, strict=True)))
    assert float(bhattacharyya(torch.from_numpy(u), torch.from_numpy(v))) == pytest.approx(slow, rel=1e-4)


def test_bhattacharyya_is_zero_for_proportional_scores_and_never_negative(rng):
    u = torch.from_numpy(rng.random(50))
    assert float(bhattacharyya(u, 3 * u)) == pytest.approx(0.0, abs=1e-4)
    for _ in range(20):
        assert float(bhattacharyya(u, torch.from_numpy(rng.gamma(0.1, size=50)))) > -1e-6


def test_bhattacharyya_of_vanished_scores_has_a_finite_slope():
    u, v = torch.zeros(5, requires_grad=True), torch.rand(5)
    bhattacharyya(u, v).backward()
    assert torch.isfinite(u.grad).all()


def test_the_classifier_is_at_chance_when_it_knows_nothing():
    classifier = BatchClassifier(3, 8, torch.tensor([10, 90, 5]))
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()
    batch = torch.tensor([0, 1, 1, 1, 2])
    assert classifier(torch.randn(5, 3), batch).item() == pytest.approx(1.0)


def test_a_rare_batch_weighs_as_much_as_a_large_one(generator):
    counts = torch.tensor([10, 90])
    classifier = BatchClassifier(3, 8, counts)
    batch = torch.repeat_interleave(torch.arange(2), counts)
    z = torch.randn(100, 3, generator=generator)
    each = -classifier.layers(z).log_softmax(dim=1)[torch.arange(100), batch]
    slow = (each[batch == 0].mean() + each[batch == 1].mean()) / 2 / math.log(2)
    torch.testing.assert_close(classifier(z, batch), slow)


def test_the_discriminator_scores_sparse_and_dense_cells_alike(generator):
    x = torch.rand(6, 9, generator=generator)
    discriminator = Discriminator(9, 8)
    torch.testing.assert_close(discriminator(dense_rows(x)), discriminator(x))
    assert (discriminator(x) > 0).all()


def test_the_encoder_takes_the_batch_as_a_one_hot_would(generator):
    encoder = ConditionalEncoder(9, 3, 8, 0.0).eval()
    torch.nn.init.normal_(encoder.offset.weight, generator=generator)
    x, batch = torch.rand(6, 9, generator=generator), torch.tensor([0, 1, 2, 2, 1, 0])
    weight = torch.cat([encoder.first.weight, encoder.offset.weight[:3]])
    both = torch.cat([x, torch.eye(3)[batch]], dim=1)
    torch.testing.assert_close(encoder(dense_rows(x), batch), encoder.rest(both @ weight + encoder.first.bias))


def test_an_unknown_batch_is_no_offset_and_never_trained(generator):
    encoder = ConditionalEncoder(9, 3, 8, 0.0)
    x = torch.rand(4, 9, generator=generator)
    unknown = torch.full((4,), 3)
    before = encoder(dense_rows(x), unknown)
    torch.testing.assert_close(before, encoder.rest(encoder.first(x)))
    encoder(dense_rows(x), unknown).sum().backward()
    assert (encoder.offset.weight.grad[3] == 0).all()


def test_the_decoder_takes_the_batch_as_a_one_hot_would(generator):
    decoder = ConditionalDecoder(4, 3, 8, 0.0).eval()
    z, batch = torch.randn(5, 4, generator=generator), torch.tensor([0, 1, 2, 2, 1])
    weight = torch.cat([decoder.first.weight, decoder.offset.weight.T], dim=1)
    both = torch.cat([z, torch.eye(3)[batch]], dim=1)
    torch.testing.assert_close(decoder(z, batch), decoder.rest(both @ weight.T + decoder.first.bias))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_share_of_the_batches_is_hidden(share):
    torch.manual_seed(0)
    batch = torch.arange(3).repeat(4000)
    seen = hide_batches(batch, 3, share)
    assert np.isclose((seen == 3).float().mean().item(), share, atol=0.02)
    assert (seen[seen != 3] == batch[seen != 3]).all()

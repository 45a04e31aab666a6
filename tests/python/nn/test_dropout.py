from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from isthmus.nn.dropout import Dropout


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_units_are_hidden_with_the_share_and_the_others_keep_the_mean(share):
    x = torch.ones(501, 403)  # no multiple of eight
    out = Dropout(share)(x)
    rounded = round(256 * share) / 256
    hidden = out == 0
    assert binomtest(int(hidden.sum()), x.numel(), rounded).pvalue > 1e-4
    assert rounded == pytest.approx(share, abs=1 / 512)
    torch.testing.assert_close(out[~hidden], torch.full_like(out[~hidden], 1 / (1 - rounded)))


def test_units_are_hidden_independently_of_their_neighbours():
    hidden = (Dropout(0.5)(torch.ones(2000, 64)) == 0).double()
    for lag in (1, 2, 4, 7, 8):  # eight units have one random number in common
        pairs = (hidden[:, :-lag] * hidden[:, lag:]).sum()
        assert binomtest(int(pairs), hidden[:, lag:].numel(), 0.25).pvalue > 1e-4


def test_every_value_of_a_byte_is_as_likely():
    kept = [(Dropout(n / 256)(torch.ones(200_000)) != 0).double().mean().item() for n in (1, 127, 129, 255)]
    assert kept == pytest.approx([255 / 256, 129 / 256, 127 / 256, 1 / 256], abs=0.005)


def test_slopes_go_where_the_values_went():
    x = torch.randn(50, 20, requires_grad=True)
    out = Dropout(0.3)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, (out / x).detach())


def test_the_seed_decides_and_the_kind_of_number_stays():
    x = torch.ones(9, 5, dtype=torch.bfloat16)
    torch.manual_seed(1)
    first = Dropout(0.4)(x)
    torch.manual_seed(1)
    assert torch.equal(Dropout(0.4)(x), first)
    assert first.dtype == torch.bfloat16
    assert Dropout(0.4)(x[:0]).shape == (0, 5)


@pytest.mark.parametrize("layer", [Dropout(0.0), Dropout(0.6).eval()])
def test_nothing_is_hidden_without_a_share_or_outside_training(layer):
    x = torch.randn(30, 7)
    assert torch.equal(layer(x), x)


def test_a_share_just_below_one_leaves_numbers_finite():
    assert torch.isfinite(Dropout(0.9999)(torch.ones(10_000))).all()

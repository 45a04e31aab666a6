"""Attention within a cell: against torch's own, and a matter of the cell alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.nn.attention import AnchorAttention, Attention, ViewFusion


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("shared", [True, False])
def test_attention_is_torchs_own(generator, heads, shared):
    mine, theirs = Attention(8, heads), nn.MultiheadAttention(8, heads, batch_first=True)
    parts = (mine.query, mine.key, mine.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj = mine.out
    queries = torch.randn(5, 3, 8, generator=generator)
    keys = torch.randn(1 if shared else 5, 6, 8, generator=generator)
    expected, _ = theirs(queries, keys.expand(5, -1, -1), keys.expand(5, -1, -1))
    close(mine(queries, keys), expected)


def test_the_order_of_views_is_of_no_matter(generator):
    fusion, views = ViewFusion(8, 2), torch.randn(5, 4, 8, generator=generator)
    close(fusion(views[:, torch.randperm(4, generator=generator)]), fusion(views))


def test_views_are_fused_cell_by_cell(generator):
    fusion, views = ViewFusion(8, 2), torch.randn(5, 4, 8, generator=generator)
    slow = [fusion.feed_forward(fusion.attention(cell[None], cell[None]).max(dim=1).values[0]) for cell in views]
    close(fusion(views), torch.stack(slow))


@pytest.fixture
def anchored():
    block = AnchorAttention(8, 2, 5)
    nn.init.normal_(block.attention.out.weight)
    return block


def test_anchors_make_a_cell_a_matter_of_its_own(anchored, generator):
    z = torch.randn(7, 8, generator=generator)
    whole, order = anchored(z), torch.randperm(7, generator=generator)
    close(anchored(z[order]), whole[order])
    close(torch.cat([anchored(row[None]) for row in z]), whole)
    attended = anchored.attention(z[:1, None], anchored.anchors[None])[0, 0]
    close(whole[0], anchored.norm(z[0] + attended))


def test_at_first_anchors_say_nothing(generator):
    z = torch.randn(7, 8, generator=generator)
    close(AnchorAttention(8, 2, 5)(z), nn.functional.layer_norm(z, (8,)))


def test_heads_that_do_not_share_out_the_width_are_an_error(generator):
    with pytest.raises(RuntimeError):
        Attention(8, 3)(torch.randn(2, 1, 8, generator=generator), torch.randn(2, 1, 8, generator=generator))

"""Kinds of cells laid on each other, group by group."""

from __future__ import annotations

import pytest
import torch

from isthmus.nn.group_shift import FEW_CELLS, SHARPNESS, GroupShift

LATENT, GROUPS = 4, 3
CENTRE = 6.0 * torch.eye(LATENT)[:GROUPS]


def cells_of(generator, offset, sizes):
    """Cells around the centres, one size a group, moved by that kind's (groups, latent) offset; and their groups."""
    group = torch.repeat_interleave(torch.arange(GROUPS), torch.tensor(sizes))
    return CENTRE[group] + offset[group] + 0.5 * torch.randn(len(group), LATENT, generator=generator), group


@pytest.fixture
def kinds(generator):
    """Three kinds of cells; the second has none of the last group and few of the second."""
    offset = 0.8 * torch.randn(3, GROUPS, LATENT, generator=generator)
    sizes = ((200, 150, 300), (400, 10, 0), (300, 200, 100))
    return [cells_of(generator, own, some) for own, some in zip(offset, sizes, strict=True)]


def learnt(kinds):
    block = GroupShift(len(kinds), GROUPS, LATENT)
    block.learn([z for z, _ in kinds], CENTRE)
    return block


def means_of(cells, group):
    return {g: cells[group == g].mean(dim=0) for g in range(GROUPS) if (group == g).any()}


def test_at_first_nothing_moves(kinds):
    block = GroupShift(3, GROUPS, LATENT)
    for k, (z, _) in enumerate(kinds):
        torch.testing.assert_close(block(z, k), z, rtol=0, atol=0)


def test_the_map_is_that_of_a_slow_loop(kinds):
    block = learnt(kinds)
    distance = [[[float((cell - c).square().sum()) for c in CENTRE] for cell in z] for z, _ in kinds]
    spread = sum(sum(min(row) for row in part) / len(part) for part in distance) / len(kinds)
    members, votes, means = [], [], []
    for (z, _), part in zip(kinds, distance, strict=True):
        rows = []
        for row in part:
            density = [2.718281828459045 ** (-0.5 * SHARPNESS / spread * (d - min(row))) for d in row]
            rows.append([d / sum(density) for d in density])
        count = [sum(row[g] for row in rows) for g in range(GROUPS)]
        members.append(rows)
        votes.append([n / (n + FEW_CELLS) for n in count])
        means.append([sum(row[g] * cell for row, cell in zip(rows, z, strict=True)) / count[g] for g in range(GROUPS)])
    for k, (z, _) in enumerate(kinds):
        moved = z.clone()
        for g in range(GROUPS):
            together = sum(votes[j][g] * means[j][g] for j in range(3)) / sum(votes[j][g] for j in range(3))
            for i, row in enumerate(members[k]):
                moved[i] += row[g] * votes[k][g] * (together - means[k][g])
        torch.testing.assert_close(block(z, k), moved, rtol=1e-3, atol=1e-3)


def test_kinds_meet_within_groups_and_groups_stay_apart(kinds):
    block = learnt(kinds)
    before = [means_of(*kind) for kind in kinds]
    after = [means_of(block(z, k), group) for k, (z, group) in enumerate(kinds)]
    for one, two in ((0, 1), (0, 2), (1, 2)):
        shared = [g for g in before[one] if g in before[two] and (g, 1) not in ((1, one), (1, two))]
        for g in shared:
            gap = (before[one][g] - before[two][g]).norm()
            assert (after[one][g] - after[two][g]).norm() < 0.35 * gap
    for k in (0, 2):
        assert (torch.pdist(torch.stack(list(after[k].values()))) > 6.0).all()


def test_a_group_of_one_kind_stays_where_it_is(generator):
    still = torch.zeros(GROUPS, LATENT)
    kinds = [cells_of(generator, still, (100, 100, 0)), cells_of(generator, still + 1.0, (100, 0, 100))]
    block = learnt(kinds)
    for k, alone in ((0, 1), (1, 2)):
        z, group = kinds[k]
        moved = (block(z, k) - z).norm(dim=1)
        assert moved[group == alone].max() < 0.1
        assert moved[group == 0].min() > 0.3


def test_a_cell_moves_alone_as_in_company(kinds):
    block = learnt(kinds)
    z = kinds[1][0]
    together = block(z, 1)
    for i in (0, 5, 405):
        torch.testing.assert_close(block(z[[i]], 1), together[[i]], rtol=1e-4, atol=1e-4)


def test_centres_that_are_named_twice_and_cells_that_are_alike_stay_finite():
    block = GroupShift(2, GROUPS, LATENT)
    block.learn([torch.ones(5, LATENT), torch.ones(7, LATENT)], torch.ones(GROUPS, LATENT))
    torch.testing.assert_close(block(torch.ones(2, LATENT), 0), torch.ones(2, LATENT))

"""Models of links: profiles of features over groups of cells, against sums by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from isthmus.tl import _glue_links


def cells_of(x, batch=None, values="counts"):
    batch = np.zeros(len(x), dtype=np.int64) if batch is None else batch
    side = SimpleNamespace(values=values)
    return SimpleNamespace(side=side, targets=sp.csr_matrix(x), batch=batch, depth=x.sum(axis=1).astype(np.float64))


@pytest.fixture
def counted(rng):
    return rng.poisson(1.5, (60, 7)).astype(np.float32)


def slow_profiles(cells, group, n_groups):
    """Cell by cell, group by group."""
    x, counts = cells.targets.toarray(), cells.side.values == "counts"
    depth = cells.depth if counts else np.ones(len(x))
    rate = {b: x[cells.batch == b].sum(axis=0) / depth[cells.batch == b].sum() for b in set(cells.batch)}
    out = np.zeros((x.shape[1], n_groups))
    scale = (lambda v: np.log1p(1e4 * v)) if counts else (lambda v: v)
    present = sorted(set(group))
    for g in present:
        own = np.flatnonzero(group == g)
        total = depth[own].sum()
        expected = sum(depth[i] * rate[cells.batch[i]] for i in own)
        out[:, g] = scale(x[own].sum(axis=0) / total) - scale(expected / total)
    out[:, present] -= out[:, present].mean(axis=1, keepdims=True)
    return out


@pytest.mark.parametrize("values", ["counts", "values"])
def test_profiles_are_those_summed_by_hand(rng, counted, values):
    batch, group = rng.integers(0, 3, 60), rng.choice([0, 1, 3, 4], 60)
    cells = cells_of(counted if values == "counts" else counted - 1.2, batch, values)
    found = _glue_links.profiles(cells, group, np.ones(6, dtype=bool))
    np.testing.assert_allclose(found, slow_profiles(cells, group, 6), atol=2e-5)
    assert (found[:, [2, 5]] == 0).all()  # groups without cells
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-4)


def test_what_a_batch_does_to_a_feature_shows_in_no_profile(rng, counted):
    batch = np.repeat([0, 1], 30)
    group = np.where(rng.random(60) < 0.8, batch, 1 - batch)  # groups hold batches in other shares
    counted[:, 6] = np.where(batch == 1, 40, 4)
    depth = np.full(60, 100.0)
    plain, aware = (cells_of(counted, b) for b in (None, batch))
    plain.depth, aware.depth = depth, depth
    both = np.ones(2, dtype=bool)
    feature = [np.abs(_glue_links.profiles(cells, group, both)[6]).max() for cells in (plain, aware)]
    assert feature[1] < 1e-5 < 0.3 < feature[0]


def test_depth_of_cells_does_not_matter_to_means_of_other_values(counted):
    cells = cells_of(counted, values="values")
    group, all_four = np.arange(60) % 4, np.ones(4, dtype=bool)
    one = _glue_links.profiles(cells, group, all_four)
    cells.depth = cells.depth * np.arange(1, 61)
    np.testing.assert_array_equal(_glue_links.profiles(cells, group, all_four), one)


def test_groups_that_were_not_asked_for_play_no_part(rng, counted):
    group, asked = np.arange(60) % 5, np.array([True, False, True, True, False])
    cells = cells_of(counted, values="values")
    found = _glue_links.profiles(cells, group, asked)
    assert (found[:, ~asked] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-4)
    means = np.stack([counted[group == g].mean(axis=0) for g in np.flatnonzero(asked)])
    np.testing.assert_allclose(found[:, asked], (means - means.mean(axis=0)).T, atol=1e-5)


def test_cells_that_only_one_modality_has_do_not_hide_a_link(rng):
    """A gene and a peak rise together along the cells that both have; the RNA has as many of another kind."""
    place = {"rna": rng.random(1200), "atac": rng.random(600)}
    alone = np.arange(1200) >= 600
    x = {"rna": np.where(alone, 20.0, place["rna"]), "atac": place["atac"]}
    z = {k: np.stack([v, np.zeros(len(v))], axis=1).astype(np.float32) for k, v in x.items()}
    level = {"rna": np.where(alone, 30, 10 * place["rna"]), "atac": 10 * place["atac"]}
    counts = {k: rng.poisson(np.stack([v, np.full(len(v), 20.0)], axis=1)).astype(np.float32) for k, v in level.items()}
    model = _glue_links.cell_model(z, {k: cells_of(v) for k, v in counts.items()}, 0)
    cosine = model[0] @ model[2] / np.sqrt((model[0] @ model[0]) * (model[2] @ model[2]))
    assert cosine > 0.95


def test_cells_are_placed_by_the_others(rng):
    seen = rng.normal(size=(400, 6)).astype(np.float32)
    z = (seen @ rng.normal(size=(6, 3)) + [5, 0, -2]).astype(np.float32)
    placed = _glue_links.placed_by_others(z, seen, 0)
    assert placed.dtype == np.float32
    assert np.corrcoef(placed.ravel(), z.ravel())[0, 1] > 0.99
    away = z.copy()
    away[7] += 1000  # what a cell's own embedding says does not reach it, but other folds
    moved = _glue_links.placed_by_others(away, seen, 0)
    np.testing.assert_array_equal(moved[7], placed[7])
    assert not np.array_equal(moved, placed)


def test_noise_learned_by_heart_does_not_place_a_cell(rng):
    seen, noise = rng.normal(size=(600, 10)).astype(np.float32), rng.normal(size=(600, 4)).astype(np.float32)
    z = np.concatenate([seen[:, :2], noise], axis=1)
    placed = _glue_links.placed_by_others(z, seen, 1)
    correlation = [abs(np.corrcoef(placed[:, j], z[:, j])[0, 1]) for j in range(6)]
    assert min(correlation[:2]) > 0.95
    assert max(correlation[2:]) < 0.25


def test_a_model_finds_features_that_rise_together(rng):
    place = {"rna": rng.random((500, 1)), "atac": rng.random((700, 1))}
    z = {k: np.hstack([p, np.zeros((len(p), 2))]).astype(np.float32) for k, p in place.items()}
    rates = {k: np.hstack([8 * p, 8 * (1 - p), np.full((len(p), 2), 4.0)]) for k, p in place.items()}
    cells = {k: cells_of(rng.poisson(rate).astype(np.float32)) for k, rate in rates.items()}
    model = _glue_links.cell_model(z, cells, 0)
    assert model.shape == (8, 12)
    cosine = np.corrcoef(model)
    assert cosine[0, 4] > 0.6
    assert cosine[0, 5] < -0.6
    assert abs(cosine[0, 6]) < 0.5
    assert not np.array_equal(model, _glue_links.cell_model(z, cells, 1))

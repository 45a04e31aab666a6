from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.data import from_anndata, transforms
from isthmus.data.transforms import DepthNormalise, MaxAbs
from isthmus.data.variability import variable_features


def test_depth_normalisation_is_scanpys(three_batches, logged):
    x = three_batches.X.tocsr()
    depth = DepthNormalise.fit(x, "counts")
    mine = transforms.log1p(depth.apply(x, np.ones(300, bool), np.asarray(x.sum(axis=1)).ravel()))
    assert mine.dtype == np.float32
    np.testing.assert_allclose(mine.toarray(), logged.X.toarray(), rtol=1e-5)


def test_shares_are_the_parts_of_the_signal(three_batches):
    share = DepthNormalise.fit(three_batches.X.tocsr(), "counts").share
    np.testing.assert_allclose(share, np.asarray(three_batches.X.sum(axis=0)).ravel() / three_batches.X.sum())


def test_log_normalised_values_tell_their_own_depth(three_batches, logged):
    depth = DepthNormalise.fit(logged.X.tocsr(), "lognorm")
    assert depth.target == pytest.approx(1e4, rel=1e-4)
    total = np.asarray(np.expm1(logged.X.toarray()).sum(axis=0))
    np.testing.assert_allclose(depth.share, total / total.sum(), rtol=1e-4)


def test_a_cell_without_counts_in_the_found_features_is_zero_not_nan():
    depth = DepthNormalise(1e4, np.array([0.5, 0.25, 0.25]))
    out = depth.apply(sp.csr_matrix([[2.0, 0, 0], [0, 0, 0]]), np.array([True, True, False]), np.array([2.0, 0.0]))
    assert out.toarray().tolist() == [[7500, 0, 0], [0, 0, 0]]


def test_accessible_features_are_open_in_most_cells(rng):
    x = sp.csr_matrix(rng.random((50, 20)) < np.linspace(0, 0.9, 20))
    candidates = np.arange(20) != 19
    chosen = transforms.accessible_features(x, candidates, 5)
    cells = np.asarray((x > 0).sum(axis=0)).ravel()
    cells[19] = 0
    assert len(chosen) == 5
    assert cells[chosen].min() >= np.delete(cells, chosen).max()
    assert (np.diff(chosen) > 0).all()
    assert 0 not in transforms.accessible_features(x, candidates, 20)  # open nowhere


def test_named_features_are_found(three_batches):
    wanted = [three_batches.var_names[7], three_batches.var_names[2]]
    x = sp.csr_matrix(np.ones((3, 300)))
    assert transforms.named_features(three_batches.var_names, wanted, x).tolist() == [2, 7]


def test_named_features_that_cannot_be_used(refused):
    features, x = pd.Index(list("abc")), sp.csr_matrix([[1.0, 0, 1]])
    with refused("1 it lacks: 'z'", "features that the data set has", "leave these names out"):
        transforms.named_features(features, ["a", "z"], x)
    with refused("1 without: 'b'", "features with at least one count"):
        transforms.named_features(features, ["a", "b"], x)
    with refused("1 names that stand more than once, such as 'a'", "unique feature names"):
        transforms.named_features(features, ["a", "c", "a"], x)
    with refused("none", "names of features to use"):
        transforms.named_features(features, [], x)


@pytest.fixture
def uneven(rng):
    """Values of very different size, one feature empty, and two batches of 30 and 10 cells."""
    dense = rng.random((40, 6)) * [1, 5, 0, 9, 2, 3] * (rng.random((40, 6)) < 0.6)
    return dense.astype(np.float32), np.array([0] * 30 + [1] * 10)


def test_largest_values_become_one(uneven):
    dense, batch = uneven
    scale = MaxAbs.fit(sp.csr_matrix(dense), batch, 2)
    mine = scale.apply(sp.csr_matrix(dense), batch).toarray()
    largest = dense.max(axis=0)
    np.testing.assert_allclose(mine, np.divide(dense, largest, out=np.zeros_like(dense), where=largest > 0), rtol=1e-6)
    assert set(mine.max(axis=0)) == {0, 1}
    assert not scale.per_batch


def test_a_batchs_own_scale_is_drawn_to_that_of_all_cells(uneven):
    dense, batch = uneven
    scale = MaxAbs.fit(sp.csr_matrix(dense), batch, 2, "batch")
    overall = dense.max(axis=0)
    for code, n in ((0, 30), (1, 10)):
        w = n / (n + transforms.CELLS_FOR_SCALE)
        expected = w * dense[batch == code].max(axis=0) + (1 - w) * overall
        np.testing.assert_allclose(scale.largest[code], expected, rtol=1e-6)
    assert scale.per_batch
    np.testing.assert_allclose(scale.overall, overall, rtol=1e-6)  # the group that holds the largest value keeps it
    mine = scale.apply(sp.csr_matrix(dense), batch).toarray()
    expected = np.divide(dense, scale.largest[batch], out=np.zeros_like(dense), where=scale.largest[batch] > 0)
    np.testing.assert_allclose(mine, np.minimum(expected, 1), rtol=1e-6)


def test_new_batches_are_drawn_to_the_scale_that_is_given(uneven):
    dense, batch = uneven
    given = MaxAbs.fit(sp.csr_matrix(dense), batch, 2, "batch", overall=np.full(6, 100.0))
    w = 30 / (30 + transforms.CELLS_FOR_SCALE)
    np.testing.assert_allclose(given.largest[0], w * dense[:30].max(axis=0) + (1 - w) * 100, rtol=1e-6)


def test_a_query_beyond_the_reference_is_clipped_and_an_unseen_feature_stays_zero():
    scale = MaxAbs(np.array([[2.0, 0.0]], np.float32))
    assert scale.apply(sp.csr_matrix([[1.0, 3], [5, 0]]), np.zeros(2, int)).toarray().tolist() == [[0.5, 0], [1, 0]]


def test_transforms_change_nothing_of_what_they_are_given(three_batches):
    x = three_batches.X.tocsr().astype(np.float64)
    for array in (x.data, x.indices, x.indptr):
        array.flags.writeable = False
    depth = DepthNormalise.fit(x, "counts")
    logged = transforms.log1p(depth.apply(x, np.ones(300, bool), np.asarray(x.sum(axis=1)).ravel()))
    MaxAbs.fit(logged, np.zeros(400, int), 1).apply(logged, np.zeros(400, int))
    variable_features(logged, from_anndata(three_batches, "batch"), np.ones(300, bool), 50)
    assert np.array_equal(x.data, three_batches.X.tocsr().data)

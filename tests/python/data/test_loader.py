from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from isthmus.data import SparseLoader, split_validation
from isthmus.data.loader import BATCHES_PER_BLOCK


def a_matrix(rng, cells, features=9):
    return sp.random(cells, features, 0.4, "csr", np.float32, random_state=rng)


def a_loader(rng, cells=100, **settings):
    return SparseLoader(a_matrix(rng, cells), np.arange(cells) % 3, **settings)


def served(loader, epoch=0):
    return [batch.index.tolist() for batch in loader.epoch(epoch)]


def flat(lists):
    return [cell for cells in lists for cell in cells]


@pytest.mark.parametrize(
    "cells", [5, 96, 100, 4 * BATCHES_PER_BLOCK - 1, 4 * BATCHES_PER_BLOCK, 4 * BATCHES_PER_BLOCK + 1]
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_codes_and_positions_belong_together(rng, cells, shuffle):
    loader = a_loader(rng, cells, batch_size=4, shuffle=shuffle)
    dense = loader.x.toarray()
    for batch in loader.epoch():
        assert np.array_equal(batch.x.dense.numpy(), dense[batch.index.numpy()])
        assert np.array_equal(batch.covariate, loader.batch[batch.index.numpy()])


@pytest.mark.parametrize("cells", [4, 100, 4 * BATCHES_PER_BLOCK + 1])
def test_in_order_every_cell_comes_once(rng, cells):
    loader = a_loader(rng, cells, batch_size=4)
    assert flat(served(loader)) == list(range(cells))
    assert len(served(loader)) == len(loader)


@pytest.mark.parametrize(("cells", "left_over"), [(100, 0), (4 * BATCHES_PER_BLOCK + 3, 3)])
def test_shuffled_every_cell_comes_at_most_once_and_no_minibatch_is_short(rng, cells, left_over):
    loader = a_loader(rng, cells, batch_size=4, shuffle=True)
    batches = served(loader)
    cells_seen = flat(batches)
    assert len(set(cells_seen)) == len(cells_seen) == cells - left_over
    assert {len(batch) for batch in batches} == {4}
    assert len(batches) == len(loader)
    assert cells_seen != sorted(cells_seen)


def test_fewer_cells_than_a_minibatch_make_one(rng):
    loader = a_loader(rng, 5, batch_size=8, shuffle=True)
    assert [sorted(batch) for batch in served(loader)] == [[0, 1, 2, 3, 4]]


def test_an_epochs_number_decides_its_order(rng):
    loader = a_loader(rng, batch_size=10, shuffle=True, seed=3)
    assert served(loader, 7) == served(loader, 7)
    assert served(loader, 7) != served(loader, 8)
    assert served(loader, 7) != served(a_loader(rng, batch_size=10, shuffle=True, seed=4), 7)


def test_minibatches_mix_the_batches(rng):
    loader = SparseLoader(a_matrix(rng, 600), np.repeat([0, 1, 2], 200), batch_size=60, shuffle=True)
    counts = np.array([np.bincount(batch.covariate, minlength=3) for batch in loader.epoch()])
    assert counts.min() >= 8  # 20 expected; 8 or fewer has a probability below 1e-3
    assert counts.sum(axis=0).tolist() == [200, 200, 200]


def test_only_the_named_rows_are_served(rng):
    rows = np.array([7, 50, 3, 99])
    assert served(a_loader(rng, rows=rows, batch_size=3)) == [[7, 50, 3], [99]]
    loader = a_loader(rng, rows=rows, batch_size=2, shuffle=True)
    assert loader.n_cells == 4
    assert sorted(flat(served(loader))) == [3, 7, 50, 99]


@pytest.mark.parametrize("cells", [97, 98, 99, 100])
@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_share_an_epoch(rng, cells, shuffle):
    whole = a_matrix(rng, cells)
    parts = [
        SparseLoader(whole, np.zeros(cells, int), batch_size=4, shuffle=shuffle, rank=rank, world=3)
        for rank in range(3)
    ]
    seen = [flat(served(part)) for part in parts]
    cells_seen = flat(seen)
    assert len(set(cells_seen)) == len(cells_seen)
    assert [len(served(part)) for part in parts] == [len(part) for part in parts]
    if shuffle:
        assert len({len(part) for part in parts}) == 1
    else:
        assert sorted(cells_seen) == list(range(cells))


def test_read_only_float64_is_served_as_float32(rng):
    x = a_matrix(rng, 20).astype(np.float64)
    for array in (x.data, x.indices, x.indptr):
        array.flags.writeable = False
    (batch,) = SparseLoader(x, np.zeros(20, int), batch_size=20).epoch()
    assert batch.x.values.dtype == torch.float32
    assert batch.x.indices.dtype == torch.int64


def test_held_out_cells_are_drawn_in_proportion():
    batch = np.repeat([0, 1, 2], [200, 50, 5])
    train, validation = split_validation(batch, 0.1, seed=1)
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(255))
    assert np.bincount(batch[validation], minlength=3).tolist() == [20, 5, 0]
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()


def test_the_seed_decides_what_is_held_out():
    batch = np.zeros(300, int)
    assert np.array_equal(split_validation(batch, 0.1, 1)[1], split_validation(batch, 0.1, 1)[1])
    assert not np.array_equal(split_validation(batch, 0.1, 1)[1], split_validation(batch, 0.1, 2)[1])


def test_no_more_are_held_out_than_is_useful():
    _, validation = split_validation(np.zeros(1000, int), 0.5, 0, most=30)
    assert len(validation) == 30


def test_nothing_held_out_leaves_all_cells():
    train, validation = split_validation(np.zeros(10, int), 0.0, 0)
    assert len(train) == 10
    assert len(validation) == 0

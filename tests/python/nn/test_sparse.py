from __future__ import annotations

import numpy as np
import torch


def test_dense_and_row_are_those_of_the_matrix(rows_of, sparse_matrix):
    x = sparse_matrix(9, 13, 0.3)
    rows = rows_of(x)
    assert (rows.n_cells, rows.n_features) == (9, 13)
    assert np.array_equal(rows.dense.numpy(), x)
    assert np.array_equal(rows.row.numpy(), np.nonzero(x)[0])


def test_slices_are_the_rows_of_the_matrix(rows_of, sparse_matrix):
    x = sparse_matrix(9, 13, 0.3)
    rows = rows_of(x)
    for start, stop in [(0, 9), (2, 7), (4, 5), (3, 3)]:
        assert np.array_equal(rows.rows(start, stop).dense.numpy(), x[start:stop])


def test_slices_share_memory(rows_of, sparse_matrix):
    rows = rows_of(sparse_matrix(9, 13, 0.5))
    part = rows.rows(3, 6)
    assert part.values.untyped_storage().data_ptr() == rows.values.untyped_storage().data_ptr()


def test_moving_to_a_device_keeps_the_numbers(rows_of, sparse_matrix):
    x = sparse_matrix(4, 6, 0.5)
    assert np.array_equal(rows_of(x).to(torch.device("cpu")).dense.numpy(), x)


def test_thinned_rows_are_some_of_the_entries_scaled_up(rows_of, sparse_matrix):
    x = sparse_matrix(40, 200, 0.4)
    x[3] = 0
    rows = rows_of(x)
    torch.manual_seed(0)
    parts = [rows.thinned(0.25) for _ in range(200)]
    for part in parts[:5]:
        dense = part.dense.numpy()
        kept = dense != 0
        assert part.values.shape[0] == kept.sum() < 0.8 * (x != 0).sum()
        np.testing.assert_allclose(dense[kept], x[kept] / 0.75, rtol=1e-6)
        assert np.array_equal(part.row.numpy(), np.nonzero(kept)[0])
        assert np.array_equal(np.diff(part.indptr), kept.sum(axis=1))
    mean = sum(part.dense for part in parts).numpy() / len(parts)
    assert np.abs(mean - x).sum() / np.abs(x).sum() < 0.06
    assert np.array_equal(rows.thinned(0.0).dense.numpy(), x)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.data import door


@pytest.mark.parametrize("value", [1, 3, 5, np.int64(2), 2.5, np.float32(4)])
def test_numbers_in_range_pass(value):
    door.check_number(value, "it", 1, 5)


@pytest.mark.parametrize("value", [0.5, 6, np.nan, "3", None, True, [2]])
def test_numbers_out_of_range_and_other_things_do_not(refused, value):
    with refused(repr(value), "it to be a number from 1 to 5", "change it"):
        door.check_number(value, "it", 1, 5)


@pytest.mark.parametrize("value", [2.5, np.inf, np.nan, -1])
def test_whole_numbers_are_asked_for(refused, value):
    door.check_number(4.0, "it", 1, whole=True)
    with refused(repr(value), "it to be a whole number of at least 1"):
        door.check_number(value, "it", 1, whole=True)


def test_words_are_asked_for(refused):
    door.check_choice("a", ("a", "b"), "it")
    with refused("'c'", "it to be 'a' or 'b'"):
        door.check_choice("c", ("a", "b"), "it")


def test_too_few_cells_for_a_minibatch(refused):
    door.check_enough_cells(64, 64)
    with refused("63 cells", "at least 64 cells, one mini-batch", "a batch_size of at most 63"):
        door.check_enough_cells(63, 64)


@pytest.mark.parametrize("entry", [0, 7, 15])
def test_the_cell_of_a_bad_value_is_named_across_blocks(monkeypatch, refused, entry):
    monkeypatch.setattr(door, "BLOCK", 4)
    x = sp.csr_matrix(np.ones((4, 4)))
    x.data[entry] = np.nan
    with refused(f"nan in cell 'c{entry // 4}'", "finite numbers"):
        door.check_counts(x, pd.Index([f"c{i}" for i in range(4)]), None)


def test_large_finite_values_whose_sum_overflows_pass():
    x = sp.csr_matrix(np.full((2, 2), 3e38, np.float32))
    with np.errstate(over="ignore"):
        door.check_counts(x, pd.Index(["a", "b"]), None)


def test_any_finite_numbers_are_values(refused):
    cells = pd.Index(["a", "b", "c"])
    door.check_values(sp.csr_matrix([[-3.5, 1e6], [0, 0], [0.25, 0]]), cells, None)
    for bad in (np.nan, -np.inf):
        with refused(f"{bad} in cell 'c'", "finite numbers", "missing values"):
            door.check_values(sp.csr_matrix([[1.0, 0], [0, 2], [0, bad]]), cells, None)

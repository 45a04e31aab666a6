from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from isthmus import pl


@pytest.fixture
def table():
    return pd.DataFrame({"n_metacells": [50, 10, 20, 200], "consistency": [0.11, 0.19, np.nan, 0.03]})


def test_the_curve_is_the_table_in_order_without_gaps(table):
    before = table.copy()
    ax = pl.consistency(table)
    curve, line = ax.lines
    assert curve.get_xydata().tolist() == [[10, 0.19], [50, 0.11], [200, 0.03]]
    assert list(line.get_ydata()) == [0.05, 0.05]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["10", "50", "200"]
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("level", [-0.4, 0.01, 0.9])
def test_the_line_and_all_scores_are_inside(table, level):
    ax = pl.consistency(table.assign(consistency=level))
    low, high = ax.get_ylim()
    assert low <= min(level, 0)
    assert high > max(level, 0.05)


def test_given_axes_and_one_row(table):
    _, ax = plt.subplots()
    assert pl.consistency(table.iloc[:1], ax=ax) is ax
    assert ax.lines[0].get_marker() == "o"


def test_bad_tables(table, refused):
    with refused("4 rows with the columns ['n_metacells']", "columns 'n_metacells' and 'consistency'"):
        pl.consistency(table[["n_metacells"]])
    with refused("0 rows", "at least one score", "integration_consistency()"):
        pl.consistency(table.iloc[:0])

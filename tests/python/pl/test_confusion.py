from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from isthmus import InputError, pl

TRUTH = ["T", "T", "T", "T", "B", "B", None, "NK"]
PREDICTED = ["T", "T", "B", "unknown", "B", "mono", "T", None]


def ticks(axis) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


def written(ax) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in ax.texts}


def test_shares_of_each_true_type():
    ax = pl.confusion(PREDICTED, TRUTH)
    assert ticks(ax.yaxis) == ["B  (2)", "NK  (1)", "T  (4)"]
    assert ticks(ax.xaxis) == ["B", "NK", "T", "mono", "unknown"]
    expected = [[0.5, 0, 0, 0.5, 0], [0, 0, 0, 0, 1], [0.25, 0, 0.5, 0, 0.25]]
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    assert written(ax)[2, 2] == "50"
    assert ax.get_title() == f"{100 * 3 / 7:.1f} % right"


def test_counts_and_the_order_of_the_categories():
    truth = pd.Series(pd.Categorical(TRUTH, categories=["T", "NK", "B", "never"]))
    ax = pl.confusion(np.array(PREDICTED, dtype=object), truth, normalize=False, title="mine")
    assert ticks(ax.yaxis) == ["T  (4)", "NK  (1)", "B  (2)"]
    assert written(ax) == {(0, 0): "2", (2, 0): "1", (4, 0): "1", (4, 1): "1", (2, 2): "1", (3, 2): "1"}
    assert ax.get_title() == "mine"


def test_all_right_on_given_axes():
    _, given = plt.subplots()
    ax = pl.confusion(["b", "a", "a"], ["b", "a", "a"], ax=given)
    assert ax is given
    np.testing.assert_array_equal(ax.images[0].get_array(), np.eye(2))
    assert ax.get_title() == "100.0 % right"


def test_labels_that_are_numbers_are_compared_as_text():
    truth = pd.Series([10, 2, 10, None], dtype="Int64")
    ax = pl.confusion(["10", "2", "unknown", "2"], truth, normalize=False)
    assert ticks(ax.yaxis) == ["2  (1)", "10  (2)"]
    assert ticks(ax.xaxis) == ["2", "10", "unknown"]
    assert ax.get_title() == f"{100 * 2 / 3:.1f} % right"
    for unknown in (-1, -1.0):
        assert ticks(pl.confusion([10, unknown, 2], [10, 10, 2], unknown=unknown).xaxis) == ["2", "10", "-1"]


def test_unknown_is_no_true_type():
    with pytest.raises(InputError, match="'unknown' among the true labels"):
        pl.confusion(["a", "unknown", "b"], ["a", "unknown", "b"])
    ax = pl.confusion(["a", "unknown", None], ["a", "unknown", "a"], unknown="?")
    assert ticks(ax.xaxis) == ["a", "unknown", "?"]


def test_bad_input():
    with pytest.raises(InputError, match="as many values in predicted"):
        pl.confusion(["a"], ["a", "b"])
    with pytest.raises(InputError, match="true labels for some cells"):
        pl.confusion(["a", "b"], [None, np.nan])

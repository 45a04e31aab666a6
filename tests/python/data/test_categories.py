from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus.data.categories import Categories, shorten, text_of


def test_factors_keep_their_order_and_lose_unused_levels():
    column = pd.Series(pd.Categorical(["b", "a", "b"], categories=["z", "b", "a"]))
    assert Categories.of(column).names == ("b", "a")


def test_other_columns_are_sorted():
    assert Categories.of(pd.Series(["b", "c", "a", "b"])).names == ("a", "b", "c")


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([3, 1, 3]),
        pd.Series([0.5, 1e-7, 0.5]),
        pd.Series([True, False, True]),
        pd.Series(pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"])),
        pd.Series(["x", "y", "x"], dtype="string"),
    ],
    ids=["whole", "real", "logical", "date", "string"],
)
@pytest.mark.parametrize("factor", [False, True])
def test_what_was_learned_can_be_encoded(column, factor):
    column = column.astype("category") if factor else column
    known = Categories.of(column)
    codes = known.encode(column)
    assert codes.dtype == np.int64
    assert codes[0] == codes[2] != codes[1]
    assert {known.names[code] for code in codes} == set(known.names)


def test_codes_are_positions_whatever_the_new_column_holds():
    known = Categories(("b", "a", "c"))
    assert known.encode(["a", "a", "b"]).tolist() == [1, 1, 0]
    assert known.encode(pd.Series(["c"], dtype="category")).tolist() == [2]
    assert len(known) == 3


def test_numbers_and_their_names_are_one_category():
    known = Categories.of(pd.Series([1, "1", 2], dtype=object))
    assert known.names == ("1", "2")
    assert known.encode([1, "1", 2]).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (1.0, "1"), (np.float32(-2), "-2"), (np.float64(0.0), "0"), (1.5, "1.5"), (1e-7, "1e-07"), (np.inf, "inf"),
        (1, "1"), (True, "True"), ("1.0", "1.0"), ("v1.0", "v1.0"),
    ],
)  # fmt: skip
def test_whole_numbers_are_written_without_a_point(name, text):
    assert text_of(name) == text


@pytest.mark.parametrize("dtype", ["float64", "float32", "Float64", "category", "object"])
def test_floats_that_are_whole_numbers_are_named_as_these(dtype):
    column = pd.Series([2.0, 1.0, 0.5, 2.0]).astype(dtype)
    known = Categories.of(column)
    assert known.names == ("0.5", "1", "2")
    assert known.encode(column).tolist() == [2, 1, 0, 2]
    assert known.encode(["2", 2, 2.0]).tolist() == [2, 2, 2]
    assert known.imitated(1.0) == known.imitated("1") == [1]


def test_names_of_earlier_versions_are_found():
    known = Categories(("1.0", "10.0", "2.5", "v3.0"))
    assert known.find([1.0, "1", "1.0", 10, 2.5, "v3", "v3.0"]).tolist() == [0, 0, 0, 1, 2, -1, 3]
    assert Categories(("1", "1.0")).find(["1", "1.0", 1.0]).tolist() == [0, 1, 0]  # text that differs stays two


@pytest.mark.parametrize(("values", "found"), [(["a", "d", "e"], "'d', 'e'"), (["a", None], "'nan'")])
def test_unknown_names_are_refused(refused, values, found):
    with refused(found, "a batch that the model was trained with: 'a', 'b'", "project cells of a new batch"):
        Categories(("a", "b")).encode(values)


def test_long_lists_are_shortened():
    assert shorten(["a", "b"]) == "'a', 'b'"
    assert shorten(list("abcdefgh"), 2) == "'a', 'b' and 6 more"


@pytest.mark.parametrize(
    ("names", "codes"),
    [(None, [0, 1, 2]), ("average", [0, 1, 2]), ("c", [2]), (["c", "a"], [2, 0]), (np.str_("b"), [1])],
    ids=["none", "average", "one", "two", "numpy"],
)
def test_batches_to_imitate_are_one_several_or_all(names, codes):
    assert Categories(("a", "b", "c")).imitated(names) == codes


def test_a_batch_of_the_name_average_is_itself():
    assert Categories(("a", "average")).imitated("average") == [1]


@pytest.mark.parametrize(("names", "found"), [("d", "'d'"), ([], "none")])
def test_batches_that_cannot_be_imitated_are_refused(refused, names, found):
    with refused(found, "batch"):
        Categories(("a", "b")).imitated(names)

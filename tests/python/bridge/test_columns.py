"""Columns there and back, without R: the neutral form against what pandas says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from isthmus.bridge.columns import NA_INTEGER, NA_REAL, Column, decode, encode


def integers(*values: int | None) -> np.ndarray:
    return np.array([NA_INTEGER if v is None else v for v in values], dtype=np.int32)


TEXT = str(pd.Series(["a"]).dtype)  # "object", and "str" from pandas 3 on

CASES = {
    "logical": (Column("logical", integers(1, 0, 1)), [True, False, True], "bool"),
    "logical NA": (Column("logical", integers(1, None, 0)), [True, pd.NA, False], "boolean"),
    "integer": (Column("integer", integers(3, -1)), [3, -1], "int32"),
    "integer NA": (Column("integer", integers(3, None)), [3, pd.NA], "Int32"),
    "double": (Column("double", np.array([0.5, np.nan])), [0.5, np.nan], "float64"),
    "character": (Column("character", np.array(["a", None, ""], dtype=object)), ["a", None, ""], TEXT),
    "date": (Column("date", np.array([-1.0, 0.0, np.nan])), ["1969-12-31", "1970-01-01", None], "datetime64[s]"),
    "datetime": (
        Column("datetime", np.array([0.25, np.nan]), zone="Europe/Berlin"),
        [pd.Timestamp("1970-01-01 01:00:00.25", tz="Europe/Berlin"), pd.NaT],
        "datetime64[ns, Europe/Berlin]",
    ),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_column_becomes_the_pandas_column_and_returns(case: str) -> None:
    column, expected, dtype = CASES[case]
    series = pd.Series(decode(column))
    assert str(series.dtype) == dtype
    pd.testing.assert_series_equal(series, pd.Series(expected, dtype=dtype))
    back = encode(series)
    assert (back.kind, back.zone) == (column.kind, column.zone)
    np.testing.assert_array_equal(back.values, column.values)
    assert back.values.dtype == column.values.dtype


@pytest.mark.parametrize("kind", ["factor", "ordered"])
def test_factor_keeps_unused_levels_order_and_missing(kind: str) -> None:
    column = Column(kind, integers(2, None, 1), ("hi", "é", "unused"))
    series = pd.Series(decode(column))
    assert list(series.cat.categories) == ["hi", "é", "unused"]
    assert series.cat.ordered is (kind == "ordered")
    assert series.tolist()[0] == "é"
    assert pd.isna(series[1])
    back = encode(series)
    assert (back.kind, back.levels) == (kind, column.levels)
    np.testing.assert_array_equal(back.values, column.values)


def test_levels_that_are_numbers_are_those_that_r_writes() -> None:
    assert encode(pd.Series(pd.Categorical([1.0, None, 2.5]))).levels == ("1", "2.5")


def test_decoded_values_do_not_share_memory_with_r() -> None:
    values = np.array([1.0, 2.0])
    decoded = decode(Column("double", values))
    decoded[0] = 9
    assert values[0] == 1.0


@pytest.mark.parametrize("kind", ["date", "datetime", "double"])
@pytest.mark.filterwarnings("error")
def test_na_of_r_is_missing_without_a_word(kind: str) -> None:
    series = pd.Series(decode(Column(kind, np.array([NA_REAL, 2.0]))))
    assert series.isna().tolist() == [True, False]
    assert np.isnan(encode(series).values).tolist() == [True, False]


def test_na_and_nan_stay_apart() -> None:
    column = encode(pd.Series(decode(Column("double", np.array([NA_REAL, np.nan])))))
    bits = column.values.view(np.uint64)
    assert bits[0] & 0xFFFFFFFF == 1954  # R's mark of NA
    assert bits[1] & 0xFFFFFFFF != 1954


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pd.Series([2**40, 1]), "double"),
        (pd.Series([-(2**31), 1]), "double"),  # the smallest int32 is R's NA
        (pd.Series([1, None], dtype="Int64"), "integer"),
        (pd.Series([1, None], dtype="UInt8"), "integer"),
        (pd.Series([1.5, None], dtype="Float64"), "double"),
        (pd.Series(["a", None], dtype="string"), "character"),
        (pd.Series([True, None], dtype=object), "logical"),
        (pd.Series([1, None], dtype=object), "integer"),
        (pd.Series([], dtype=object), "character"),
        (pd.Series(pd.Categorical([1, 2])), "factor"),
        (pd.Series(pd.to_datetime(["2020-01-01 10:00"])), "datetime"),
        (pd.Series(pd.to_datetime(["2020-01-01", None])), "date"),
        (np.array([1, 2], dtype=np.float32), "double"),
        (["a", None], "character"),
        ([True, None], "logical"),
    ],
)
def test_every_pandas_column_has_a_kind_in_r(values: object, kind: str) -> None:
    column = encode(values)
    assert column.kind == kind
    assert len(column.values) == len(values)
    missing = pd.isna(pd.Series(values)).to_numpy()
    whole = column.values.dtype == np.int32
    gone = column.values == NA_INTEGER if whole else pd.isna(column.values)
    np.testing.assert_array_equal(gone, missing)


def test_instants_survive_a_change_of_unit() -> None:
    stamps = pd.Series(pd.to_datetime(["2024-03-31 01:59:59.123456"]).tz_localize("UTC"))
    for unit in ("us", "ns"):
        seconds = encode(stamps.dt.as_unit(unit)).values[0]
        assert seconds == pytest.approx(stamps[0].timestamp(), abs=1e-6)
    far = encode(pd.Series(decode(Column("datetime", np.array([1e10]), zone="UTC"))))
    assert far.values[0] == 1e10


@pytest.mark.parametrize("values", [[{"a": 1}, {"b": 2}], [1, "a"], [1j, 2j], [[1], [2, 3]]])
def test_columns_without_counterpart_are_refused(values: list, refused) -> None:
    with refused(found="'x'", expected="columns of truth values", remedy="drop"):
        encode(pd.Series(values), "x")

"""Columns of tables, faithful both ways: one neutral form between R's vectors and pandas.

R has a missing value for every type; NumPy has one for floats only. :func:`decode` and :func:`encode` are the
one place that says what becomes what:

==================================  ========================================================
R                                   pandas
==================================  ========================================================
logical, with NA                    ``bool``, ``boolean``
integer, with NA                    ``int32``, ``Int32``
double (NA and NaN stay apart)      ``float64`` (R's NA is a NaN with a payload, which is kept)
character, with NA                  ``object`` of ``str`` and ``None``
factor, ordered, unused levels, NA  ``category``
Date                                ``datetime64[s]``
POSIXct                             ``datetime64[ns, zone]``; without a time zone: UTC
==================================  ========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from isthmus._errors import InputError
from isthmus.data.categories import text_of

NA_INTEGER = np.iinfo(np.int32).min
NA_REAL = np.array([0x7FF00000000007A2], np.uint64).view(np.float64)[0]
KINDS = ("logical", "integer", "double", "character", "factor", "ordered", "date", "datetime")
_REMEDY = "drop the column, or turn it into numbers, strings or a category"


@dataclass(frozen=True)
class Column:
    """One column between the languages.

    Attributes
    ----------
    kind
        One of ``KINDS``.
    values
        ``int32`` for logical, integer, factor and ordered (codes from 1; the smallest int32 is NA);
        ``float64`` for double, date (days) and datetime (seconds since 1970, UTC); ``object`` of ``str``
        and ``None`` for character.
    levels
        Labels of the codes of a factor.
    zone
        Time zone of a datetime.
    """

    kind: str
    values: np.ndarray
    levels: tuple[str, ...] | None = None
    zone: str | None = None


@np.errstate(invalid="ignore")  # R's NA is a signalling NaN, which NumPy would report
def decode(column: Column) -> Any:
    """Array for a pandas column; it owns its memory."""
    values = column.values
    if column.kind in ("logical", "integer"):
        missing = values == NA_INTEGER
        if column.kind == "logical":
            plain = (values != 0) & ~missing
            return pd.arrays.BooleanArray(plain, missing) if missing.any() else plain
        whole = np.where(missing, 0, values).astype(np.int32)
        return pd.arrays.IntegerArray(whole, missing) if missing.any() else whole
    if column.kind in ("factor", "ordered"):
        codes = np.where(values == NA_INTEGER, -1, values.astype(np.int64) - 1)
        levels = pd.Index(list(column.levels)) if column.levels else pd.Index([], dtype=object)
        return pd.Categorical.from_codes(codes, levels, ordered=column.kind == "ordered")
    if column.kind == "date":
        return _times(values * 86400.0, "s")
    if column.kind == "datetime":
        within = np.nanmax(np.abs(values), initial=0.0) < 9.2e9  # nanoseconds end in 2262
        stamps = pd.DatetimeIndex(_times(values, "ns" if within else "us"))
        return stamps.tz_localize("UTC").tz_convert(column.zone or "UTC")
    return np.array(values, dtype=object if column.kind == "character" else np.float64)


def _times(seconds: np.ndarray, unit: str) -> np.ndarray:
    """``datetime64`` from seconds since 1970; NaN becomes NaT."""
    missing = np.isnan(seconds)
    steps = {"s": 1, "us": 10**6, "ns": 10**9}[unit]
    whole = np.floor(np.where(missing, 0.0, seconds))
    rest = np.round((np.where(missing, 0.0, seconds) - whole) * steps)
    ticks = whole.astype(np.int64) * steps + (rest.astype(np.int64) if steps > 1 else 0)
    out = ticks.view(f"datetime64[{unit}]")
    out[missing] = np.datetime64("NaT")
    return out


def encode(values: Any, name: str = "") -> Column:
    """Neutral form of a pandas column, an array or a list.

    Raises
    ------
    InputError
        If R has no vector for it: complex numbers, nested tables, mixed Python objects.
    """
    series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=_dtype_of(values))
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _encode_category(series)
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        return _encode_time(series)
    if pd.api.types.is_bool_dtype(dtype):
        return Column("logical", _with_missing(series, np.int32, NA_INTEGER))
    if pd.api.types.is_integer_dtype(dtype):
        return _encode_integer(series)
    if pd.api.types.is_float_dtype(dtype):
        if isinstance(dtype, np.dtype):
            return Column("double", series.to_numpy().astype(np.float64))
        return Column("double", _with_missing(series, np.float64, NA_REAL))
    return _encode_object(series, name)


def _dtype_of(values: Any) -> Any:
    """Lists of strings stay objects (pandas 3 would choose its string type), an empty list is text."""
    first = next((v for v in values if v is not None), None) if isinstance(values, (list, tuple)) else 0
    return object if first is None or isinstance(first, str) else None


def _with_missing(series: pd.Series, dtype: type, missing: float) -> np.ndarray:
    """NumPy form of a nullable column, with R's value where it is missing."""
    gone = series.isna().to_numpy()
    out = np.full(len(series), missing, dtype)
    out[~gone] = series[~gone].to_numpy().astype(dtype)
    return out


def _encode_integer(series: pd.Series) -> Column:
    """R's integers have 32 bits; wider values become doubles, exact to 2^53."""
    known = series.dropna()
    low, high = (int(known.min()), int(known.max())) if len(known) else (0, 0)
    if low > NA_INTEGER and high <= np.iinfo(np.int32).max:
        return Column("integer", _with_missing(series, np.int32, NA_INTEGER))
    return Column("double", _with_missing(series, np.float64, NA_REAL))


def _encode_category(series: pd.Series) -> Column:
    codes = series.cat.codes.to_numpy().astype(np.int32) + 1
    codes[codes == 0] = NA_INTEGER
    levels = tuple(text_of(level) for level in series.cat.categories)
    return Column("ordered" if series.cat.ordered else "factor", codes, levels)


def _encode_time(series: pd.Series) -> Column:
    """Whole days without a zone are a Date, everything else is a POSIXct."""
    zone = None if getattr(series.dtype, "tz", None) is None else str(series.dtype.tz)
    stamps = pd.DatetimeIndex(series)
    if zone is not None:
        stamps = stamps.tz_convert("UTC").tz_localize(None)
    missing = stamps.isna()
    if zone is None and bool((stamps[~missing] == stamps[~missing].normalize()).all()):
        days = stamps.to_numpy().astype("datetime64[D]").astype(np.int64).astype(np.float64)
        return Column("date", np.where(missing, NA_REAL, days))
    steps = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[stamps.unit]
    # Whole seconds apart from the rest: nanoseconds since 1970 have more digits than a double.
    seconds = stamps.asi8 // steps + (stamps.asi8 % steps) / steps
    return Column("datetime", np.where(missing, NA_REAL, seconds), zone=zone or "UTC")


def _encode_object(series: pd.Series, name: str) -> Column:
    """Text, or Python objects that pandas can tell."""
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind in ("string", "empty"):
        text = series.to_numpy(dtype=object, copy=True)
        text[series.isna().to_numpy()] = None
        return Column("character", text)
    if kind in ("boolean", "integer"):
        return encode(series.astype("boolean" if kind == "boolean" else "Int64"), name)
    if kind in ("floating", "mixed-integer-float"):
        return encode(series.astype("float64"), name)
    if kind in ("datetime", "date"):
        return encode(pd.to_datetime(series), name)
    example = next(iter(series.dropna()), None)
    raise InputError(
        "columns of truth values, numbers, strings, categories, dates or times",
        f"column '{name}' of kind '{kind}', such as {example!r:.80}",
        _REMEDY,
    )

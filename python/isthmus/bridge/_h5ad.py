"""What of a study from R an h5ad file has no form for: it is given one, or refused before anything is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from anndata import AnnData

from isthmus._errors import InputError
from isthmus.bridge.study import ALTERNATIVES, RECORD


def make_writable(study: AnnData) -> None:
    """Change the tables of a study, and of its alternative experiments, so that they can be written.

    Dates and times become text (ISO 8601), and text with missing values a category, which can have them.

    Raises
    ------
    InputError
        If something has a name that the file cannot hold.
    """
    others = study.uns.get(ALTERNATIVES, {})
    assays = [study.uns.get(RECORD, {}).get("main"), *study.layers]
    for what, names in (("assay", assays), ("reduced dimension", study.obsm), ("alternative experiment", others)):
        _check_names(what, names)
    study.obs = _writable("cell data", study.obs)
    study.var = _writable("feature data", study.var)
    for other in others.values():
        make_writable(other)


def _check_names(what: str, names: Iterable[Any]) -> None:
    for name in names:
        if name is not None and "/" in str(name):
            raise InputError(
                "names without '/', which makes folders inside an .h5ad file",
                f"the {what} '{name}'",
                f"rename it, for example to '{name.replace('/', '_')}'",
            )


def _writable(what: str, table: pd.DataFrame) -> pd.DataFrame:
    _check_names(f"column of the {what}", table.columns)
    if "_index" in table:
        raise InputError(
            "columns of other names than '_index', under which an .h5ad file keeps the row names",
            f"the column '_index' of the {what}",
            "rename or drop it",
        )
    return pd.DataFrame({name: _column(table[name]) for name in table}, index=table.index, columns=table.columns)


def _column(values: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        known = values.dropna()
        days = known.dt.tz is None and bool((known == known.dt.normalize()).all())
        text = [None if pd.isna(time) else (time.date() if days else time).isoformat() for time in values]
        values = pd.Series(text, index=values.index, dtype=object)
    return values.astype("category") if values.dtype == object and values.isna().any() else values

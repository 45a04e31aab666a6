"""From cells to the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray

from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus.data.study import layer_or_usual
from isthmus.metrics._inputs import as_embedding
from isthmus.report import _joint_sections as joint_sections
from isthmus.report import _sections as single_sections
from isthmus.report._baseline import baseline, choose_markers, log_normalised
from isthmus.report._cells import DRAWN, Cells, query_cells, reference_cells
from isthmus.report._html import template
from isthmus.report._joint import Joint, joint_of
from isthmus.report._page import Page

if TYPE_CHECKING:
    from isthmus.tl import FittedModel

REPORTED = ("scalex", "scdreamer", "glue")


def write_report(
    file: str | Path,
    model: FittedModel,
    reference: AnnData | Mapping[str, AnnData],
    query: AnnData | None = None,
    *,
    labels_key: str | None = None,
    markers: Mapping[str, Sequence[str]] | None = None,
    query_values: str | None = None,
    query_layer: str | None = None,
    before: ArrayLike | None = None,
    title: str | None = None,
    notes: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a page that shows how a reference was integrated and how a query fits into it.

    The page of GLUE shows how modalities were aligned, whether linked features agree, and the best links. Of more than
    20,000 reference or query cells a random sample is drawn and scored.

    Parameters
    ----------
    file
        The HTML file to write; an older one is replaced.
    model
        The fitted model.
    reference
        The cells it was fitted on, with its ``obsm["X_<key_added>"]``; of GLUE all modalities, as for the fit.
    query
        Projected cells, with transferred labels where they have some. Not for GLUE.
    labels_key
        Column of ``reference.obs`` with labels. Where the query has the column too, the transferred labels are
        compared with it. Of GLUE, modalities that lack it show the labels that the model gave them, if any.
    markers
        Label or topic to genes, whose means in the query are shown; None = genes that mark the reference's labels.
    query_values, query_layer
        As in ``model.project``; None = as in the fit, with ``X`` where the query lacks the fit's layer.
    before
        (cells, any) embedding of the reference to compare with; None = principal components of the model's input.
    title
        Of the page.
    notes
        Paragraphs of yours for the sections ``"summary"``, ``"batches"``, ``"labels"``, ``"scores"``, ``"query"``,
        ``"markers"``, ``"training"``; of GLUE also ``"modalities"``, ``"consistency"``, ``"links"``.
    facts
        More rows for the last table, such as times or files.
    seed
        Of layouts and samples.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        If the model is not of SCALEX, scDREAMER or GLUE, cells, an embedding, a layer or a column is missing,
        ``before`` does not have a row for each cell, or a page of GLUE is asked to show a query.
    EnvironmentProblem
        If matplotlib is missing.

    Examples
    --------
    >>> im.report.write_report("report.html", model, adata, query, labels_key="cell_type")
    """
    _check_reported(model)
    if model.system == "glue":
        _check_no_query(query=query, markers=markers, query_values=query_values, query_layer=query_layer, before=before)
        cells, joint = joint_of(model, reference, labels_key)
        return write(file, model, cells, joint=joint, title=title, notes=notes, facts=facts, seed=seed)
    settings = model.settings
    key = settings["key_added"]
    before = None if before is None else _given_before(before, reference.n_obs)
    logged = log_normalised(reference, settings["values"], layer_or_usual(reference, None, settings["layer"]))
    if markers is None and query is not None and labels_key is not None and labels_key in reference.obs:
        markers = choose_markers(logged, reference.var_names, reference.obs[labels_key], query.var_names)
    genes = [gene for group in (markers or {}).values() for gene in group]
    below = reference_cells(
        reference, key, settings["batch_key"], labels_key, _expression(logged, reference.var_names, genes)
    )
    before = baseline(model, reference, seed=seed) if before is None else before
    below = Cells(**{**vars(below), "before": before})
    above, coverage = None, None
    if query is not None:
        layer = layer_or_usual(query, query_layer, settings["layer"])
        logged = log_normalised(query, query_values or settings["values"], layer)
        above = query_cells(query, key, labels_key, _expression(logged, query.var_names, genes))
        coverage = query.uns.get(key, {}).get("projection")
    return write(
        file, model, below, above, markers=markers, coverage=coverage, title=title, notes=notes, facts=facts, seed=seed
    )


def write(
    file: str | Path,
    model: FittedModel,
    reference: Cells,
    query: Cells | None = None,
    *,
    markers: Mapping[str, Sequence[str]] | None = None,
    coverage: Mapping[str, float] | None = None,
    before_name: str = "before (PCA)",
    title: str | None = None,
    notes: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    seed: int = 0,
    joint: Joint | None = None,
) -> Path:
    """Write the page from cells that are taken out of their objects already; see :func:`write_report`."""
    page = Page(
        model=model,
        reference=reference.sample(DRAWN, seed),
        query=None if query is None else query.sample(DRAWN, seed),
        markers=dict(markers or {}),
        coverage=coverage,
        before_name=before_name,
        notes=dict(notes or {}),
        facts=dict(facts or {}),
        seed=seed,
        joint=joint,
    )
    sections = single_sections if joint is None else joint_sections
    done = "modalities aligned" if joint else "batches integrated" + ("" if query is None else ", new cells projected")
    body = "\n".join(part for part in sections.all_of(page) if part)
    name = title or f"{model.title}: {done}"
    html = template().substitute(title=escape(name), lead=sections.lead(page), body=body)
    with atomic_path(file) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(file)


def _check_reported(model: FittedModel) -> None:
    """Of batches of one feature set, or of modalities that share no cells."""
    if model.system not in REPORTED:
        raise InputError(
            "a model of SCALEX, scDREAMER or GLUE",
            f"a model of '{model.system}'",
            "draw its embedding with your usual plots",
        )


def _check_no_query(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(
                "the modalities that the model was fitted to, without a query", f"{name}=", f"leave {name} out"
            )


def _given_before(values: ArrayLike, n_cells: int) -> NDArray[np.float64]:
    """The user's embedding to compare with, a row for each cell of the reference."""
    z = as_embedding(values, "embedding before=")
    if len(z) != n_cells:
        raise InputError(
            f"a row of before= for each of the {n_cells} cells of the reference",
            f"{len(z)} rows",
            "give an embedding of these cells in their order, or leave before out",
        )
    return z


def _expression(logged: Any, features: pd.Index, genes: Sequence[str]) -> pd.DataFrame:
    """Columns of the genes that are there, (cells, genes)."""
    held = [gene for gene in dict.fromkeys(genes) if gene in features]
    return pd.DataFrame(logged[:, features.get_indexer(held)].toarray(), columns=held)

"""The sections of a report, each a piece of HTML; empty where there is nothing to show."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import pandas as pd

from isthmus import pl
from isthmus.pl._history import best_epoch
from isthmus.report import _pictures, _tables
from isthmus.report._cells import Cells
from isthmus.report._html import figure, legend, note, sampled, section, several
from isthmus.report._page import Page


def all_of(page: Page) -> Iterator[str]:
    """The sections in their order."""
    yield _summary(page)
    if page.reference.batch is not None:
        yield _batches(page)
    if page.reference.label is not None:
        yield _labels(page)
    if page.scores:
        yield _scores(page)
    if page.query is not None:
        yield _query(page)
    yield training(page)
    yield provenance(page)


def lead(page: Page) -> str:
    """One sentence under the title."""
    n, facts = page.reference.n_all, page.model.manifest.facts
    words = f"{n:,} reference cells from {several(facts['n_batches'], 'batch', 'batches')}"
    if page.query is not None:
        words += f", {page.query.n_all:,} query cells projected onto them without training"
    return escape(words + ".")


def _summary(page: Page) -> str:
    facts, settings = page.model.manifest.facts, page.model.settings
    cards = [
        (f"{page.reference.n_all:,}", "reference cells"),
        (f"{facts['n_batches']:,}", "batches"),
        (f"{facts['n_features']:,}", "features in the model"),
        (f"{settings['n_latent']}", "latent dimensions"),
    ]
    if page.query is not None:
        cards.append((f"{page.query.n_all:,}", "query cells"))
    if page.coverage is not None:
        cards.append((f"{100 * page.coverage['share']:.0f} %", "of the model's features in the query"))
    items = "".join(f"<li><b>{number}</b>{words}</li>" for number, words in cards)
    return f'<ul class="cards">{items}</ul>{note(page, "summary")}'


def _batches(page: Page) -> str:
    groups = page.reference.batch
    colors = pl.colors_of(groups.categories)
    maps = _before_and_after(page, groups, colors, "batch")
    text = "Every point is a cell. Where batches were integrated, their colours mix wherever they share a type of cell."
    return section("Batches", f"<p>{text}</p>{note(page, 'batches')}{maps}{legend(groups, colors)}")


def _labels(page: Page) -> str:
    groups = page.reference.label
    maps = _before_and_after(page, groups, page.colors, "label")
    learnt = page.model.settings.get("labels_key") is not None
    seen = "from which the model has learnt" if learnt else "which the model never saw"
    text = f"The same maps in the colours of the labels, {seen}: they should stay apart."
    return section("Labels", f"<p>{text}</p>{note(page, 'labels')}{maps}{legend(groups, page.colors)}")


def _scores(page: Page) -> str:
    names = {"before": page.before_name, "after": page.model.title}
    text = "Of the embedding itself, not of the map. " + sampled(page.reference, "scored")
    return section("Scores", f"<p>{text}</p>{note(page, 'scores')}{_tables.scores_table(page.scores, names)}")


def _query(page: Page) -> str:
    query = page.query
    below, above = page.layout
    groups = query.label
    title = "query over reference" if groups is None else "query by transferred label"
    png = _pictures.query_map(below, above, groups, page.colors, title)
    alt = f"UMAP of {len(query.z):,} query cells over {len(below):,} grey reference cells" + (
        "" if groups is None else f", in the colours of {several(len(groups.categories), 'transferred label')}"
    )
    caption = f"The reference in grey, at the places of the maps above. {sampled(query, 'drawn')}"
    beside = "" if groups is None else _tables.labels_table(query, page.colors)
    parts = [
        _coverage(page),
        note(page, "query"),
        f'<div class="pair">{figure(png, alt, caption)}<div>{beside}</div></div>',
        _markers(page),
        _truth(query),
    ]
    return section("Query", "".join(parts))


def _coverage(page: Page) -> str:
    cover = page.coverage
    if cover is None:
        return ""
    missing = int(cover["n_reference"] - cover["n_found"])
    words = (
        f"The query measures {cover['n_found']:,.0f} of the model's {cover['n_reference']:,.0f} features "
        f"({100 * cover['share']:.1f} %); they carry {100 * cover['weighted']:.1f} % of the reference's signal."
    )
    if missing:
        words += f" The other {missing:,} were masked: taken as unknown, not as zero."
    return f"<p>{words}</p>"


def _markers(page: Page) -> str:
    table = _tables.markers_table(page.reference, page.query, page.markers, list(page.colors))
    if not table:
        return ""
    text = (
        "Mean expression in the query cells by the label they got (log-normalised; darker is more, within a gene). "
        "Small numbers: the reference cells of that label; – where it does not measure the gene. The two differ in "
        "depth and genes: compare within a column."
    )
    return f"<h3>Do the labels fit the genes?</h3><p>{text}</p>{note(page, 'markers')}{table}"


def _truth(query: Cells) -> str:
    if query.truth is None or query.label is None:
        return ""
    text = "The query has labels of its own, which played no part. Each row: where its cells went, in percent."
    return f"<h3>Against the query's own labels</h3><p>{text}</p>{_tables.truth_table(query)}"


def training(page: Page, unit: str = "nats per cell") -> str:
    """The curve of every term of the loss."""
    history = page.model.history
    if history.empty:
        return ""
    best = best_epoch(history)
    text = f"{several(int(history['epoch'].iloc[-1]), 'epoch')} in {history['seconds'].sum():,.0f} seconds."
    if best is not None:
        text += f" The weights of epoch {best:g} were kept, where the loss of the held-out cells is least."
    alt = f"in {unit} over {len(history)} recorded epochs, training and held-out cells"
    curves = [figure(png, f"{term} {alt}") for term, png in _pictures.training_curves(history).items()]
    body = f'<p>{text} In {unit}.</p>{note(page, "training")}<div class="triple">{"".join(curves)}</div>'
    return section("Training", body)


def provenance(page: Page) -> str:
    """Settings, versions, and whatever the caller adds."""
    manifest = page.model.manifest
    chosen = {name: value for name, value in manifest.settings.items() if value is not None and name != "features"}
    versions = {"isthmus": manifest.isthmus, **manifest.environment}
    facts: dict[str, Any] = {
        **page.facts,
        "seed": manifest.settings["seed"],
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "machine": f"{platform.system()} {platform.machine()}",
        "settings of the fit": ", ".join(f"{name} = {value}" for name, value in chosen.items()),
        "model": manifest.id,
    }
    return section("How it was made", _tables.facts_table(facts))


def _before_and_after(page: Page, groups: pd.Categorical, colors: Mapping[Any, str], what: str) -> str:
    """Two maps side by side in one colouring."""
    figures = []
    n = f"{len(page.reference.z):,} reference cells in the colours of {len(groups.categories):,} groups ({what})"
    if page.layout_before is not None:
        png = _pictures.cell_map(page.layout_before, groups, colors, page.before_name)
        figures.append(figure(png, f"UMAP {page.before_name} of {n}"))
    after = f"after {page.model.title}"
    png = _pictures.cell_map(page.layout[0], groups, colors, after)
    figures.append(figure(png, f"UMAP {after} of {n}", sampled(page.reference, "drawn")))
    return f'<div class="pair">{"".join(figures)}</div>'

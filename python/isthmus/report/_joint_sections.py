"""The sections of a page of several modalities."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import pandas as pd

from isthmus import pl
from isthmus.pl._consistency import TRUSTED
from isthmus.report import _pictures, _tables
from isthmus.report._html import figure, legend, note, sampled, section
from isthmus.report._page import Page
from isthmus.report._sections import provenance, training

FDR = 0.05  # of the links that are counted and coloured
SHOWN = 12  # links in the table


def all_of(page: Page) -> Iterator[str]:
    """The sections in their order; empty where there is nothing to show."""
    yield _summary(page)
    yield _modalities(page)
    yield _consistency(page)
    if page.scores:
        yield _scores(page)
    for modality in page.joint.named:
        yield _named(page, modality)
    if page.joint.links is not None:
        yield _links(page)
    yield training(page, "nats per feature")
    yield provenance(page)


def lead(page: Page) -> str:
    """One sentence under the title."""
    parts = [f"{n:,} cells with {name}" for name, n in page.model.manifest.facts["n_cells"].items()]
    return escape(f"{' and '.join(parts)}, aligned through a graph of {_edges(page):,} edges between their features.")


def _edges(page: Page) -> int:
    return page.model.manifest.facts["n_edges"]


def _summary(page: Page) -> str:
    facts = page.model.manifest.facts
    cards = [(f"{n:,}", f"cells with {name}") for name, n in facts["n_cells"].items()]
    cards += [(f"{n:,}", f"features of {name} in the model") for name, n in facts["n_features"].items()]
    cards += [(f"{_edges(page):,}", "edges of the graph"), (f"{page.model.settings['n_latent']}", "latent dimensions")]
    if page.joint.links is not None:
        cards.append((f"{_called(page.joint.links):,}", f"links at q < {FDR:g}"))
    items = "".join(f"<li><b>{number}</b>{escape(words)}</li>" for number, words in cards)
    return f'<ul class="cards">{items}</ul>{note(page, "summary")}'


def _modalities(page: Page) -> str:
    cells = page.reference
    text = "Every point is a cell. Where modalities were aligned, their colours mix wherever they share a type of cell."
    colorings = [("modality", cells.batch, pl.colors_of(cells.batch.categories))]
    if cells.label is not None:
        colorings.append(("label", cells.label, page.colors))
        text += " Labels are the cells' own, or those that the model gave where a modality has none of these names."
    figures = []
    for what, groups, colors in colorings:
        png = _pictures.cell_map(page.layout[0], groups, colors, f"by {what}")
        alt = f"UMAP of {len(cells.z):,} cells in the colours of {len(groups.categories):,} groups ({what})"
        figures.append(figure(png, alt, sampled(cells, "drawn") + legend(groups, colors)))
    return section("Modalities", f'<p>{text}</p>{note(page, "modalities")}<div class="pair">{"".join(figures)}</div>')


def _consistency(page: Page) -> str:
    table = page.joint.consistency.dropna(subset="consistency")
    text = (
        "That modalities mix is no proof that they belong together. Cells of all of them are put into groups, and "
        "linked features are asked whether they rise and fall together over these groups. "
    )
    if table.empty:
        return section("Can it be trusted?", f"<p>{text}There are too few cells to say.</p>")
    png = _pictures.consistency_curve(table)
    scores = ", ".join(f"{row.consistency:.3f} in {row.n_metacells:g} groups" for row in table.itertuples())
    body = f'<div class="pair">{figure(png, f"Integration consistency: {scores}")}<p>{_verdict(table)}</p></div>'
    return section("Can it be trusted?", f"<p>{text}</p>{note(page, 'consistency')}{body}")


def _verdict(table: pd.DataFrame) -> str:
    """What the curve says."""
    high = table["consistency"] >= TRUSTED
    if high.all():
        return f"It stays above {TRUSTED:g}: linked features go together in the aligned cells."
    if not high.any():
        return f"It is below {TRUSTED:g} throughout: linked features hardly go together. Do not trust this alignment."
    above, below = (", ".join(f"{k:g}" for k in table.loc[part, "n_metacells"]) for part in (high, ~high))
    return (
        f"It is above {TRUSTED:g} with {above} groups and below it with {below}: the coarse structure is aligned, "
        "small differences between cells need not be, or are too noisy to tell."
    )


def _scores(page: Page) -> str:
    text = "Of the embedding itself, not of the map. " + sampled(page.reference, "scored")
    table = _tables.scores_table(page.scores, {"after": page.model.title}, "modalities")
    return section("Scores", f"<p>{text}</p>{note(page, 'scores')}{table}")


def _named(page: Page, modality: str) -> str:
    given = (page.model.settings["labels_key"] or {}).get(modality)
    seen = "from which the model has learnt" if given else "which played no part"
    text = (
        f"The cells of {escape(modality)} have labels of their own, {seen}. Each row: where its cells went, in percent."
    )
    table = _tables.truth_table(page.joint.named[modality])
    return section(f"Labels given to {modality}", f"<p>{text}</p>{note(page, 'labels')}{table}")


def _called(links: pd.DataFrame) -> int:
    return int((links["qvalue"] < FDR).sum())


def _drawn(placed: pd.DataFrame) -> str:
    """The gene to draw: of those in the table the one with the most links, and of these the most pairs."""
    strong = placed["qvalue"] < FDR
    n = pd.DataFrame({"links": strong.groupby(placed["gene"]).sum(), "pairs": placed["gene"].value_counts()})
    best = n.loc[placed["gene"].head(SHOWN).unique()].sort_values(["links", "pairs"], ascending=False, kind="stable")
    return best.index[0]


def _links(page: Page) -> str:
    links = page.joint.links
    placed = links[links["tss"].notna() & links["peak_start"].notna()]
    text = (
        f"{len(links):,} pairs of a gene and a peak that the graph joins were scored; {_called(links):,} are told from "
        f"pairs that mean nothing at a false discovery rate below {FDR:g}. The best of them:"
    )
    picture = ""
    if len(placed):
        gene = _drawn(placed)
        alt = f"Links of {gene}: arcs from its start to peaks around it, as high as their score"
        picture = figure(_pictures.link_arcs(placed, gene, FDR), alt, f"All scored pairs of {escape(gene)}.")
    return section("Links", f"<p>{text}</p>{note(page, 'links')}{_tables.links_table(links.head(SHOWN))}{picture}")

"""The tables of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from isthmus import metrics
from isthmus.report._cells import Cells
from isthmus.tl._labels import UNKNOWN

# key of im.metrics.summary, what it asks, higher is better
_SCORES = (
    ("nmi", "Do clusters find the labels again? (NMI)", True),
    ("ari", "The same, counted by pairs of cells (ARI)", True),
    ("silhouette_label", "Are labels compact and apart? (silhouette)", True),
    ("graph_connectivity", "Is each label in one piece? (graph connectivity)", True),
    ("overcorrection", "Do different labels run into each other? (over-correction)", False),
    ("ilisi", "How many {batches} meet around a cell? (iLISI)", True),
    ("silhouette_batch", "Do {batches} overlap within labels? (batch silhouette)", True),
    ("batch_entropy_mixing", "Are {batches} mixed as in the whole? (entropy)", True),
)
_LABELS = 5  # the first so many scores are about labels, the others about batches


def score(cells: Cells, seed: int) -> dict[str, dict[str, float]]:
    """Scores of the embedding (``"after"``) and, where there is one, of what was there before integration."""
    label = cells.label if cells.label is not None and len(cells.label.categories) > 1 else None
    batch = cells.batch if cells.batch is not None and len(cells.batch.categories) > 1 else None
    if label is None and batch is None:
        return {}
    sides = {"after": cells.z} | ({} if cells.before is None else {"before": cells.before})
    return {name: metrics.summary(z, label, batch, seed=seed) for name, z in sides.items()}


def scores_table(
    scores: Mapping[str, Mapping[str, float]], names: Mapping[str, str], batches: str = "batches"
) -> str:  # fmt: skip
    """One row a score, one column an embedding; the better one of two is bold."""
    sides = [side for side in ("before", "after") if side in scores]
    head = "".join(f'<th scope="col" class="number">{escape(names[side])}</th>' for side in sides)
    body = []
    for place, (key, words, higher) in enumerate(_SCORES):
        if key not in scores["after"]:
            continue
        if not body or (place >= _LABELS and not any(f"{batches}</th>" in row for row in body)):
            topic = "labels" if place < _LABELS else batches
            body.append(f'<tr class="group"><th scope="rowgroup" colspan="{len(sides) + 2}">{topic}</th></tr>')
        values = [scores[side].get(key, np.nan) for side in sides]
        best = np.nanmax(values) if higher else np.nanmin(values)
        cells = "".join(_number(value, len(sides) > 1 and round(value, 3) == round(best, 3)) for value in values)
        better = "higher" if higher else "lower"
        asked = escape(words.format(batches=batches))
        body.append(f'<tr><th scope="row">{asked}</th>{cells}<td class="quiet">{better}</td></tr>')
    return _table(f'<th scope="col">question (score)</th>{head}<th scope="col">better</th>', body)


def labels_table(query: Cells, colors: Mapping[Any, str]) -> str:
    """Number and confidence of the query cells by the label they got."""
    body = []
    for name, color in colors.items():
        here = query.label == name
        if not here.any():
            continue
        sure = "" if query.confidence is None else f"{np.mean(query.confidence[here]):.2f}"
        swatch = f'<i class="swatch" style="background:{color}"></i>'
        body.append(
            f'<tr><th scope="row">{swatch}{escape(str(name))}</th><td class="number">{here.sum():,}</td>'
            f'<td class="number">{100 * here.mean():.1f} %</td><td class="number">{sure}</td></tr>'
        )
    head = "".join(f'<th scope="col" class="number">{word}</th>' for word in ("cells", "share", "mean confidence"))
    return _table(f'<th scope="col">transferred label</th>{head}', body)


def markers_table(reference: Cells, query: Cells, markers: Mapping[str, Sequence[str]], names: Sequence[Any]) -> str:
    """Mean expression of marker genes in the query by the label it got; below, small, in the reference."""
    genes = [gene for group in markers.values() for gene in group if gene in query.markers]
    if not genes or query.label is None:
        return ""
    own = query.markers[genes].groupby(np.asarray(query.label), observed=True).mean()
    theirs = pd.DataFrame(columns=genes, dtype=float)
    if reference.label is not None and len(reference.markers):
        theirs = reference.markers.groupby(np.asarray(reference.label), observed=True).mean().reindex(columns=genes)
    spans = [(name, [g for g in group if g in genes]) for name, group in markers.items()]
    top = "".join(
        f'<th scope="colgroup" colspan="{len(group)}">{escape(str(name))}</th>' for name, group in spans if group
    )
    head = "".join(f'<th scope="col" class="number"><em>{escape(gene)}</em></th>' for gene in genes)
    highest = own.max().replace(0, 1)
    body = []
    for name in (name for name in names if name in own.index):
        cells = "".join(_tinted(own.at[name, g], highest[g], _reference_mean(theirs, name, g)) for g in genes)
        n = int((query.label == name).sum())
        body.append(f'<tr><th scope="row">{escape(str(name))} <span class="quiet">{n:,}</span></th>{cells}</tr>')
    return _table(f'<th scope="col">transferred label <span class="quiet">cells</span></th>{head}', body, top, "dense")


def truth_table(query: Cells) -> str:
    """Share of each of the query's own labels that got each transferred label, in percent."""
    table = pd.crosstab(np.asarray(query.truth), np.asarray(query.label))
    columns = sorted(table.columns, key=lambda name: (name == UNKNOWN, -table[name].sum()))
    head = "".join(f'<th scope="col" class="number">{escape(str(name))}</th>' for name in columns)
    body = []
    for name, row in table[columns].iterrows():
        shares = 100 * row / row.sum()
        cells = "".join(
            _tinted(share, 100.0, None, "{:.0f}" if share >= 0.5 else "&lt;1") if share else "<td></td>"
            for share in shares
        )
        n = int(row.sum())
        body.append(f'<tr><th scope="row">{escape(str(name))} <span class="quiet">{n:,}</span></th>{cells}</tr>')
    return _table(f'<th scope="col">own label <span class="quiet">cells</span></th>{head}', body, kind="dense")


def links_table(links: pd.DataFrame) -> str:
    """Gene, peak, distance, score and what the score is worth, a link a row."""
    body = [
        f'<tr><th scope="row"><em>{escape(str(row.gene))}</em></th><td>{escape(str(row.peak))}</td>'
        f'<td class="number">{"–" if pd.isna(row.distance) else f"{row.distance / 1000:+.1f}"}</td>'
        f'<td class="number">{row.score:.3f}</td><td class="number">{row.pvalue:.1e}</td>'
        f'<td class="number">{row.qvalue:.3f}</td></tr>'
        for row in links.itertuples()
    ]
    numbers = ("distance (kb)", "score", "p", "q")
    head = "".join(f'<th scope="col" class="number">{word}</th>' for word in numbers)
    return _table(f'<th scope="col">gene</th><th scope="col">peak</th>{head}', body, kind="dense")


def facts_table(facts: Mapping[str, Any]) -> str:
    """Names and values."""
    rows = [
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(str(value))}</td></tr>'
        for name, value in facts.items()
    ]
    return f'<div class="scroll"><table class="facts"><tbody>{"".join(rows)}</tbody></table></div>'


def _table(head: str, body: Sequence[str], top: str = "", kind: str = "") -> str:
    above = f'<tr class="top"><td></td>{top}</tr>' if top else ""
    rows = f"<thead>{above}<tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{rows}</table></div>'


def _number(value: float, bold: bool) -> str:
    text = "–" if np.isnan(value) else f"{value:.3f}"
    return f'<td class="number">{f"<b>{text}</b>" if bold else text}</td>'


def _reference_mean(means: pd.DataFrame, label: Any, gene: str) -> str:
    value = means.at[label, gene] if label in means.index else np.nan
    return "–" if pd.isna(value) else f"{value:.1f}"


def _tinted(value: float, highest: float, below: str | None, form: str = "{:.1f}") -> str:
    """A number on a tint of blue that is the darker the larger it is in its column."""
    share = float(np.clip(value / highest, 0, 1))
    small = "" if below is None else f"<small>{below}</small>"
    tint = f"rgba(63,144,218,{0.55 * share:.2f})"
    return f'<td class="number" style="background:{tint}">{form.format(value)}{small}</td>'

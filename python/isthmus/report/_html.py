"""Pieces of HTML that the sections of every report are made of."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import pandas as pd

from isthmus.report._cells import Cells
from isthmus.report._page import Page


def template() -> Template:
    """The page around the sections."""
    return Template(files("isthmus.report").joinpath("page.html").read_text(encoding="utf-8"))


def section(title: str, body: str) -> str:
    """A heading and what stands under it."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def note(page: Page, section: str) -> str:
    """The caller's paragraph of a section, if any."""
    return f"<p>{escape(page.notes[section])}</p>" if page.notes.get(section) else ""


def figure(png: str, alt: str, caption: str = "") -> str:
    """A picture with its words for those who cannot see it, and a caption."""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><img alt="{escape(alt)}" src="data:image/png;base64,{png}">{below}</figure>'


def legend(groups: pd.Categorical, colors: Mapping[Any, str]) -> str:
    """Groups with their colours and numbers of cells."""
    counts = groups.value_counts()
    items = "".join(
        f'<li><i class="swatch" style="background:{colors[name]}"></i>{escape(str(name))} <span>{n:,}</span></li>'
        for name, n in counts.items()
        if n
    )
    return f'<ul class="legend">{items}</ul>'


def sampled(cells: Cells, verb: str) -> str:
    """That not all cells are shown, where it is so."""
    if cells.n_all == len(cells.z):
        return ""
    return f"A random sample of {len(cells.z):,} of {cells.n_all:,} cells is {verb}."


def several(n: int, one: str, many: str | None = None) -> str:
    """A number and its noun."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"

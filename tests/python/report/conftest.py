"""Pages as a browser would read them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest


class Reader(HTMLParser):
    """Collects what the tests ask about: pictures, headings, cells of tables, references to elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images, self.headings, self.rows, self.elsewhere, self.tags = [], [], [], [], []
        self.inside = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(attrs)
        if tag in ("script", "link", "iframe") or any(str(v).startswith(("http", "//")) for v in attrs.values()):
            self.elsewhere.append((tag, attrs))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")
        self.inside = tag if tag in ("h1", "h2", "h3") else ("cell" if tag in ("th", "td") else self.inside)

    def handle_endtag(self, tag):
        if tag in ("th", "td", "h1", "h2", "h3"):
            self.inside = None

    def handle_data(self, data):
        if self.inside == "cell":
            self.rows[-1][-1] += data
        elif self.inside:
            self.headings[-1] += data


@pytest.fixture
def read() -> type[Reader]:
    """``read(text)`` takes a page apart."""
    return Reader

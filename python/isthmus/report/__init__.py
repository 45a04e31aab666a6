"""One page that shows what a fit did: pictures, scores, coverage, transferred labels, provenance.

The page is a single HTML file with its pictures inside, so that it can be mailed and opened anywhere.
"""

from __future__ import annotations

from isthmus.report._baseline import baseline, choose_markers
from isthmus.report._write import write, write_report

__all__ = ["baseline", "choose_markers", "write", "write_report"]

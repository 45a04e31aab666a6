"""Sphinx extension: formulas as MathML, which browsers draw themselves, so that pages are whole without internet."""

from __future__ import annotations

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html import HTMLTranslator


def visit_math(translator: HTMLTranslator, node: nodes.math) -> None:
    """A formula within a line."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_math_block(translator: HTMLTranslator, node: nodes.math_block) -> None:
    """A displayed formula; one of several lines is aligned at its ``&``."""
    latex = node.astext().strip()
    if "&" in latex or r"\\" in latex:
        latex = rf"\begin{{split}}{latex}\end{{split}}"
    mathml = convert(latex, display="block")
    for side in ("left", "right"):  # browsers know the style, not the attribute
        mathml = mathml.replace(f'columnalign="{side}"', f'style="text-align: {side}"')
    translator.body.append(f'<div class="math" style="overflow-x: auto">{mathml}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name that ``html_math_renderer`` asks for."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Sphinx configuration of the Python documentation; ``make docs`` builds it with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import isthmus  # noqa: E402

project = "isthmus"
author = "The isthmus developers"
copyright = "2026, The isthmus developers"
version = release = isthmus.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "mathml",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_title = f"isthmus {release}"
html_static_path = ["_static"]
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2, "use_download_button": False, "use_fullscreen_button": False}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# The bridge is documented where neither R nor rpy2 is installed.
autodoc_mock_imports = ["rpy2", "anndata2ri"]
autodoc_typehints = "none"  # numpydoc's parameter lists say what the types mean
autodoc_preserve_defaults = True
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
toc_object_entries = False

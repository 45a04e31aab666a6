"""isthmus: integration models for single cells, for R and Python.

``im.tl`` holds the verbs, ``im.pl`` the pictures, ``im.metrics`` the scores, ``im.data`` what stands between
AnnData and the models, ``im.genomics`` intervals and guidance graphs, ``im.load`` reads a saved model.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.99.0"
__all__ = ["InputError", "ModelFileError", "TrainingError", "data", "genomics", "load", "metrics", "pl", "tl"]

_MODULES = {"data", "genomics", "metrics", "pl", "tl", "nn", "train", "models", "bridge", "report"}
_NAMES = {
    "load": "isthmus.tl",
    "InputError": "isthmus._errors",
    "ModelFileError": "isthmus._errors",
    "TrainingError": "isthmus._errors",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``import isthmus`` costs milliseconds and starts nothing."""
    if name in _MODULES:
        return importlib.import_module(f"isthmus.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'isthmus' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})

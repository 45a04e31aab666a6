"""Dependencies that are imported where they are used."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from isthmus._errors import EnvironmentProblem


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say how to install it.

    Parameters
    ----------
    module
        Name to import, such as ``"matplotlib.pyplot"``.
    extra
        The extra of isthmus that brings it, such as ``"plot"``.

    Raises
    ------
    EnvironmentProblem
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # the module is there, one of its own dependencies is not
        raise EnvironmentProblem(
            f"the Python package '{module.partition('.')[0]}' for this call",
            "that it is not installed",
            f'pip install "isthmus[{extra}]"',
        ) from error


@contextmanager
def deferred(name: str) -> Iterator[None]:
    """Within this block, ``import name`` gives a stand-in, which imports the module when something in it is used.

    For a large module that a dependency imports for a corner which isthmus does not enter. Whoever enters it later gets
    the module, and whoever imports it after the block the module itself.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None:  # there already, or not installed: as without this block
        yield
        return
    stand_in = sys.modules[name] = _Deferred(name)
    stand_in.__spec__, stand_in.__file__ = spec, spec.origin
    try:
        yield
    finally:
        stand_in.leave()


class _Deferred(ModuleType):
    """Stands for a module until something in it is used."""

    def leave(self) -> None:
        """Make way for the module itself."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:
        self.leave()
        return getattr(importlib.import_module(self.__name__), name)

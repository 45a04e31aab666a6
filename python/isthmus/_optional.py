"""Optional dependencies, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

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

"""Errors that teach: what was expected, what was found, what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used; raised before any work starts.

    Parameters
    ----------
    expected
        What the call needs, without a closing full stop.
    found
        What was there instead, with a value.
    remedy
        What the user can do about it.
    """

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        self.expected, self.found, self.remedy = expected, found, remedy
        super().__init__(f"Expected {expected}.\nFound {found}.\nRemedy: {remedy}.")

    def __reduce__(self) -> tuple:
        """Rebuild from the three parts, so that the error survives a process boundary."""
        return type(self), (self.expected, self.found, self.remedy)


class ModelFileError(InputError):
    """A saved model cannot be read: truncated, altered, or written by a newer version."""


class EnvironmentProblem(InputError):
    """The machine lacks something: a package, a matching version, a device."""


class TrainingError(RuntimeError):
    """Training had to stop; the model was put back to its last good state.

    Parameters
    ----------
    expected, found, remedy
        As in :class:`InputError`.
    """

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        self.expected, self.found, self.remedy = expected, found, remedy
        super().__init__(f"Expected {expected}.\nFound {found}.\nRemedy: {remedy}.")

    def __reduce__(self) -> tuple:
        """Rebuild from the three parts, so that the error survives a process boundary."""
        return type(self), (self.expected, self.found, self.remedy)

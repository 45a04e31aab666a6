"""One call of a verb, the same for every transport: warnings collected, errors turned into plain words."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from anndata import AnnData

from isthmus._errors import EnvironmentProblem, InputError, ModelFileError, TrainingError

# R is told what a user can act on; notices between library authors stay out of the way.
_SILENT = (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
_PYTHON_ADVICE = "_names_make_unique"  # of anndata on duplicate names, which R makes unique and says so itself
_TEACHING = (InputError, TrainingError)


def call(
    verb: str,
    study: AnnData | Mapping[str, AnnData] | None,
    params: Mapping[str, Any],
    progress: Callable[[str], Any],
    build: Callable[[Any], Any],
) -> tuple[Any, dict[str, Any]]:
    """Run a verb and build R's form of its result.

    Parameters
    ----------
    verb
        Name of the verb, as in ``isthmus.bridge.verbs.VERBS``, or ``"echo"``.
    study
        What it works on, several by name for verbs of several modalities; ``None`` for verbs without cells.
    params
        Its settings; those that are ``None`` were not given.
    progress
        Called with one line of text at a time.
    build
        Called with the result; what it warns of reaches R, too.

    Returns
    -------
    tuple
        What was built (``None`` when it failed) and a JSON-like status: ``status`` is ``"ok"``, ``"error"`` or
        ``"interrupt"``, ``warnings`` a list of texts, ``error`` the parts of an error.
    """
    given = {name: value for name, value in params.items() if value is not None}
    result, status = None, {"status": "ok"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = build(_verb(verb)(study, **given, progress=progress))
        except KeyboardInterrupt:
            status = {"status": "interrupt"}
        except Exception as error:  # every failure must reach R as words, none may end it
            status = {"status": "error", "error": describe(error)}
    texts = [str(w.message) for w in caught if not issubclass(w.category, _SILENT)]
    status["warnings"] = [text for text in dict.fromkeys(texts) if _PYTHON_ADVICE not in text]
    return result, status


def describe(error: BaseException) -> dict[str, Any]:
    """JSON-like description of an error, enough to raise it in the same words elsewhere."""
    if isinstance(error, _TEACHING):
        classes = (EnvironmentProblem, ModelFileError, InputError, TrainingError)
        kind = next(c.__name__ for c in classes if isinstance(error, c))
        return {"class": kind, "expected": error.expected, "found": error.found, "remedy": error.remedy}
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {"class": type(error).__name__, "message": str(error), "traceback": "".join(lines)}


def _verb(name: str) -> Callable[..., Any]:
    if name == "echo":
        return echo
    from isthmus.bridge import verbs

    if name not in verbs.VERBS:
        known = ", ".join(sorted(verbs.VERBS))
        raise InputError(f"one of the verbs {known}", f"'{name}'", "update isthmus in both languages")
    return verbs.VERBS[name]


def echo(
    study: AnnData | Mapping[str, AnnData] | None = None,
    *,
    progress: Callable[[str], Any],
    lines: list[str] | str = (),
    seconds: float = 0.0,
    warn: str | None = None,
    fail: str | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """Give back what came: the verb by which the bridge tests itself.

    Parameters
    ----------
    study
        Given back as it is.
    progress
        Gets every one of ``lines``.
    lines
        Lines of progress to send.
    seconds
        How long to work before answering.
    warn
        Text of a warning to raise.
    fail
        ``"input"``, ``"training"`` or any other text: the error to raise.
    rest
        Given back as ``params``.
    """
    import time

    for line in [lines] if isinstance(lines, str) else lines:
        progress(line)
    end = time.monotonic() + seconds
    while time.monotonic() < end:  # short sleeps, so that an interrupt is seen at once
        time.sleep(min(0.02, seconds))
    if warn is not None:
        warnings.warn(warn, UserWarning, stacklevel=2)
    if fail is not None:
        words = ("an echo that succeeds", f"fail = '{fail}'", "leave fail out")
        kinds = {"input": InputError, "training": TrainingError}
        raise kinds[fail](*words) if fail in kinds else RuntimeError(fail)
    return {"study": study, "params": rest}

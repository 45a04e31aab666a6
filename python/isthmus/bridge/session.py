"""The in-process transport: Python inside R, attached to the same R through rpy2.

R puts objects into the environment ``.bridge`` of its package's namespace and calls :func:`run` with strings;
results appear in the same environment. No R object crosses reticulate, and none outlives the call here.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import importlib.metadata
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from isthmus._errors import EnvironmentProblem

_NEWEST_FOR_OLD_R = (3, 6, 6)  # from this release on, rpy2's C layer needs symbols that R has from 4.5 on
_SLOW_BLAS = 8.0  # times slower than NumPy's own; R's reference BLAS is 30 to 70 times slower


class Unwind(KeyboardInterrupt):
    """R wants to leave (a handler took a message, or an interrupt came); Python must unwind first."""


def check_pin(r_version: str, rpy2_version: str) -> None:
    """Refuse an rpy2 that this R cannot load, before its import fails with a linker's words.

    Parameters
    ----------
    r_version
        Such as ``"4.2.2"``.
    rpy2_version
        Of the distribution ``rpy2-rinterface`` (``rpy2`` itself before 3.6).

    Raises
    ------
    EnvironmentProblem
        If R is older than 4.5 and the C layer of rpy2 is 3.6.6 or newer.
    """
    if _numbers(r_version) < (4, 5) and _numbers(rpy2_version) >= _NEWEST_FOR_OLD_R:
        raise EnvironmentProblem(
            f"rpy2-rinterface older than 3.6.6, the last that runs on R {r_version}",
            f"rpy2-rinterface {rpy2_version}, which installs without a word and then cannot be imported",
            'pip install "rpy2-rinterface<3.6.6" rpy2, or update R to 4.5 or newer',
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.replace("-", ".").split(".")[:3] if part.isdigit())


def rpy2_version() -> str | None:
    """Version of rpy2's C layer; ``None`` when it is not installed."""
    for distribution in ("rpy2-rinterface", "rpy2"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def hosted() -> bool:
    """Whether this Python runs inside R (and not the other way round)."""
    return f"PID={os.getpid()}:" in os.environ.get("R_SESSION_INITIALIZED", "")


def load_torch() -> None:
    """Import torch so that it uses its own BLAS even inside R.

    R on Linux has already loaded a ``libblas`` with the same symbols, often the slow reference; without
    RTLD_DEEPBIND torch's matrix products would run on it. Only the first import in a process can choose.
    """
    if "torch" in sys.modules or not hosted() or not sys.platform.startswith("linux"):
        importlib.import_module("torch")
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        importlib.import_module("torch")
    finally:
        sys.setdlopenflags(flags)


@contextlib.contextmanager
def _kept_interrupts() -> Iterator[None]:
    """Give Ctrl-C back to whoever had it, at both levels: Python's handler and the C handler below it.

    ``initr()`` takes SIGINT for Python alone. Inside R, Ctrl-C in plain R code would then be lost, and would
    interrupt the next call of Python instead.
    """
    if not hosted() or sys.platform == "win32":
        yield
        return
    get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
    get.restype = put.restype = ctypes.c_void_p
    put.argtypes = [ctypes.c_int, ctypes.c_void_p]
    of_python, of_process = signal.getsignal(signal.SIGINT), get(signal.SIGINT)
    try:
        yield
    finally:
        if of_python is not None:
            signal.signal(signal.SIGINT, of_python)
        put(signal.SIGINT, of_process)


def attach() -> None:
    """Let rpy2 use the R that runs already (or start one, when Python is the host).

    Raises
    ------
    EnvironmentProblem
        If rpy2 is missing or does not fit this R.
    """
    from isthmus._optional import require

    ri = require("rpy2.rinterface", extra="r")
    with _kept_interrupts():
        ri.initr()
    if hosted():
        # rpy2 would end R from Python's exit hook although it did not start it: .Last would run twice.
        atexit.unregister(ri.endr)


def start(r_version: str) -> str:
    """Make this Python ready for R; the order matters and is kept here.

    Parameters
    ----------
    r_version
        Version of the hosting R.

    Returns
    -------
    str
        JSON: ``status`` as in :func:`isthmus.bridge.dispatch.call`, ``early_torch`` whether somebody had
        imported torch before us.
    """
    from isthmus.bridge.dispatch import describe

    early = "torch" in sys.modules
    try:
        found = rpy2_version()
        if found is not None:
            check_pin(r_version, found)
        load_torch()
        attach()
    except Exception as error:  # R falls back to the other transport and says why
        return json.dumps({"status": "error", "error": describe(error)})
    return json.dumps({"status": "ok", "early_torch": early})


def selftest() -> str:
    """Cheap proof that the in-process transport works here.

    R has put a small ``dgCMatrix`` named ``selftest`` into the environment. Returns JSON with the process
    id that R reports through rpy2, whether the view shares R's memory, its sum, and how many times slower
    than NumPy's a product in torch is.
    """
    import numpy as np

    from isthmus.bridge import views

    ri = views.ri
    matrix = _environment()["selftest"]
    csr = views.csr_view(matrix)
    original = np.asarray(matrix.do_slot("x"))
    same = csr.data.__array_interface__["data"][0] == original.__array_interface__["data"][0]
    _environment()["selftest"] = views.sparse_out(csr)
    slowdown = blas_slowdown()
    return json.dumps(
        {
            "pid": int(ri.baseenv["Sys.getpid"]()[0]),
            "shared": bool(same),
            "sum": float(csr.sum()),
            "slowdown": slowdown,
            "slow": slow_blas_warning(slowdown),
        }
    )


def blas_slowdown(size: int = 384) -> float:
    """How many times longer a float32 product takes in torch than in NumPy, which brings its own BLAS."""
    import numpy as np
    import torch

    square = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    tensor, threads = torch.from_numpy(square), torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other on busy cores tell nothing of the library
    try:  # the better of a few looks: a neighbour on the machine can slow one of them, a slow library slows all
        return min(_best(lambda: tensor @ tensor) / _best(lambda: square @ square) for _ in range(4))
    finally:
        torch.set_num_threads(threads)


def _best(product: Callable[[], Any], repeats: int = 5) -> float:
    """Shortest of a few runs; the first pays for threads and buffers."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        product()
        times.append(time.perf_counter() - begin)
    return min(times)


def slow_blas_warning(slowdown: float) -> str | None:
    """Words for a torch that runs on R's BLAS, or ``None``."""
    if slowdown < _SLOW_BLAS:
        return None
    return (
        "Expected torch to multiply matrices about as fast as NumPy.\n"
        f"Found it {slowdown:.0f} times slower, on R's BLAS, as when something loads torch before isthmus does.\n"
        "Remedy: restart R and call isthmus before anything else that loads torch, "
        'or set options(isthmus.transport = "process").'
    )


def run(verb: str, params: str, progress: Callable[[str], Any]) -> str:
    """Run a verb on the study in the environment and leave its result there.

    Parameters
    ----------
    verb, params
        Name of the verb and its settings as JSON.
    progress
        R function that shows a line and answers ``"unwind"`` when R wants to leave instead.

    Returns
    -------
    str
        JSON status of :func:`isthmus.bridge.dispatch.call`.
    """
    from isthmus.bridge import rvalues, values
    from isthmus.bridge.dispatch import call, describe

    def relay(line: str) -> None:
        if progress(str(line)) == "unwind":
            raise Unwind

    bridge = _environment()
    tree = study = None
    try:
        tree = rvalues.tree_in(bridge["study"]) if "study" in bridge else None
        study, tables = values.request_from(tree)
        settings = {**json.loads(params), **tables}
        result, status = call(verb, study, settings, relay, lambda value: values.emit(value, rvalues.RSink()))
        if status["status"] == "ok":
            bridge["result"] = result
        return json.dumps(status)
    except KeyboardInterrupt:
        return json.dumps({"status": "interrupt", "warnings": []})
    except Exception as error:  # every failure must reach R as words, none may end it
        return json.dumps({"status": "error", "error": describe(error), "warnings": []})
    finally:
        # AnnData is full of reference cycles: without this the views, and the R objects they own, would stay.
        tree = study = result = None
        gc.collect()


def _environment() -> Any:
    """The environment ``.bridge`` in the namespace of the R package."""
    from isthmus.bridge import views

    return views.namespace("isthmus")[".bridge"]

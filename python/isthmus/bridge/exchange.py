"""The carrier on disk: an exchange folder of plain HDF5 and JSON, and a process of its own.

R writes a request, starts ``python -m isthmus.bridge FOLDER`` (or ``isthmus fit FOLDER``), reads the answer:

=================  ======================================================================================
``request.json``   ``format`` (1), ``verb``, ``params``, ``study`` (a node of one study or several, or null)
``study.h5``       the data that the nodes of the request point to
``progress.txt``   one line for each message, appended while the verb runs
``result.json``    ``format``, ``status``, ``warnings``, ``result`` (a node)
``result.h5``      the data that the nodes of the result point to
``error.json``     instead of a result: ``class`` and ``expected``, ``found``, ``remedy``, or ``message``
=================  ======================================================================================

A *node* is a JSON object that describes one R value; ``path`` is a place in the HDF5 file beside it:

* ``null``;
* ``list``: ``names`` (or null) and ``items``, nodes;
* ``vector``: ``type`` (a kind of :class:`~isthmus.bridge.columns.Column`), ``length``, ``levels`` of a
  factor, ``zone`` of a time, and either ``value``, a short vector in place (null is NA), or ``path``.
  Logicals, integers and codes are int32 with R's NA, the smallest; dates are days, times seconds since 1970.
  Strings are UTF-8, and where one is NA, ``<path>_na`` marks it with 1;
* ``frame``: ``rows`` (a character node, or null) and ``columns``, a ``list`` of vectors;
* ``dense``: ``dim`` (rows, columns of R) and ``path``; HDF5 shows R's matrix transposed, as (columns, rows);
* ``sparse``: ``dim`` and ``path``, a group with ``data``, ``indices``, ``indptr`` of R's columns; ``indptr``
  may be int64, so the 2^31 non-zeros of a ``dgCMatrix`` are no limit here.

Nothing is compressed. Every file is written under another name and renamed, so what is there is whole.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus.bridge import values
from isthmus.bridge.dispatch import call, describe
from isthmus.bridge.nodes import FileSink, tree_from

FORMAT = 1


def read_request(folder: str | os.PathLike) -> tuple[str, Any, dict[str, Any]]:
    """Verb, study (AnnData, a dict of several, or ``None``) and settings of an exchange folder.

    Raises
    ------
    InputError
        If the folder holds no request, or one of a newer version.
    """
    folder = Path(folder)
    try:
        request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            "an exchange folder with the file request.json", f"no such file in {folder}", "let R write it"
        ) from error
    if request.get("format") != FORMAT:
        raise InputError(
            f"an exchange folder of format {FORMAT}",
            f"format {request.get('format')}",
            "use the same version of isthmus in R and Python",
        )
    tree = None
    if request.get("study") is not None:
        with h5py.File(folder / "study.h5") as file:
            tree = tree_from(request["study"], file)
    study, tables = values.request_from(tree)
    return request["verb"], study, {**(request.get("params") or {}), **tables}


def serve(folder: str | os.PathLike) -> int:
    """Answer the request in an exchange folder.

    Parameters
    ----------
    folder
        Holds ``request.json``; gets ``result.json`` or ``error.json``.

    Returns
    -------
    int
        Exit status: 0 with a result, 1 with an error, 130 after an interrupt.
    """
    folder = Path(folder)
    _end_with_parent()
    try:
        status = _answer(folder)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # every failure must reach R as words
        status = {"status": "error", "error": describe(error), "warnings": []}
    if status["status"] == "error":
        _write_json(folder / "error.json", status["error"] | {"warnings": status["warnings"]})
    return {"ok": 0, "error": 1, "interrupt": 130}[status["status"]]


def _answer(folder: Path) -> dict[str, Any]:
    """Run the verb, write its result, and give the status."""
    verb, study, params = read_request(folder)

    def build(result: Any) -> dict[str, Any]:
        with atomic_path(folder / "result.h5") as temporary, h5py.File(temporary, "w") as file:
            return values.emit(result, FileSink(file))

    with (folder / "progress.txt").open("a", encoding="utf-8") as lines:

        def progress(line: str) -> None:
            lines.write(str(line).replace("\n", " ") + "\n")
            lines.flush()

        node, status = call(verb, study, params, progress, build)
    if status["status"] == "ok":
        _write_json(folder / "result.json", {"format": FORMAT, **status, "result": node})
    return status


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _end_with_parent() -> None:
    """End this process when the R that asked is gone (``ISTHMUS_PARENT`` is its process id)."""
    parent = os.environ.get("ISTHMUS_PARENT", "")
    if not parent.isdigit():
        return

    def watch() -> None:
        while True:
            try:
                os.kill(int(parent), 0)
            except ProcessLookupError:
                os._exit(1)
            except PermissionError:
                return
            time.sleep(2)

    threading.Thread(target=watch, daemon=True, name="isthmus-parent").start()

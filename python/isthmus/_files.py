"""Files that are either whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and rename it there when the block ends well.

    The block may create a file or a folder at the temporary path. A folder replaces an older
    folder of the same name; when the block fails, what stood there before stays.

    Parameters
    ----------
    path
        Where the file or the folder shall stand in the end.

    Yields
    ------
    pathlib.Path
        A path that does not exist yet, in the same folder (so that the rename is atomic).
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        temporary = holder / target.name
        yield temporary
        if target.is_dir() and temporary.is_dir():
            os.replace(target, holder / "previous")  # a folder cannot be renamed over a full one
        os.replace(temporary, target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write ``value`` as JSON, atomically; NumPy scalars become plain numbers."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, default=_plain), encoding="utf-8")


def _plain(value: Any) -> Any:
    """JSON form of a NumPy scalar or array."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)

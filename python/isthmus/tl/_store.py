"""A model on disk: numbers in safetensors, facts in JSON, never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from isthmus import __version__
from isthmus._errors import InputError, ModelFileError
from isthmus._files import atomic_path

FORMAT = 1  # raised when a folder can no longer be read by older versions
Value, Network = TypeVar("Value"), TypeVar("Network", bound=nn.Module)
MANIFEST, NAMES, ARRAYS = "manifest.json", "names.json", "arrays.safetensors"


class Manifest(BaseModel):
    """What a model folder says of itself.

    Attributes
    ----------
    format
        Number of the folder's layout.
    isthmus
        Version that wrote it.
    system
        Which system, such as ``"scalex"``.
    id
        Distinguishes this fit from all others.
    settings
        The arguments of the fit, by their names.
    facts
        What the fit learned, as plain values.
    environment
        Versions of the packages that computed it.
    files
        SHA-256 of each other file in the folder.
    """

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    isthmus: str = __version__
    system: str
    id: str
    settings: dict[str, Any]
    facts: dict[str, Any]
    environment: dict[str, str]
    files: dict[str, str] = {}


def check_target(folder: str | Path) -> Path:
    """A model may be written here: nothing else stands in the place, which is replaced as a whole."""
    target = Path(folder)
    present = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if target.is_file() or present - {MANIFEST, NAMES, ARRAYS}:
        raise InputError(
            "a new folder, or one that holds a model and nothing else",
            f"other things in '{folder}'",
            "name a folder that does not exist yet",
        )
    return target


def below(key: str, table: Mapping[str, Value]) -> dict[str, Value]:
    """The entries of a stored table whose names begin with ``key.``, under what follows."""
    return {name.removeprefix(f"{key}."): value for name, value in table.items() if name.startswith(f"{key}.")}


def weights_of(network: nn.Module) -> dict[str, np.ndarray]:
    """The network's state, as a model folder names it."""
    return {f"network.{name}": tensor.numpy() for name, tensor in network.state_dict().items()}


def with_weights(network: Network, arrays: Mapping[str, np.ndarray]) -> Network:
    """A new network with the state that :func:`weights_of` gave, for evaluation."""
    network.load_state_dict({name: torch.from_numpy(array) for name, array in below("network", arrays).items()})
    return network.eval()


def write(folder: str | Path, manifest: Manifest, names: dict[str, list[str]], arrays: dict[str, np.ndarray]) -> None:
    """Write a model folder; an older model in the same place is replaced as a whole, anything else is refused."""
    with atomic_path(check_target(folder)) as temporary:
        temporary.mkdir()
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary / ARRAYS)
        (temporary / NAMES).write_text(json.dumps(names), encoding="utf-8")
        sums = {name: _sha256(temporary / name) for name in (ARRAYS, NAMES)}
        text = manifest.model_copy(update={"files": sums}).model_dump_json(indent=1)
        (temporary / MANIFEST).write_text(text, encoding="utf-8")


def read(folder: str | Path) -> tuple[Manifest, dict[str, list[str]], dict[str, np.ndarray]]:
    """Read a model folder and check that it is whole.

    Raises
    ------
    ModelFileError
        If it is no model folder, incomplete, altered, or of a newer version.
    """
    manifest = read_manifest(folder)
    for name in (ARRAYS, NAMES):
        path, expected = Path(folder) / name, manifest.files.get(name)
        found = _sha256(path) if path.is_file() else "no such file"
        if found != expected:
            raise ModelFileError(
                f"the whole file '{name}' in model folder '{folder}'",
                "none" if found == "no such file" else "one that is truncated or altered",
                "copy the folder again, or save the model again",
            )
    try:
        arrays = load_file(Path(folder) / ARRAYS)
    except SafetensorError as error:  # whole, yet not what it should be
        raise ModelFileError("arrays in safetensors format", str(error), "save the model again") from error
    return manifest, json.loads((Path(folder) / NAMES).read_text(encoding="utf-8")), arrays


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest alone, checked."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise ModelFileError(
            "the folder of a saved model", f"no {MANIFEST} in '{folder}'", "give the folder that save() wrote"
        )
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        newer = isinstance(plain, dict) and int(plain.get("format", 0)) > FORMAT
    except (ValueError, TypeError) as error:
        raise ModelFileError(
            f"a readable {MANIFEST}", f"a broken one in '{folder}'", "copy the folder again"
        ) from error
    if newer:
        raise ModelFileError(
            f"a model of format {FORMAT} or older, which isthmus {__version__} reads",
            f"format {plain['format']}, written by isthmus {plain.get('isthmus', 'of unknown version')}",
            "update isthmus",
        )
    try:
        return Manifest.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelFileError(
            f"a complete {MANIFEST}", f"{first['msg'].lower()} at '{where}'", "save the model again"
        ) from error


def _sha256(path: Path) -> str:
    """Check sum of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()

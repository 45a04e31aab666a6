"""Files that the command line takes and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus._errors import InputError
from isthmus._files import atomic_path
from isthmus._optional import require

if TYPE_CHECKING:
    import pandas as pd

KINDS = (".h5ad", ".zarr", ".h5mu")


def read(path: Path) -> Any:
    """An AnnData from .h5ad or .zarr, a MuData from .h5mu."""
    import anndata

    if path.suffix == ".h5mu":
        reader = require("mudata", extra="mudata").read_h5mu
    else:
        reader = anndata.read_zarr if path.suffix == ".zarr" else anndata.read_h5ad
    return _opened(reader, path)


def read_obs(path: Path) -> pd.DataFrame:
    """The annotation of the cells in a file; the rest of an .h5ad or .zarr stays on disk."""
    import pandas as pd

    obs = None if path.suffix == ".h5mu" else _opened(_stored_obs, path)
    return obs if isinstance(obs, pd.DataFrame) else read(path).obs  # files of before 2020 hold another kind of table


def _stored_obs(path: Path) -> Any:
    """What is stored as ``obs``."""
    from anndata.io import read_elem

    if path.suffix == ".zarr":
        import zarr

        return read_elem(zarr.open_group(path, mode="r")["obs"])
    import h5py

    with h5py.File(path, "r") as file:
        return read_elem(file["obs"])


def _opened(reader: Callable[[Path], Any], path: Path) -> Any:
    """What ``reader`` finds in a file; a file that is not there, or is another kind, is said to be so."""
    if not path.exists():
        raise InputError("an .h5ad file", f"no file '{path}'", "check the path")
    try:
        return reader(path)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"an {path.suffix if path.suffix in KINDS else '.h5ad'} file",
            f"something else in '{path}'",
            "write it with AnnData.write_h5ad()",
        ) from error


def one(words: list[str]) -> Path:
    """The only input of a verb for one data set."""
    if len(words) > 1:
        raise InputError("one input file", f"{len(words)}", "name one file")
    return Path(words[0])


def modalities(words: list[str]) -> Mapping[str, Any] | Any:
    """Several modalities: one .h5mu file, or a file for each as NAME=FILE."""
    if len(words) == 1 and words[0].endswith(".h5mu"):
        return read(Path(words[0]))
    parts = [word.partition("=") for word in words]
    wrong = [word for word, (name, equals, file) in zip(words, parts, strict=True) if not (name and equals and file)]
    if wrong:
        raise InputError(
            "one .h5mu file, or the file of every modality as NAME=FILE",
            f"'{wrong[0]}'",
            "write for example rna=rna.h5ad atac=atac.h5ad",
        )
    return {name: read(Path(file)) for name, _, file in parts}


def write(data: Any, path: Path) -> None:
    """Write an AnnData or a MuData, whole or not at all."""
    with atomic_path(path) as temporary:
        if path.suffix == ".zarr":
            data.write_zarr(temporary)
        elif hasattr(data, "mod"):
            data.write_h5mu(temporary, compression="gzip")
        else:
            data.write_h5ad(temporary, compression="gzip")
    print(f"wrote {path}")


def write_modalities(data: Mapping[str, Any] | Any, words: list[str], what: str, output: Path | None) -> None:
    """Write several modalities: as one .h5mu file if the input was one or ``output`` is named, else beside each input;
    files beside the input have ``what`` in their names.
    """
    if output is None and isinstance(data, Mapping):
        for (_, _, file), part in zip((word.partition("=") for word in words), data.values(), strict=True):
            write(part, Path(file).with_suffix(f".{what}{Path(file).suffix}"))
        return
    if isinstance(data, Mapping):
        data = require("mudata", extra="mudata").MuData(dict(data))
    write(data, output or Path(words[0]).with_suffix(f".{what}.h5mu"))


def check_output(output: Path | None, kinds: tuple[str, ...]) -> None:
    """Refuse a name that tells no format, before the work."""
    if output is not None and output.suffix not in kinds:
        raise InputError(
            f"an --output that ends in {' or '.join(kinds)}", f"'{output.name}'", f"name it for example out{kinds[0]}"
        )

"""The command line: ``isthmus fit|project|labels|impute|info``.

A folder that holds ``request.json`` may stand in the place of the input file: it is an exchange folder, which another
program (the R package, a workflow) wrote, and which gets the results.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus._errors import InputError, TrainingError
from isthmus.data.categories import shorten

INTERRUPTED = 130  # what a shell expects after Ctrl-C
OPTIONS = {"file", "batch_key", "labels_key"}  # have options of their own

app = typer.Typer(help="Integration models for single cells.", no_args_is_help=True, add_completion=False)

Input = Annotated[Path, typer.Argument(help=".h5ad file, or an exchange folder")]
Model = Annotated[Path | None, typer.Option(help="Folder of the model")]
Output = Annotated[Path | None, typer.Option(help=".h5ad file to write; default: beside the input")]
Batch = Annotated[str | None, typer.Option(help="Column of obs with the batch of each cell")]
Labels = Annotated[str | None, typer.Option(help="Column of obs with cell types, for a system that learns from them")]
Reference = Annotated[Path | None, typer.Option(help=".h5ad file with the reference's labels")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting of the verb, as name=value", metavar="NAME=VALUE"),
]


@app.command()
def fit(
    input: Input,
    model: Model = None,
    batch: Batch = None,
    labels: Labels = None,
    output: Output = None,
    system: Annotated[str, typer.Option(help="Name of the system, as its Python verb")] = "scalex",
    set: Set = None,
) -> None:
    """Fit a system; write the model's folder and the data with its embedding."""
    if _served(input):
        return
    from isthmus.tl._store import check_target
    from isthmus.train.devices import is_first_process

    _demand(model, "--model", "the folder to save the model in")
    verb = _verb_of(system, labels)
    settings = _settings(set, verb)
    if labels is not None:
        settings["labels_key"] = labels
    check_target(model)  # now, not after the training
    adata = _read(input)
    fitted = verb(adata, batch_key=batch, **settings)
    if not is_first_process():
        return
    fitted.save(model)
    _write(adata, output or input.with_suffix(f".{system}.h5ad"))
    print(f"model: {model}")


@app.command()
def project(input: Input, model: Model = None, batch: Batch = None, output: Output = None, set: Set = None) -> None:
    """Project new cells with a saved model."""
    if _served(input):
        return
    import isthmus as im

    _demand(model, "--model", "the folder of a saved model")
    fitted = im.load(model)
    adata = _read(input)
    fitted.project(adata, batch_key=batch, **_settings(set, fitted.project))
    print(f"found {fitted.coverage.n_found} of the model's {fitted.coverage.n_reference} features")
    _write(adata, output or input.with_suffix(".projected.h5ad"))


@app.command()
def labels(
    input: Input, model: Model = None, reference: Reference = None,
    column: Annotated[str, typer.Option(help="Column of obs with the labels")] = "cell_type",
    batch: Batch = None, output: Output = None, set: Set = None,
) -> None:  # fmt: skip
    """Label new cells by their nearest reference cells."""
    if _served(input):
        return
    import isthmus as im

    _demand(model, "--model", "the folder of a saved model")
    _demand(reference, "--reference", "the .h5ad file with the labels of the reference cells")
    obs = _read(reference).obs
    if column not in obs:
        raise InputError(
            f"a column '{column}' of labels in '{reference}'",
            shorten(list(obs.columns)),
            "name one with --column",
        )
    fitted = im.load(model)
    adata = _read(input)
    fitted.transfer_labels(
        adata, obs[column], batch_key=batch, **_settings(set, fitted.transfer_labels, fitted.project)
    )
    _write(adata, output or input.with_suffix(".labels.h5ad"))


@app.command()
def impute(input: Input, model: Model = None, output: Output = None, set: Set = None) -> None:
    """Write the expression that a saved model expects, block by block."""
    if _served(input):
        return
    import isthmus as im

    _demand(model, "--model", "the folder of a saved model")
    fitted = im.load(model)
    target = output or input.with_suffix(".imputed.h5ad")
    fitted.impute(_read(input), file=target, **_settings(set, fitted.impute, fitted.project))
    print(f"wrote {target}")


@app.command()
def info(model: Annotated[Path, typer.Argument(help="Folder of a saved model")]) -> None:
    """Say what a saved model is."""
    from isthmus.tl._store import read_manifest

    print(json.dumps(read_manifest(model).model_dump(exclude={"files"}), indent=1))


def main() -> None:
    """Run the command line; what the user can mend is said without a traceback."""
    try:
        status = app(standalone_mode=False)  # newer versions of typer return an exit where older ones raise it
    except (InputError, TrainingError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except typer.Abort:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not hasattr(error, "show"):  # not a mistake in the command line, which can show itself
            raise
        error.show()
        sys.exit(2)
    if status == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    if status:
        sys.exit(status)


def _served(input: Path) -> bool:
    """Serve an exchange folder; whether it was one."""
    if not (input / "request.json").is_file():
        return False
    from isthmus.bridge.exchange import serve

    sys.exit(serve(input))


def _read(path: Path) -> Any:
    """An AnnData from a file."""
    import anndata

    if not path.is_file():
        raise InputError("an .h5ad file", f"no file '{path}'", "check the path")
    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError) as error:
        raise InputError(
            "an .h5ad file", f"something else in '{path}'", "write it with AnnData.write_h5ad()"
        ) from error


def _write(adata: Any, path: Path) -> None:
    """Write an AnnData, whole or not at all."""
    from isthmus._files import atomic_path

    with atomic_path(path) as temporary:
        adata.write_h5ad(temporary, compression="gzip")
    print(f"wrote {path}")


def _verb_of(system: str, labels: str | None) -> Any:
    """The Python verb of a system, which takes labels if there are any."""
    import isthmus as im
    from isthmus.data.door import check_choice
    from isthmus.tl.fitted import SYSTEMS

    check_choice(system, tuple(SYSTEMS), "--system")
    verb = getattr(im.tl, system)
    if labels is not None and "labels_key" not in inspect.signature(verb).parameters:
        raise InputError(
            "a system that learns from labels",
            f"--labels {labels} with '{system}'",
            "use --system scdreamer, or leave --labels out",
        )
    return verb


def _demand(value: object, option: str, what: str) -> None:
    if value is None:
        raise InputError(f"{option}, {what}", "nothing", f"add {option}")


def _settings(given: list[str] | None, *verbs: Any) -> dict[str, Any]:
    """``name=value`` pairs as keyword arguments of ``verbs``; values are JSON where they can be, else text."""
    parameters = [one for verb in verbs for one in inspect.signature(verb).parameters.values()]
    known = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY} - OPTIONS
    out: dict[str, Any] = {}
    for pair in given or []:
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise InputError(
                f"--set NAME=VALUE with one of the settings {shorten(sorted(known), 40)}",
                f"'{pair}'",
                "check the name",
            )
        try:
            out[name] = json.loads(value)
        except ValueError:
            out[name] = value
    return out


if __name__ == "__main__":
    main()

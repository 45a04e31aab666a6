"""The command line: ``isthmus fit|project|labels|impute|links|info``.

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

from isthmus._cli_files import check_output, modalities, one, read, read_obs, write, write_modalities
from isthmus._errors import InputError, TrainingError
from isthmus.data.categories import shorten

INTERRUPTED = 130  # what a shell expects after Ctrl-C
OPTIONS = {"file", "batch_key", "labels_key", "modality"}  # have options of their own
JOINT = ("glue", "sailerx", "sci2cl")  # systems of several modalities

app = typer.Typer(help="Integration models for single cells.", no_args_is_help=True, add_completion=False)

Inputs = Annotated[
    list[str],
    typer.Argument(
        help=".h5ad or .zarr file, or an exchange folder; for several modalities NAME=FILE for each, such as "
        "rna=rna.h5ad, or one .h5mu file"
    ),
]
Model = Annotated[Path | None, typer.Option(help="Folder of the model")]
Output = Annotated[Path | None, typer.Option(help=".h5ad file to write; default: beside the input")]
Modality = Annotated[str | None, typer.Option(help="Which modality of the model the cells are, if it has several")]
Batch = Annotated[str | None, typer.Option(help="Column of obs with the batch of each cell")]
Labels = Annotated[str | None, typer.Option(help="Column of obs with cell types, for a system that learns from them")]
Reference = Annotated[Path | None, typer.Option(help=".h5ad file with the reference's labels")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting of the verb, as name=value", metavar="NAME=VALUE"),
]


@app.command()
def fit(
    inputs: Inputs,
    model: Model = None,
    batch: Batch = None,
    labels: Labels = None,
    output: Output = None,
    system: Annotated[str, typer.Option(help="Name of the system, as its Python verb")] = "scalex",
    genes: Annotated[Path | None, typer.Option(help="Annotation of genes (GTF, GFF3, BED), for glue")] = None,
    region: Annotated[str, typer.Option(help="Of a gene, that peaks are joined to, for glue")] = "combined",
    extend: Annotated[int, typer.Option(help="Base pairs on both sides of it, for glue")] = 0,
    set: Set = None,
) -> None:
    """Fit a system; write the model's folder and the data with its embedding."""
    if _served(Path(inputs[0])):
        return
    from isthmus.tl._store import check_target
    from isthmus.train.devices import is_first_process

    _demand(model, "--model", "the folder to save the model in")
    verb = _verb_of(system, labels)
    settings = _settings(set, verb)
    if labels is not None:
        settings["labels_key"] = labels
    check_target(model)  # now, not after the training
    joint = system in JOINT
    check_output(output, (".h5mu",) if joint else (".h5ad", ".zarr"))
    data = modalities(inputs) if joint else read(one(inputs))
    if system == "glue":
        settings["graph"] = _guidance_graph(data, genes, region, extend)
    fitted = verb(data, batch_key=_batch_of(data, batch) if joint else batch, **settings)
    if not is_first_process():
        return
    fitted.save(model)
    _write_as_given(data, inputs, system, output)
    print(f"model: {model}")


@app.command()
def links(
    model: Annotated[Path, typer.Argument(help="Folder of a saved model of glue")],
    output: Annotated[Path | None, typer.Option(help="Table to write: .tsv or .bedpe, also with .gz")] = None,
    fdr: Annotated[float | None, typer.Option(help="Largest q value to write; default: all pairs")] = None,
    set: Set = None,
) -> None:
    """Write which peaks go with which genes."""
    import isthmus as im
    from isthmus._files import atomic_path

    _demand(output, "--output", "the table to write")
    fitted = im.load(model)
    if not hasattr(fitted, "links"):
        raise InputError("a model of glue", f"one of {fitted.system}", "fit one with --system glue")
    table = fitted.links(fdr, **_settings(set, fitted.links))
    if ".bedpe" in output.suffixes:
        im.genomics.write_bedpe(table, output)
    else:
        with atomic_path(output) as temporary:
            table.to_csv(temporary, sep="\t", index=False, compression="gzip" if output.suffix == ".gz" else None)
    print(f"wrote {len(table)} links to {output}")


@app.command()
def project(
    inputs: Inputs, model: Model = None, batch: Batch = None, modality: Modality = None, output: Output = None,
    set: Set = None,
) -> None:  # fmt: skip
    """Project new cells with a saved model."""
    if _served(Path(inputs[0])):
        return
    import isthmus as im

    _demand(model, "--model", "the folder of a saved model")
    fitted = im.load(model)
    data = _query(fitted, inputs, output)
    fitted.project(data, **_placed(fitted.project, batch, modality), **_settings(set, fitted.project))
    by_modality = fitted.coverage if isinstance(fitted.coverage, dict) else {"": fitted.coverage}
    for name, coverage in by_modality.items():
        print(f"found {coverage.n_found} of the model's {coverage.n_reference} {name} features".replace("  ", " "))
    _write_as_given(data, inputs, "projected", output)


@app.command()
def labels(
    inputs: Inputs, model: Model = None, reference: Reference = None,
    column: Annotated[str, typer.Option(help="Column of obs with the labels")] = "cell_type",
    batch: Batch = None, modality: Modality = None, output: Output = None, set: Set = None,
) -> None:  # fmt: skip
    """Label new cells by their nearest reference cells."""
    if _served(Path(inputs[0])):
        return
    import isthmus as im

    _demand(model, "--model", "the folder of a saved model")
    _demand(reference, "--reference", "the .h5ad file with the labels of the reference cells")
    obs = read_obs(reference)
    if column not in obs:
        raise InputError(
            f"a column '{column}' of labels in '{reference}'",
            shorten(list(obs.columns)),
            "name one with --column",
        )
    fitted = im.load(model)
    data = _query(fitted, inputs, output)
    placed = _placed(fitted.project, batch, modality)
    fitted.transfer_labels(data, obs[column], **placed, **_settings(set, fitted.transfer_labels, fitted.project))
    _write_as_given(data, inputs, "labels", output)


@app.command()
def impute(
    inputs: Inputs, model: Model = None, batch: Batch = None, modality: Modality = None, output: Output = None,
    set: Set = None,
) -> None:  # fmt: skip
    """Write the expression that a saved model expects, block by block."""
    if _served(Path(inputs[0])):
        return
    import isthmus as im

    _demand(model, "--model", "the folder of a saved model")
    check_output(output, (".h5ad",))
    fitted = im.load(model)
    if not hasattr(fitted, "impute"):
        raise InputError("a model that imputes", f"one of {fitted.system}", "use its predict() in Python")
    placed = {**_placed(fitted.project, batch, None), **_placed(fitted.impute, None, modality)}
    named = fitted.system == "sci2cl" and not inputs[0].endswith(".h5mu")  # rna=FILE atac=FILE
    target = output or Path(inputs[0].partition("=")[2] if named else inputs[0]).with_suffix(".imputed.h5ad")
    fitted.impute(_query(fitted, inputs), **placed, file=target, **_settings(set, fitted.impute, fitted.project))
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


def _guidance_graph(data: Any, genes: Path | None, region: str, extend: int) -> Any:
    """The graph that glue needs; where the genes lie is told by a file, or by the data themselves."""
    import isthmus as im

    return im.genomics.guidance_graph(data, genes=genes, region=region, extend=extend)


def _batch_of(data: Any, batch: str | None) -> dict[str, str] | None:
    """The batch column of the modalities that have it."""
    if batch is None:
        return None
    tables = getattr(data, "mod", data)
    found = {name: batch for name, table in tables.items() if batch in table.obs}
    if not found:
        raise InputError(f"a column '{batch}' of obs in a modality", "none", "name a column with --batch")
    return found


def _query(fitted: Any, inputs: list[str], output: Path | None = None) -> Any:
    """New cells, of several modalities where the model takes them so; a wrong name of the output is refused first."""
    joint = fitted.system == "sci2cl"
    check_output(output, (".h5mu",) if joint else (".h5ad", ".zarr"))
    return modalities(inputs) if joint else read(one(inputs))


def _write_as_given(data: Any, inputs: list[str], what: str, output: Path | None) -> None:
    """Write cells in the form in which they were given."""
    if hasattr(data, "mod") or isinstance(data, dict):
        write_modalities(data, inputs, what, output)
    else:
        path = Path(inputs[0])
        write(data, output or path.with_suffix(f".{what}{path.suffix}"))


def _placed(verb: Any, batch: str | None, modality: str | None) -> dict[str, str | None]:
    """The batch and the modality of new cells, for a model that asks for them."""
    parameters = inspect.signature(verb).parameters
    out = {}
    for name, option, value in (("batch_key", "--batch", batch), ("modality", "--modality", modality)):
        if name in parameters:
            out[name] = value
        elif value is not None:
            raise InputError(f"a model that asks for {option}", "one that does not", f"leave {option} out")
    if "modality" in parameters:
        _demand(modality, "--modality", "which modality of the model the cells are")
    return out


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

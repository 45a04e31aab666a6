"""The documentation names things that exist."""

from __future__ import annotations

import csv
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "python" / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
COMPLETE = {f"isthmus.{name}" for name in ("data", "genomics", "metrics", "pl", "bridge", "nn", "train")}  # shown whole
MODELS = ("sailerx", "scalex", "scdreamer", "sci2cl")


def resolve(name: str) -> object:
    """The object with a qualified name, in whichever module it is."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


def page_of(model: str) -> str:
    """Text of a model's page."""
    return (DOCS / "models" / f"{model}.md").read_text(encoding="utf-8")


def equations(model: str) -> list[tuple[str, list[str]]]:
    """Rows of the table of equations: words of the paper, and the names of the code."""
    table = page_of(model).split("| in the paper | in the code |")[1].split("\n\n")[0]
    rows = [line.strip("| ").rsplit("|", 1) for line in table.splitlines()[2:]]
    return [(paper, re.findall(r"`([\w.]+)`", code)) for paper, code in rows]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_every_object_that_a_page_refers_to_exists(page):
    for name in re.findall(r"\{py:\w+\}`~?([\w.]+)`", page.read_text(encoding="utf-8")):
        resolve(name)


@pytest.mark.parametrize("model", MODELS)
def test_every_equation_has_its_object(model):
    rows = equations(model)
    assert len(rows) >= 10
    for paper, names in rows:
        assert names, paper
        for name in names:
            assert callable(resolve(name)), name


def test_the_reference_names_what_is_public():
    page = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    for section in re.findall(r"currentmodule:: ([\w.]+)(.*?)```", page, flags=re.DOTALL):
        module, text = importlib.import_module(section[0]), section[1]
        named = set(re.findall(r"^   ([A-Za-z]\w*)$", text, flags=re.MULTILINE))
        for name in named:
            getattr(module, name)
        if section[0] in COMPLETE:
            assert named == set(module.__all__)


@pytest.mark.parametrize("name", [f"{model}-{table}.csv" for model in MODELS for table in ("departures", "accuracy")])
def test_tables_have_a_cell_for_every_column(name):
    with (DOCS / "models" / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) > 5
    assert {len(row) for row in rows} == {len(rows[0])}
    assert all(row[0] and row[1] for row in rows)


@pytest.mark.parametrize("model", MODELS)
def test_every_setting_that_a_departure_is_made_by_exists(model):
    import inspect

    import isthmus as im

    settings = set(inspect.signature(getattr(im.tl, model)).parameters)
    departures = (DOCS / "models" / f"{model}-departures.csv").read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+)=", page_of(model) + departures):
        assert name in settings | {"unknown_below", "k"}, name


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_page_of_the_model_folder_names_every_file_and_array(tmp_path):
    from safetensors.numpy import load_file

    import isthmus as im

    cells = im.data.simulate(n_cells=200, n_genes=60, n_batches=2, modalities="rna")["rna"]
    im.tl.scalex(cells, "batch", max_steps=2, n_hidden=8, progress="silent").save(tmp_path / "model")
    page = (DOCS / "model-folder.md").read_text(encoding="utf-8")
    written = {path.name for path in (tmp_path / "model").iterdir()}
    arrays = load_file(tmp_path / "model" / "arrays.safetensors")
    names = {"network.*" if name.startswith("network.") else name for name in arrays}
    first_cells = " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    assert written | names == set(re.findall(r"`([\w.*]+)`", first_cells))


def test_pages_link_to_pages_that_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([\w./-]+\.md)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"

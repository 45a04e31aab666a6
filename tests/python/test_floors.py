"""Each floor of the house knows only the floors below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import isthmus

HOUSE = Path(isthmus.__file__).parent
FLOORS = [
    {"nn"},
    {"data", "genomics", "metrics"},
    {"train"},
    {"models"},
    {"tl", "pl", "bridge", "cli", "_cli_files", "report", "__main__"},
]
EVERYWHERE = {"_errors", "_files", "_memory", "_optional", "__version__"}
LEVEL = {part: level for level, parts in enumerate(FLOORS) for part in parts}
# Only the floors of data and of verbs know the table that users hold, and no floor below the loop knows devices.
FOREIGN = {"nn": {"anndata", "scipy", "scanpy", "pandas"}, "models": {"anndata", "scipy", "scanpy", "pandas", "h5py"}}
FILES = sorted(HOUSE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Full names of all modules that a file imports, inside functions too."""
    out = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            out += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            bare = node.module == "isthmus"
            out += [f"isthmus.{alias.name}" for alias in node.names] if bare else [node.module]
    return out


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_go_down(path):
    mine = part_of(path)
    if mine in EVERYWHERE or mine == "__init__":
        return
    assert mine in LEVEL, f"name the floor of '{mine}' in FLOORS"
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package in FOREIGN.get(mine, ()):
            pytest.fail(f"{mine} knows {name}")
        if package == "isthmus" and rest:
            other = rest.split(".")[0]
            assert other in EVERYWHERE or LEVEL[other] <= LEVEL[mine], f"{mine} knows {name}"


def test_models_know_no_loop_or_device():
    for path in (HOUSE / "models").glob("*.py"):
        words = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not words & {"backward", "cuda", "zero_grad", "to", "step"}, path.name


def test_the_house_is_not_empty():
    assert {"nn", "data", "train", "models", "tl"} <= {part_of(path) for path in FILES}


def test_nothing_reads_pickles():
    for path in FILES:
        assert not {"pickle", "dill", "joblib", "cloudpickle"} & {name.split(".")[0] for name in imported(path)}, path
        calls = [
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "torch.save")
        ]  # fmt: skip
        assert not calls, path

"""No file over 400 lines, no function over 50 (its docstring not counted): what keeps review possible."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE_LIMIT, FUNCTION_LIMIT = 400, 50
FOLDERS = (
    "python/isthmus",
    "tests/python",
    "tests/benchmarks",
    "tests/testthat",
    "tools",
    "R",
    "inst/scripts",
)
SUFFIXES = {".py", ".R", ".sh"}


def too_long(path: Path, line: int, name: str, lines: int) -> str:
    """One finding, in the form that editors jump to."""
    return f"{path.relative_to(ROOT)}:{line}: {name} has {lines} lines, {FUNCTION_LIMIT} allowed"


def long_python_functions(path: Path) -> Iterator[str]:
    """Name every function whose body, without its docstring, is over the limit."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = node.end_lineno - node.lineno + 1
        if ast.get_docstring(node) is not None:
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1
        if lines > FUNCTION_LIMIT:
            yield too_long(path, node.lineno, node.name, lines)


def long_r_functions(path: Path) -> Iterator[str]:
    """The same for R: a top-level ``name <- function`` (or setMethod) up to the brace in the first column."""
    start, name = 0, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := re.match(r"([.\w`]+)\s*<-\s*function|(set(?:Method|Generic|Validity)\(.*)", line):
            start, name = number, match.group(1) or match.group(2)
        elif start and re.match(r"\}", line):
            if (lines := number - start + 1) > FUNCTION_LIMIT:
                yield too_long(path, start, name, lines)
            start = 0


def findings() -> Iterator[str]:
    """Every file and function over its limit."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in SUFFIXES or "__pycache__" in path.parts:
                continue
            lines = len(path.read_text().splitlines())
            if lines > FILE_LIMIT:
                yield f"{path.relative_to(ROOT)}: {lines} lines, {FILE_LIMIT} allowed"
            if path.suffix == ".py":
                yield from long_python_functions(path)
            elif path.suffix == ".R":
                yield from long_r_functions(path)


if __name__ == "__main__":
    found = list(findings())
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.exit(bool(found))

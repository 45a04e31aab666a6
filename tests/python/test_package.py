"""The two packages in one root agree, and each carries what the other needs."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

import isthmus

ROOT = Path(__file__).resolve().parents[2]


def description_field(name: str) -> str:
    """The value of a one-line field of the R package's DESCRIPTION."""
    lines = (ROOT / "DESCRIPTION").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{name}:"))


def test_python_and_r_packages_have_one_version():
    assert isthmus.__version__ == description_field("Version")


def test_names_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == description_field("Package") == isthmus.__name__


def test_r_package_ships_all_that_pip_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for part in ["pyproject.toml", project["project"]["readme"], *packages]:
        assert (ROOT / "inst" / part).resolve() == (ROOT / part).resolve()
        assert (ROOT / "inst" / part).exists()


TRAINING = "lightning_fabric", "torch._dynamo", "torch_geometric", "numba"


@pytest.mark.parametrize(
    ("used", "not_needed"),
    [("isthmus", ("torch", "scanpy", "anndata", "rpy2", "matplotlib")), ("isthmus.load, isthmus.tl.glue", TRAINING)],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(used, not_needed):
    code = f"import sys, isthmus; {used}; print([m for m in {not_needed!r} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_scanpy_can_read_what_pynndescent_finds():
    """Beyond 8,192 cells ``sc.pp.neighbors`` asks pynndescent; scanpy up to 1.11.5 fails on the results of 0.7."""
    scanpy, pynndescent = (Version(version(name)) for name in ("scanpy", "pynndescent"))
    assert scanpy > Version("1.11.5") or pynndescent < Version("0.7")

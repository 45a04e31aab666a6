"""Dependencies that are imported where they are used."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

from isthmus._errors import EnvironmentProblem
from isthmus._optional import deferred, require


def test_an_optional_package_is_imported_or_its_remedy_named(refused):
    assert require("json.decoder", "plot").__name__ == "json.decoder"
    with refused(
        "not installed", "the Python package 'no_such_package'", 'pip install "isthmus[plot]"', kind=EnvironmentProblem
    ):
        require("no_such_package.part", "plot")


def test_a_broken_optional_package_shows_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        require("half_there", "plot")


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A package that notes in ``sys.modules`` that it was imported, and one that imports it for a corner of its own."""
    package = tmp_path / "large_one"
    package.mkdir()
    (package / "__init__.py").write_text("answer = 42\n")
    (package / "part.py").write_text("from large_one import answer\n")
    (tmp_path / "user_of_it.py").write_text("import large_one\ndef corner(): return large_one.answer\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield lambda: hasattr(sys.modules.get("large_one"), "__builtins__")
    for name in ("large_one", "large_one.part", "user_of_it"):
        sys.modules.pop(name, None)


def test_a_deferred_module_is_imported_when_it_is_used(large):
    with deferred("large_one"):
        import user_of_it

        inspect.getmodule(inspect.currentframe())  # looks at all modules there are
        assert importlib.util.find_spec("large_one") is not None
    assert "large_one" not in sys.modules
    assert user_of_it.corner() == 42
    assert large()
    import large_one

    assert type(large_one) is type(sys)
    assert user_of_it.corner() == 42


def test_a_deferred_module_may_be_used_at_once(large):
    with deferred("large_one"):
        import large_one.part

        assert large_one.part.answer == 42
    assert large()
    with deferred("large_one"):
        assert large()  # it is there already: nothing stands for it


def test_nothing_stands_for_what_is_not_installed():
    with deferred("no_such_package"), pytest.raises(ModuleNotFoundError):
        import no_such_package  # noqa: F401


def test_the_graph_operator_does_not_import_numba():
    code = (
        "import sys, isthmus.nn.propagation; sys.exit('numba' in sys.modules or 'torch_geometric' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

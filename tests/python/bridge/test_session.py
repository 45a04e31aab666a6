"""Start-up of the in-process transport: versions, order, hooks; all of it without R."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from isthmus._errors import EnvironmentProblem
from isthmus.bridge import session


@pytest.mark.parametrize(
    ("r_version", "rpy2", "fits"),
    [
        ("4.2.2", "3.6.5", True),
        ("4.2.2", "3.6.6", False),
        ("4.4.3", "3.6.10", False),
        ("4.4.3", "3.5.17", True),
        ("4.5.0", "3.6.9", True),
        ("4.6.2", "3.7.0", True),
        ("4.2.2", "3.6.0rc1", True),
    ],
)
def test_rpy2_is_pinned_by_the_version_of_r(r_version: str, rpy2: str, fits: bool, refused) -> None:
    if fits:
        session.check_pin(r_version, rpy2)
        return
    with refused(found=rpy2, expected=r_version, remedy="rpy2-rinterface<3.6.6", kind=EnvironmentProblem):
        session.check_pin(r_version, rpy2)


def test_start_reports_a_wrong_rpy2_in_words(monkeypatch) -> None:
    monkeypatch.setattr(session, "rpy2_version", lambda: "3.6.9")
    status = json.loads(session.start("4.2.2"))
    assert status["status"] == "error"
    assert status["error"]["class"] == "EnvironmentProblem"
    assert "3.6.9" in status["error"]["found"]


def test_start_reports_any_failure(monkeypatch) -> None:
    def fail() -> None:
        raise ImportError("undefined symbol: R_getVar")

    monkeypatch.setattr(session, "rpy2_version", lambda: None)
    monkeypatch.setattr(session, "attach", fail)
    status = json.loads(session.start("4.5.0"))
    assert status["status"] == "error"
    assert "R_getVar" in status["error"]["message"]


def test_hosted_means_this_very_process(monkeypatch) -> None:
    monkeypatch.setenv("R_SESSION_INITIALIZED", f'PID={os.getpid()}:NAME="reticulate"')
    assert session.hosted()
    monkeypatch.setenv("R_SESSION_INITIALIZED", f'PID={os.getpid() + 1}:NAME="reticulate"')
    assert not session.hosted()
    monkeypatch.delenv("R_SESSION_INITIALIZED")
    assert not session.hosted()


@pytest.mark.parametrize("inside", [True, False])
def test_rpy2_ends_r_only_where_it_started_it(monkeypatch, inside: bool) -> None:
    ended = []
    fake = SimpleNamespace(initr=lambda: None, endr=lambda: None)
    monkeypatch.setattr(session, "hosted", lambda: inside)
    monkeypatch.setattr("isthmus._optional.require", lambda name, extra: fake)
    monkeypatch.setattr(atexit, "unregister", ended.append)
    session.attach()
    assert ended == ([fake.endr] if inside else [])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RTLD_DEEPBIND is of Linux")
@pytest.mark.parametrize("inside", [True, False])
def test_torch_is_loaded_with_its_own_symbols_inside_r(inside: bool) -> None:
    code = """
import importlib, sys
from isthmus.bridge import session
seen = []
original = importlib.import_module
importlib.import_module = lambda name: seen.append((name, sys.getdlopenflags())) or original("json")
before = sys.getdlopenflags()
session.load_torch()
assert sys.getdlopenflags() == before
print(*seen[0])
"""
    environment = {k: v for k, v in os.environ.items() if k != "R_SESSION_INITIALIZED"}
    if inside:
        code = "import os; os.environ['R_SESSION_INITIALIZED'] = f'PID={os.getpid()}:NAME=x'\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    name, flags = done.stdout.split()
    assert name == "torch"
    assert bool(int(flags) & os.RTLD_DEEPBIND) is inside


def test_slow_products_are_worth_a_warning() -> None:
    assert session.slow_blas_warning(1.5) is None
    words = session.slow_blas_warning(65.0)
    assert "65 times slower" in words
    assert "Remedy" in words


def test_importing_the_bridge_starts_nothing() -> None:
    code = "import sys, isthmus.bridge; print([m for m in ('rpy2', 'torch', 'anndata2ri') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What the README shows runs as it is typed there."""

from __future__ import annotations

import re
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

import isthmus as im

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_python_quick_start_runs_as_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, glue, paired = blocks("python")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["reference"].obsm["X_scalex"].shape == (names["reference"].n_obs, 10)
    assert float(capsys.readouterr().out.split()[-1]) > 0.8  # what it prints: labels that are right
    assert names["imputed"].n_obs == names["query"].n_obs
    assert list(im.load("scalex-model").cells) == list(names["reference"].obs_names)
    assert "X_scalex" in ad.read_h5ad("query.h5ad").obsm
    exec(compile(glue, "README.md", "exec"), names)
    assert names["data"]["atac"].obsm["X_glue"].shape == (600, 50)
    right = names["data"]["atac"].obs["glue_label"].astype(str) == names["data"]["atac"].obs["cell_type"].astype(str)
    assert right.mean() > 0.9
    exec(compile(paired, "README.md", "exec"), names)
    assert names["opened"].shape == (600, len(names["model"].peaks.names))
    assert np.isfinite(names["data"]["rna"].obsm["X_sci2cl"]).all()


def test_quick_starts_are_short():
    for code in [*blocks("python"), *blocks("r")]:
        assert len([line for line in code.splitlines() if line.strip()]) <= 15


def test_the_extras_that_the_readme_names_exist():
    import tomllib

    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    (line,) = re.findall(r'pip install "\.\[(\w+)\]"\s+# further extras: (.*)', README)
    named = {line[0], *re.findall(r"(\w+)(?: \([^)]*\))?(?:, |$)", line[1])}
    assert named == extras


def test_every_path_that_the_readme_links_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).is_file(), target


def test_the_picture_is_small():
    assert (ROOT / "python" / "docs" / "_static" / "pbmc.png").stat().st_size < 150_000

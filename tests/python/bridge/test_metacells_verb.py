"""The verb for metacells: what Python's function gives, and the study that came stays as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.bridge import values, verbs
from isthmus.bridge.nodes import FileSink


@pytest.fixture
def rna():
    return im.data.simulate(n_cells=120, n_genes=60, n_types=3, n_batches=2, modalities="rna", seed=2)["rna"]


def metacells(study, **settings):
    return verbs.VERBS["metacells"](study, **settings)


def test_the_verb_gives_what_the_function_gives(rna):
    before = rna.obs.copy()
    settings = {"n_metacells": 15, "batch_key": "batch", "labels_key": "cell_type", "seed": 3}
    out = metacells(rna, **settings)
    pd.testing.assert_frame_equal(rna.obs, before)
    expected = im.tl.metacells(rna, **settings)
    assert abs(out["study"].X - expected.X).sum() == 0
    pd.testing.assert_frame_equal(out["study"].obs, expected.obs)
    assert list(out["group"]) == list(rna.obs["metacell"])


def test_the_study_may_bring_what_to_group_by(rna):
    rna.obsm["embedding"] = np.repeat(np.arange(3.0), 40)[:, None]
    out = metacells(rna, n_metacells=3)
    assert [len(set(out["group"][start : start + 40])) for start in (0, 40, 80)] == [1, 1, 1]
    assert len(set(out["group"])) == 3


def test_names_that_other_columns_have_can_be_given(rna):
    out = metacells(rna, n_metacells=15, batch_key="batch", stem="batch")
    assert list(out["study"].obs_names) == [f"batch_{i + 1}" for i in range(15)]
    assert set(out["study"].obs["batch"]) == {"batch1", "batch2"}


def test_groups_cross_as_a_factor(rna, tmp_path):
    import h5py

    out = metacells(rna, n_metacells=15)
    with h5py.File(tmp_path / "result.h5", "w") as file:
        node = values.emit(out, FileSink(file))
    node = dict(zip(node["names"], node["items"], strict=True))["group"]
    assert (node["type"], node["levels"]) == ("factor", [f"metacell_{i + 1}" for i in range(15)])


def test_a_number_that_is_not_given_is_asked_for(rna):
    with pytest.raises(im.InputError, match="n_metacells to be a whole number"):
        metacells(rna)

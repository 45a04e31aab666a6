"""What every system promises (one suite for all of them).

A system joins by a row in ``SYSTEMS``: how to simulate a study for it, how to fit it in a moment, and how to make its
network for the tests of phases.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import isthmus as im
from isthmus.data import SparseLoader, from_anndata
from isthmus.models import SCALEX, SCDREAMER, SCDREAMERSup
from isthmus.train import Options, train

STEPS = 40


@dataclass(frozen=True)
class System:
    """One system under test; ``stem`` is that of its keys."""

    name: str
    stem: str
    simulate: Callable[[], ad.AnnData]
    fit: Callable[..., Any]
    network: Callable[[int, int], torch.nn.Module]

    @property
    def key(self) -> str:
        return f"X_{self.stem}"


def rna() -> ad.AnnData:
    return im.data.simulate(n_cells=260, n_genes=150, n_types=3, n_batches=3, modalities="rna", seed=5)["rna"]


QUICK = {
    "max_steps": STEPS, "n_features": 80, "n_hidden": 16, "n_latent": 4, "batch_size": 32, "compile": False,
    "progress": "silent",
}  # fmt: skip


def fit_scalex(adata: ad.AnnData, **settings: Any) -> Any:
    return im.tl.scalex(adata, "batch", **{**QUICK, **settings})


def fit_scdreamer(adata: ad.AnnData, **settings: Any) -> Any:
    return im.tl.scdreamer(adata, "batch", **{**QUICK, **settings})


def fit_scdreamer_sup(adata: ad.AnnData, **settings: Any) -> Any:
    labels = adata.obs["cell_type"].astype(object)
    labels.iloc[::3] = None
    adata.obs["label"] = labels
    try:
        return fit_scdreamer(adata, labels_key="label", **settings)
    finally:
        del adata.obs["label"]


def make_scdreamer(n_features: int, n_batches: int) -> SCDREAMER:
    return SCDREAMER(n_features, [10] * n_batches, (5.0, 1.0), n_latent=4, n_hidden=16)


def make_scdreamer_sup(n_features: int, n_batches: int) -> SCDREAMERSup:
    return SCDREAMERSup(n_features, [10] * n_batches, 3, n_latent=4, n_hidden=16, likelihood="nb")


SYSTEMS = [
    System("scalex", "scalex", rna, fit_scalex, functools.partial(SCALEX, n_latent=4, n_hidden=16)),
    System("scdreamer", "scdreamer", rna, fit_scdreamer, make_scdreamer),
    System("scdreamer-sup", "scdreamer", rna, fit_scdreamer_sup, make_scdreamer_sup),
]


@pytest.fixture(scope="module", params=SYSTEMS, ids=lambda system: system.name)
def system(request):
    return request.param


@pytest.fixture(scope="module")
def whole(system):
    return system.simulate()


@pytest.fixture
def reference(whole):
    return whole[whole.obs["batch"] != "batch3"].copy()


@pytest.fixture
def query(whole):
    return whole[whole.obs["batch"] == "batch3"].copy()


@pytest.fixture(scope="module")
def fitted(system, whole):
    """A model and its reference; neither is to be changed."""
    adata = whole[whole.obs["batch"] != "batch3"].copy()
    return system.fit(adata), adata


@pytest.fixture
def model(fitted):
    return fitted[0]


def close(a, b):
    np.testing.assert_allclose(a, b, atol=2e-5)


def test_loss_falls_and_everything_is_finite(model):
    history, losses = model.history, [name for name in model.history if name.startswith(("train_", "validation_"))]
    assert losses
    assert np.isfinite(model.latent).all()
    assert np.isfinite(history[losses].dropna()).all(axis=None)
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]


def test_same_seed_same_numbers(system, model, reference, timeless):
    again = system.fit(reference)
    assert np.array_equal(again.latent, model.latent)
    pd.testing.assert_frame_equal(timeless(again.history), timeless(model.history))
    assert again.manifest.id == model.manifest.id


def test_another_seed_other_numbers(system, model, reference):
    other = system.fit(reference, seed=1)
    assert not np.allclose(other.latent, model.latent)
    assert other.manifest.id != model.manifest.id


def test_random_state_of_the_user_is_neither_used_nor_changed(system, model, reference, kept_random_state):
    with kept_random_state():
        again = system.fit(reference)
        again.project(reference.copy())
    assert np.array_equal(again.latent, model.latent)


def test_a_saved_model_is_the_same_model(model, reference, query, tmp_path):
    model.save(tmp_path / "model")
    loaded = im.load(tmp_path / "model")
    assert np.array_equal(loaded.latent, model.latent)
    assert np.array_equal(loaded.embed(reference), model.embed(reference))
    assert np.array_equal(loaded.project(query.copy()), model.project(query.copy()))
    pd.testing.assert_frame_equal(loaded.history, model.history)


def test_embedding_does_not_depend_on_companions_or_order(model, reference, rng):
    close(model.embed(reference), model.latent)
    for rows in (rng.permutation(reference.n_obs), np.array([3, 90, 41]), np.array([7])):
        close(model.embed(reference[rows]), model.latent[rows])
    columns = rng.permutation(reference.n_vars)
    close(model.embed(reference[:, columns]), model.latent)


def test_memory_and_disk_give_the_same(system, model, reference, tmp_path):
    reference.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    close(model.embed(backed), model.latent)
    assert np.array_equal(system.fit(backed).latent, model.latent)


def test_new_batches_of_any_size_are_projected(system, model, query):
    query.obs["batch"] = ["lone", *(["x", "y"] * query.n_obs)[: query.n_obs - 1]]
    z = model.project(query, "batch")
    assert z.shape == (query.n_obs, model.latent.shape[1])
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert np.array_equal(query.obsm[system.key], z)


def test_missing_and_additional_features_are_allowed(model, query, rng):
    keep = ~query.var_names.isin(model.pipeline.features[::4])
    more = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (query.n_obs, 5)).astype(np.float32)), obs=query.obs)
    more.var_names = [f"novel{i}" for i in range(5)]
    z = model.project(ad.concat([more, query[:, keep]], axis=1, merge="first"))
    assert np.isfinite(z).all()
    assert model.coverage.n_found == len(model.pipeline.features) - len(model.pipeline.features[::4])


def test_a_query_never_loses_cells(model, query):
    dense = query.X.toarray()
    dense[:5, query.var_names.isin(model.pipeline.features)] = 0
    dense[:5, ~query.var_names.isin(model.pipeline.features)] += 1
    z = model.project(ad.AnnData(sp.csr_matrix(dense), obs=query.obs, var=query.var))
    assert z.shape[0] == query.n_obs
    assert np.isfinite(z).all()


def test_batches_of_one_cell_can_be_fitted(system, reference):
    reference.obs["batch"] = ["lone", *reference.obs["batch"].astype(str)[1:]]
    model = system.fit(reference)
    assert np.isfinite(model.latent).all()
    close(model.embed(reference[[0]]), model.latent[[0]])


def test_an_empty_cell_is_refused(system, reference, refused):
    dense = reference.X.toarray()
    dense[4] = 0
    with refused(f"1 of {reference.n_obs} cells without any, such as '{reference.obs_names[4]}'", "at least one count"):
        system.fit(ad.AnnData(sp.csr_matrix(dense), obs=reference.obs, var=reference.var))


def test_an_interrupt_leaves_the_study_untouched(system, reference):
    before = reference.copy()

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        system.fit(reference, progress=interrupt)
    assert not reference.obsm
    assert set(reference.uns) == set(before.uns)
    assert reference.obs.equals(before.obs)
    assert (reference.X != before.X).nnz == 0


def test_an_interrupted_fit_goes_on_to_the_same_end(system, model, reference, tmp_path, interrupted, timeless):
    with interrupted(0, 3):
        system.fit(reference, checkpoint=tmp_path / "run")
    resumed = system.fit(reference, checkpoint=tmp_path / "run")
    assert np.array_equal(resumed.latent, model.latent)
    pd.testing.assert_frame_equal(timeless(resumed.history), timeless(model.history))


def test_each_phase_moves_its_own_parameters_only(system, model, reference, monkeypatch):
    study = from_anndata(reference, "batch")
    x, label = model.pipeline.apply(study, study.batch).x, np.arange(study.n_cells) % 4 - 1
    beside = {"counts": np.ceil(10 * x.data)}
    loader = SparseLoader(x, study.batch, batch_size=32, shuffle=True, beside=beside, cells={"label": label})
    network = system.network(len(model.pipeline.features), len(study.batches))
    covered = set()
    for phase in network.phases():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            fresh = system.network(len(model.pipeline.features), len(study.batches))
        phase = next(other for other in fresh.phases() if other.name == phase.name)
        own = {id(parameter) for parameter in phase.parameters()}
        covered |= {name for name, parameter in fresh.named_parameters() if id(parameter) in own}
        before = {name: parameter.detach().clone() for name, parameter in fresh.named_parameters()}
        monkeypatch.setattr(fresh, "phases", lambda phase=phase: [phase])
        train(fresh, loader, None, Options(max_steps=3, compile=False, accelerator="cpu"), progress="silent")
        for name, parameter in fresh.named_parameters():
            assert torch.equal(parameter, before[name]) == (id(parameter) not in own), f"{phase.name}: {name}"
    assert covered == {name for name, _ in network.named_parameters()}

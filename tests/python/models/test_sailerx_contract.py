"""The promises of a fitted model (see test_contract.py), for SAILERX: RNA and ATAC of the same cells."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import isthmus as im

QUICK = {
    "max_steps": 40, "n_components": 10, "n_hidden": 8, "n_latent": 5, "batch_size": 32, "learning_rate": 2e-3,
    "schedule": "constant", "progress": "silent", "accelerator": "cpu", "batch_key": "batch", "precision": "32-true",
    "start": "lsi", "structure_weight": 30.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return im.data.simulate(n_cells=240, n_genes=150, n_peaks=400, n_types=3, n_batches=3, seed=5)


def part(whole, query):
    return {k: x[(x.obs["batch"] == "batch3") == query].copy() for k, x in whole.items()}


def fit(data, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return im.tl.sailerx(data, **{**QUICK, **settings})


@pytest.fixture(scope="module")
def fitted(whole):
    """A model and its reference; neither is to be changed."""
    data = part(whole, query=False)
    return fit(data), data


@pytest.fixture
def model(fitted):
    return fitted[0]


@pytest.fixture
def reference(whole):
    return part(whole, query=False)


@pytest.fixture
def query(whole):
    return part(whole, query=True)["atac"]


def close(a, b):
    np.testing.assert_allclose(a, b, atol=2e-5)


def test_loss_falls_and_everything_is_finite(model):
    history, losses = model.history, [name for name in model.history if name.startswith("train_")]
    assert len(losses) == 5
    assert np.isfinite(history[losses]).all(axis=None)
    assert history["train_reconstruction"].iloc[-1] < history["train_reconstruction"].iloc[0]
    assert np.isfinite(model.latent).all()


def test_same_seed_same_numbers(model, reference, timeless):
    again = fit(reference)
    assert np.array_equal(again.latent, model.latent)
    pd.testing.assert_frame_equal(timeless(again.history), timeless(model.history))
    assert again.manifest.id == model.manifest.id


def test_another_seed_other_numbers(model, reference):
    other = fit(reference, seed=1)
    assert not np.allclose(other.latent, model.latent)
    assert other.manifest.id != model.manifest.id


def test_random_state_of_the_user_is_neither_used_nor_changed(model, reference, query, kept_random_state):
    with kept_random_state():
        again = fit(reference)
        again.project(query)
        again.impute(query)
    assert np.array_equal(again.latent, model.latent)


@pytest.mark.parametrize("settings", [{}, {"scaling": "none", "conditioning": "hidden", "start": "zero"}])
def test_a_saved_model_is_the_same_model(reference, query, tmp_path, settings, plain_files):
    model = fit(reference, max_steps=5, **settings)
    model.save(tmp_path / "model")
    plain_files(tmp_path / "model")
    loaded = im.load(tmp_path / "model")
    assert np.array_equal(loaded.latent, model.latent)
    assert np.array_equal(loaded.paired, model.paired)
    assert list(loaded.cells) == list(model.cells)
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(loaded.history, model.history)
    assert np.array_equal(loaded.embed(reference["atac"]), model.embed(reference["atac"]))
    for batch in (None, "batch1"):
        x = [m.impute(query.copy(), batch=batch, depth=70).X for m in (loaded, model)]
        assert np.array_equal(*x)


def test_embedding_does_not_depend_on_companions_or_order(model, reference, rng):
    cells, z = reference["atac"], model.latent
    close(model.embed(cells), z)
    for rows in (rng.permutation(cells.n_obs), np.array([3, 90, 41]), np.array([7])):
        close(model.embed(cells[rows]), z[rows])
    close(model.embed(cells[:, rng.permutation(cells.n_vars)]), z)
    close(model.project(cells[[7]].copy()), z[[7]])
    x = model.impute(cells[:9]).X
    close(model.impute(cells[[4]]).X, x[[4]])


def test_memory_and_disk_give_the_same(model, reference, tmp_path):
    for k, x in reference.items():
        x.write_h5ad(tmp_path / f"{k}.h5ad")
    backed = {k: ad.read_h5ad(tmp_path / f"{k}.h5ad", backed="r") for k in reference}
    close(model.embed(backed["atac"]), model.latent)
    assert np.array_equal(fit(backed).latent, model.latent)


def test_missing_and_additional_peaks_are_allowed(model, query, rng, refused):
    more = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (query.n_obs, 5)).astype(np.float32)), obs=query.obs)
    more.var_names = [f"chrX:{i}-{i + 9}" for i in range(5)]
    everything = ad.concat([more, query], axis=1, merge="first")
    z = model.project(query.copy())
    close(model.project(everything), z)
    lost = model.peaks.names[::4]
    less = model.project(everything[:, ~everything.var_names.isin(lost)].copy())
    assert np.isfinite(less).all()
    assert np.corrcoef(less.ravel(), z.ravel())[0, 1] > 0.8
    assert set(model.coverage.missing) == set(lost)
    with refused("", f"at least 100% of the model's {len(model.peaks.names)} features"):
        model.embed(query[:, ~query.var_names.isin(lost)])
    with refused("0 (0.0%)", "features in the query"):
        model.project(more)
    assert "X_sailerx" not in more.obsm


def test_a_query_never_loses_cells(model, query):
    known = query.var_names.isin(model.peaks.names)
    dense = query.X.toarray()
    dense[:5, known] = 0  # nothing in the peaks of the model, something elsewhere
    x = sp.csr_matrix(np.column_stack([dense, np.ones(len(dense))]).astype(np.float32))
    z = model.project(ad.AnnData(x, obs=query.obs, var=pd.DataFrame(index=[*query.var_names, "chrX:1-2"])))
    assert len(z) == query.n_obs
    assert np.isfinite(z).all()


def test_a_batch_of_one_cell_can_be_fitted(reference):
    for x in reference.values():
        x.obs["batch"] = ["lone", *x.obs["batch"].astype(str)[1:]]
    model = fit(reference)
    close(model.embed(reference["atac"][[0]]), model.latent[[0]])
    assert np.isfinite(model.impute(reference["atac"][:3], batch="lone").X).all()


@pytest.mark.parametrize("k", ["rna", "atac"])
def test_a_cell_without_depth_is_refused_with_the_name_of_its_modality(reference, refused, k):
    dense = reference[k].X.toarray()
    dense[4] = 0
    reference[k] = ad.AnnData(sp.csr_matrix(dense), obs=reference[k].obs, var=reference[k].var)
    name, n = reference[k].obs_names[4], reference[k].n_obs
    with refused(f"modality '{k}': 1 of {n} cells without any, such as '{name}'", "at least one count in every cell"):
        fit(reference)


def test_an_interrupt_leaves_the_objects_untouched(reference):
    def interrupt(line):
        if line.startswith("trained"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(reference, progress=interrupt)
    for x in reference.values():
        assert not x.obsm
        assert "sailerx" not in x.uns


def test_an_interrupted_fit_goes_on_to_the_same_end(model, reference, tmp_path, interrupted, timeless):
    with interrupted(0, 3):
        fit(reference, checkpoint=str(tmp_path / "run"))
    resumed = fit(reference, checkpoint=str(tmp_path / "run"))
    assert np.array_equal(resumed.latent, model.latent)
    pd.testing.assert_frame_equal(timeless(resumed.history), timeless(model.history))

"""The promises of a fitted model (see test_contract.py), for scI2CL: RNA and ATAC of the same cells."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import isthmus as im

QUICK = {
    "max_steps": 40, "n_genes": 90, "n_peaks": 200, "n_hidden": 16, "n_latent": 8, "batch_size": 32,
    "n_anchors": 6, "n_views": 2, "learning_rate": 5e-3, "progress": "silent", "accelerator": "cpu",
    "precision": "32-true",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return im.data.simulate(n_cells=200, n_genes=150, n_peaks=400, n_types=3, n_batches=3, pairing="partial",
                            paired_fraction=0.8, seed=5)  # fmt: skip


def part(whole, query):
    return {k: x[(x.obs["batch"] == "batch3") == query].copy() for k, x in whole.items()}


def fit(data, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return im.tl.sci2cl(data, **{**QUICK, "batch_key": "batch", **settings})


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
    return part(whole, query=True)


pytestmark = pytest.mark.filterwarnings("ignore:.* cells were not measured")


def close(a, b):
    np.testing.assert_allclose(a, b, atol=2e-4)


def rows_of(model, names):
    return model.latent[model.cells.get_indexer(names)]


def test_loss_falls_and_everything_is_finite(model):
    history, losses = model.history, [name for name in model.history if name.startswith("train_")]
    assert {"train_reconstruction_rna", "train_mse_atac", "train_moc", "train_mom", "train_across"} <= set(losses)
    assert np.isfinite(history[losses]).all(axis=None)
    assert list(history["phase"].unique()) == [0, 1]
    for _, phase in history.groupby("phase"):
        assert phase["train_loss"].iloc[-1] < phase["train_loss"].iloc[0]
    assert (history.loc[history["phase"] == 0, ["train_moc", "train_mom"]] == 0).all(axis=None)
    assert (history.loc[history["phase"] == 1, ["train_moc", "train_mom"]] > 0).all(axis=None)
    assert history["step"].iloc[-1] == QUICK["max_steps"]
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
        again.impute(query, "atac")
    assert np.array_equal(again.latent, model.latent)


def test_a_saved_model_is_the_same_model(model, reference, query, tmp_path, plain_files):
    model.save(tmp_path / "model")
    plain_files(tmp_path / "model")
    loaded = im.load(tmp_path / "model")
    assert np.array_equal(loaded.latent, model.latent)
    assert list(loaded.measured) == list(model.measured)
    assert np.array_equal(loaded.embed(reference), model.embed(reference))
    assert np.array_equal(loaded.project(query), model.project(query))
    assert np.array_equal(loaded.impute(query, "rna").X, model.impute(query, "rna").X)
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(loaded.history, model.history)


def test_embedding_does_not_depend_on_companions_or_order(model, reference, rng):
    close(model.embed(reference), model.latent)
    for size in (1, 7, 50):
        names = rng.choice(model.cells[model.measured == "both"], size, replace=False)
        close(model.embed({k: x[names] for k, x in reference.items()}), rows_of(model, names))
    shuffled = {k: x[rng.permutation(x.n_obs)][:, rng.permutation(x.n_vars)] for k, x in reference.items()}
    z = pd.DataFrame(model.embed(shuffled), index=model._paired(shuffled).cells)
    close(z.loc[model.cells].to_numpy(), model.latent)


def test_cells_with_one_modality_are_the_same_alone(model, reference):
    for k in ("rna", "atac"):
        names = model.cells[model.measured == k]
        assert len(names) > 5
        close(model.embed({k: reference[k][names]}), rows_of(model, names))


def test_memory_and_disk_give_the_same(model, reference, tmp_path):
    backed = {}
    for k, x in reference.items():
        x.write_h5ad(tmp_path / f"{k}.h5ad")
        backed[k] = ad.read_h5ad(tmp_path / f"{k}.h5ad", backed="r")
    close(model.embed(backed), model.latent)
    assert np.array_equal(fit(backed).latent, model.latent)


def test_new_batches_are_projected_without_training(model, query):
    z = model.project(query)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    for x in query.values():
        assert x.obsm["X_sci2cl"].shape == (x.n_obs, QUICK["n_latent"])
        assert x.uns["sci2cl"]["id"] == model.manifest.id


def test_missing_and_additional_features_are_allowed(model, query, rng):
    few = {}
    for k, x in query.items():
        lost = model.pipelines[k].features[::4]
        more = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (x.n_obs, 5)).astype("f4")), obs=x.obs)
        more.var_names = [f"{k}{i}" for i in range(5)]
        few[k] = ad.concat([more, x[:, ~x.var_names.isin(lost)]], axis=1, merge="first")
    assert np.isfinite(model.project(few)).all()
    for k, coverage in model.coverage.items():
        assert coverage.n_found == len(model.pipelines[k].features) - len(model.pipelines[k].features[::4])


def test_a_query_never_loses_cells(model, query):
    """Cells without a count in the features that the model knows."""
    for k, x in query.items():
        dense, known = x.X.toarray(), x.var_names.isin(model.pipelines[k].features)
        dense[:5, known] = 0
        dense[:5, ~known] += 1
        x.X = sp.csr_matrix(dense)
    assert np.isfinite(model.project(query)).all()


def test_batches_of_one_cell_can_be_fitted(reference):
    first = reference["rna"].obs_names[0]
    for x in reference.values():
        batch = x.obs["batch"].astype(str)
        batch.loc[first] = "lone"
        x.obs["batch"] = batch
    assert np.isfinite(fit(reference, batch_weight=1.0).latent).all()


def test_an_empty_cell_is_refused(reference, refused):
    dense = reference["atac"].X.toarray()
    dense[4] = 0
    reference["atac"].X = sp.csr_matrix(dense)
    with refused("modality 'atac': 1 of", "at least one count"):
        fit(reference)


def test_an_interrupt_leaves_the_data_untouched(reference):
    before = {k: x.obs.copy() for k, x in reference.items()}

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(reference, progress=interrupt)
    for k, x in reference.items():
        assert not x.obsm
        assert "sci2cl" not in x.uns
        assert x.obs.equals(before[k])


@pytest.mark.parametrize("phase", [0, 1])
def test_an_interrupted_fit_goes_on_to_the_same_end(model, reference, tmp_path, interrupted, phase, timeless):
    """Interrupted in pre-training, and in the contrast."""
    with interrupted(phase, 2):
        fit(reference, checkpoint=str(tmp_path / "run"))
    resumed = fit(reference, checkpoint=str(tmp_path / "run"))
    assert np.array_equal(resumed.latent, model.latent)
    pd.testing.assert_frame_equal(timeless(resumed.history), timeless(model.history))

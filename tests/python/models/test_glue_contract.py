"""The promises of a fitted model (see test_contract.py), for GLUE: several modalities in, one embedding out."""

from __future__ import annotations

import functools
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import isthmus as im
from isthmus.train import checkpoint, loop

QUICK = {
    "max_steps": 40, "link_steps": 10, "n_models": 2, "n_features": 90, "n_components": 12, "n_hidden": 16,
    "n_latent": 5, "batch_size": 32, "learning_rate": 5e-3, "schedule": "constant", "pretrain_share": 0.4,
    "progress": "silent", "accelerator": "cpu", "batch_key": "batch",
}  # fmt: skip
NAMES = ("rna", "atac")


@pytest.fixture(scope="module")
def whole():
    return im.data.simulate(n_cells=260, n_genes=150, n_peaks=400, n_types=3, n_batches=3, pairing="unpaired", seed=5)


@pytest.fixture(scope="module")
def graph(whole):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return im.genomics.guidance_graph(whole, extend=20_000)


def part(whole, query):
    return {k: x[(x.obs["batch"] == "batch3") == query].copy() for k, x in whole.items()}


@pytest.fixture(scope="module")
def fit(graph):
    """``fit(data, **settings)`` with this graph and few steps."""

    def run(data, graph=graph, **settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return im.tl.glue(data, graph, **{**QUICK, **settings})

    return run


@pytest.fixture(scope="module")
def fitted(whole, fit):
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


def close(a, b):
    np.testing.assert_allclose(a, b, atol=2e-5)


def test_loss_falls_and_everything_is_finite(model):
    history, losses = model.history, [name for name in model.history if name.startswith("train_")]
    assert len(losses) > 8
    assert np.isfinite(history[losses]).all(axis=None)
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert list(history["phase"].unique()) == [0, 1]
    assert history["step"].iloc[-1] == QUICK["max_steps"]
    assert history["step"].is_monotonic_increasing
    assert history["epoch"].is_unique
    assert np.isfinite(model.latent).all()
    assert np.isfinite(model.feature_embedding).all()
    assert np.isfinite(model.link_embeddings).all()


def test_same_seed_same_numbers(model, reference, fit, timeless):
    again = fit(reference)
    assert np.array_equal(again.latent, model.latent)
    assert np.array_equal(again.weight, model.weight)
    assert np.array_equal(again.feature_embedding, model.feature_embedding)
    pd.testing.assert_frame_equal(again.links(), model.links())
    pd.testing.assert_frame_equal(timeless(again.history), timeless(model.history))
    assert again.manifest.id == model.manifest.id


def test_another_seed_other_numbers(model, reference, fit):
    other = fit(reference, seed=1)
    assert not np.allclose(other.latent, model.latent)
    assert not np.allclose(other.feature_embedding, model.feature_embedding)
    assert other.manifest.id != model.manifest.id


def test_random_state_of_the_user_is_neither_used_nor_changed(model, reference, query, fit, kept_random_state):
    with kept_random_state():
        again = fit(reference)
        again.project(query["atac"], "atac")
        again.predict(query["rna"], "rna", "atac")
        again.links()
    assert np.array_equal(again.latent, model.latent)


def test_a_saved_model_is_the_same_model(model, reference, query, tmp_path, plain_files):
    model.save(tmp_path / "model")
    plain_files(tmp_path / "model")
    loaded = im.load(tmp_path / "model")
    assert np.array_equal(loaded.latent, model.latent)
    assert np.array_equal(loaded.weight, model.weight)
    assert np.array_equal(loaded.feature_embedding, model.feature_embedding)
    assert list(loaded.features) == list(model.features)
    pd.testing.assert_frame_equal(loaded.history, model.history)
    pd.testing.assert_frame_equal(loaded.links(), model.links())
    pd.testing.assert_frame_equal(loaded.consistency(reference, (10,)), model.consistency(reference, (10,)))
    for k, other in (("rna", "atac"), ("atac", "rna")):
        assert list(loaded.cells_of(k)) == list(reference[k].obs_names)
        assert np.array_equal(loaded.embed(reference[k], k), model.embed(reference[k], k))
        assert np.array_equal(loaded.project(query[k].copy(), k), model.project(query[k].copy(), k))
        assert np.array_equal(loaded.predict(query[k], k, other).X, model.predict(query[k], k, other).X)


def test_a_model_with_labels_and_without_links_is_saved_too(reference, query, fit, tmp_path):
    model = fit(reference, labels_key="cell_type", n_models=0, balance=False, max_steps=5)
    model.save(tmp_path / "model")
    loaded = im.load(tmp_path / "model")
    assert loaded.labels == model.labels
    assert loaded.decoyed is None
    for k in NAMES:
        table = loaded.predict_labels(query[k].copy(), modality=k)
        pd.testing.assert_frame_equal(table, model.predict_labels(query[k].copy(), modality=k))
        again = loaded.predict_labels(reference[k].copy(), modality=k)
        assert (again.idxmax(axis=1).to_numpy() == reference[k].obs["glue_label"].to_numpy()).all()


@pytest.mark.parametrize("k", NAMES)
def test_embedding_does_not_depend_on_companions_or_order(model, reference, rng, k):
    cells, z = reference[k], model.latent_of(k)
    close(model.embed(cells, k), z)
    for rows in (rng.permutation(cells.n_obs), np.array([3, 90, 41]), np.array([7])):
        close(model.embed(cells[rows], k), z[rows])
    close(model.embed(cells[:, rng.permutation(cells.n_vars)], k), z)
    close(model.project(cells[[7]].copy(), k), z[[7]])


def test_memory_and_disk_give_the_same(model, reference, fit, tmp_path):
    for k in NAMES:
        reference[k].write_h5ad(tmp_path / f"{k}.h5ad")
    backed = {k: ad.read_h5ad(tmp_path / f"{k}.h5ad", backed="r") for k in NAMES}
    for k in NAMES:
        close(model.embed(backed[k], k), model.latent_of(k))
    assert np.array_equal(fit(backed, n_models=0).latent, model.latent)


@pytest.mark.parametrize("k", NAMES)
def test_cells_of_new_batches_are_projected(model, query, k):
    query[k].obs["batch"] = ["lone", *(["x", "y"] * query[k].n_obs)[: query[k].n_obs - 1]]
    z = model.project(query[k], k)
    assert z.shape == (query[k].n_obs, QUICK["n_latent"])
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert np.array_equal(query[k].obsm["X_glue"], z)


@pytest.mark.parametrize("k", NAMES)
def test_missing_and_additional_features_are_allowed(model, query, rng, refused, k):
    inputs, cells = model.sides[k].inputs, query[k]
    more = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (cells.n_obs, 5)).astype(np.float32)), obs=cells.obs)
    more.var_names = [f"novel{i}" for i in range(5)]
    everything = ad.concat([more, cells], axis=1, merge="first")
    # what is beside the reference counts neither in the depth nor in the shares
    close(model.project(everything, k), model.project(cells.copy(), k))
    assert model.coverage.n_found == len(inputs)
    lost = inputs[::4]
    z = model.project(everything[:, ~everything.var_names.isin(lost)].copy(), k)
    assert np.isfinite(z).all()
    assert model.coverage.n_found == len(inputs) - len(lost)
    assert set(model.coverage.missing) == set(lost)
    with refused("", f"at least 100% of the model's {len(inputs)} features"):
        model.embed(cells[:, ~cells.var_names.isin(lost)], k)
    with refused("0 (0.0%)", "features in the query"):
        model.project(more, k)
    assert "X_glue" not in more.obsm


@pytest.mark.parametrize("k", NAMES)
def test_a_query_never_loses_cells(model, query, k):
    dense = query[k].X.toarray()
    inputs = query[k].var_names.isin(model.sides[k].inputs)
    dense[:5, inputs] = 0
    names = np.where(inputs, query[k].var_names, [f"other{i}" for i in range(len(inputs))])
    names = [*names, "elsewhere"]
    x = sp.csr_matrix(np.column_stack([dense, np.ones(len(dense))]).astype(np.float32))
    z = model.project(ad.AnnData(x, obs=query[k].obs, var=pd.DataFrame(index=names)), k)
    assert z.shape[0] == query[k].n_obs
    assert np.isfinite(z).all()


def test_batches_of_one_cell_can_be_fitted(reference, fit):
    for k in NAMES:
        reference[k].obs["batch"] = ["lone", *reference[k].obs["batch"].astype(str)[1:]]
    model = fit(reference, n_models=0)
    assert np.isfinite(model.latent).all()
    close(model.embed(reference["rna"][[0]], "rna"), model.latent[[0]])
    lone = model.predict(reference["rna"][:3], "rna", "atac", batch="lone")
    assert np.isfinite(lone.X).all()


@pytest.mark.parametrize("k", NAMES)
def test_an_empty_cell_is_refused_with_the_name_of_its_modality(reference, refused, fit, k):
    dense = reference[k].X.toarray()
    dense[4] = 0
    reference[k] = ad.AnnData(sp.csr_matrix(dense), obs=reference[k].obs, var=reference[k].var)
    name, n = reference[k].obs_names[4], reference[k].n_obs
    with refused(f"modality '{k}': 1 of {n} cells without any, such as '{name}'", "at least one count in every cell"):
        fit(reference)


def test_an_interrupt_leaves_the_objects_untouched(reference, fit):
    before = {k: x.copy() for k, x in reference.items()}

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(reference, progress=interrupt)
    for k in NAMES:
        assert not reference[k].obsm
        assert not reference[k].varm
        assert set(reference[k].uns) == set(before[k].uns)
        assert reference[k].obs.equals(before[k].obs)
        assert (reference[k].X != before[k].X).nnz == 0


@pytest.mark.parametrize("phase", [0, 1])
def test_an_interrupted_fit_goes_on_to_the_same_end(model, reference, fit, tmp_path, interrupted, phase, timeless):
    """Whether the interruption was in the pre-training or after it."""
    with interrupted(phase, 2):
        fit(reference, checkpoint=str(tmp_path / "run"))
    resumed = fit(reference, checkpoint=str(tmp_path / "run"))
    assert np.array_equal(resumed.latent, model.latent)
    assert np.array_equal(resumed.weight, model.weight)
    pd.testing.assert_frame_equal(resumed.links(), model.links())
    pd.testing.assert_frame_equal(timeless(resumed.history), timeless(model.history))


def test_other_weights_do_not_go_on_from_a_checkpoint(reference, fit, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "Checkpoints", functools.partial(checkpoint.Checkpoints, seconds=0.0))
    settings = {"max_steps": 8, "n_models": 0, "balance": False, "checkpoint": str(tmp_path / "run")}
    fit(reference, **settings)
    with refused("other cells or settings", "the same cells and settings", kind=im.ModelFileError):
        fit(reference, **settings, kl_weight=0.5)


@pytest.mark.parametrize("change", [{"dropout": 0.5}, {"weights": 0.05}], ids=lambda change: next(iter(change)))
def test_another_dropout_or_graph_does_not_go_on_from_a_checkpoint(
    reference, graph, fit, refused, tmp_path, monkeypatch, change
):
    """Neither is seen in the shape of the network."""
    monkeypatch.setattr(loop, "Checkpoints", functools.partial(checkpoint.Checkpoints, seconds=0.0))
    settings = {"max_steps": 8, "n_models": 0, "balance": False, "checkpoint": str(tmp_path / "run")}
    fit(reference, **settings)
    if "weights" in change:
        table = graph.to_frame().assign(weight=change.pop("weights"))
        change["graph"] = im.genomics.GuidanceGraph.from_frame(table, graph.by_modality())
    with refused("other cells or settings", "the same cells and settings", kind=im.ModelFileError):
        fit(reference, **settings, **change)

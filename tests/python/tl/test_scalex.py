from __future__ import annotations

import sys

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import isthmus as im
from isthmus import TrainingError
from isthmus._errors import EnvironmentProblem


def snapshot(adata):
    """All of a study that a call might change."""
    x = adata.X.tocsr() if sp.issparse(adata.X) else sp.csr_matrix(adata.X)
    return (
        x.data.copy(), x.indices.copy(), adata.obs.copy(), adata.var.copy(), sorted(adata.obsm), sorted(adata.uns),
        sorted(adata.layers), sorted(adata.varm), sorted(adata.obsp),
    )  # fmt: skip


def assert_untouched(adata, before):
    for mine, other in zip(snapshot(adata), before, strict=True):
        if hasattr(mine, "equals"):
            assert mine.equals(other)
        elif isinstance(mine, np.ndarray):
            assert np.array_equal(mine, other)
        else:
            assert mine == other


def test_the_embedding_is_written_and_nothing_else(reference, quick):
    before = snapshot(reference)
    model = im.tl.scalex(reference, "batch", **quick)
    z = reference.obsm.pop("X_scalex")
    record = reference.uns.pop("scalex")
    assert_untouched(reference, before)
    assert z.shape == (reference.n_obs, 5)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert np.array_equal(z, model.latent)
    assert record["system"] == "scalex"
    assert record["id"] == model.manifest.id
    assert record["settings"]["max_steps"] == quick["max_steps"]
    assert record["versions"]["isthmus"] == im.__version__
    assert list(record["history"]["epoch"]) == model.history["epoch"].tolist()


def test_another_stem_moves_all_keys(reference, query, quick):
    model = im.tl.scalex(reference, "batch", key_added="mine", **quick)
    assert "X_mine" in reference.obsm
    assert "mine" in reference.uns
    model.transfer_labels(query, reference.obs["cell_type"])
    assert {"mine_label", "mine_confidence"} <= set(query.obs)
    assert "X_mine" in query.obsm


def test_types_are_told_apart_and_the_model_says_what_it_is(model, fitted_adata):
    from sklearn.neighbors import KNeighborsClassifier

    z, types = model.latent, fitted_adata.obs["cell_type"].astype(str)
    half = np.arange(len(z)) % 2 == 0
    accuracy = KNeighborsClassifier(10).fit(z[half], types[half]).score(z[~half], types[~half])
    assert accuracy > 0.7  # 0.25 by chance, and the fit was short
    assert repr(model) == f"Scalex({len(z)} cells, 5 latent dimensions)"
    assert list(model.cells) == list(fitted_adata.obs_names)
    assert model.manifest.facts["n_batches"] == 2


@pytest.mark.parametrize("convert", [lambda x: x.astype(np.float64), lambda x: x.toarray(), lambda x: x.tocsc()])
def test_read_only_input_of_any_kind_gives_the_same_numbers(reference, quick, convert):
    quick["max_steps"] = 10
    x = convert(reference.X)
    for array in [x] if isinstance(x, np.ndarray) else [x.data, x.indices, x.indptr]:
        array.flags.writeable = False
    other = ad.AnnData(x, obs=reference.obs, var=reference.var)
    im.tl.scalex(reference, "batch", **quick)
    im.tl.scalex(other, "batch", **quick)
    np.testing.assert_array_equal(reference.obsm["X_scalex"], other.obsm["X_scalex"])


def test_a_layer_and_its_log_normalised_form_give_models(reference, quick):
    import scanpy as sc

    quick["max_steps"] = 10
    reference.layers["counts"] = reference.X.copy()
    sc.pp.normalize_total(reference, target_sum=1e4)
    sc.pp.log1p(reference)
    counted = im.tl.scalex(reference, "batch", layer="counts", **quick)
    logged = im.tl.scalex(reference, "batch", values="lognorm", key_added="logged", **quick)
    assert list(counted.pipeline.features) == list(logged.pipeline.features)
    np.testing.assert_allclose(counted.latent, logged.latent, atol=0.05)  # the values differ in the last digits only


def test_peaks_can_be_integrated(quick):
    atac = im.data.simulate(n_cells=150, n_genes=50, n_peaks=400, n_types=3, modalities="atac")["atac"]
    im.tl.scalex(atac, "batch", profile="atac", **{**quick, "max_steps": 10})
    assert np.isfinite(atac.obsm["X_scalex"]).all()


def test_numbers_may_be_numpys_or_whole_reals(reference, quick, tmp_path):
    """As R and loops over arrays give them."""
    quick |= {
        "max_steps": 5.0,
        "n_latent": np.int64(4),
        "n_hidden": 8.0,
        "batch_size": np.int32(32),
        "seed": np.int64(2),
        "n_features": 50.0,
    }
    quick |= {"learning_rate": np.float32(0.001), "early_stopping": np.bool_(True)}
    model = im.tl.scalex(reference, "batch", **quick)
    assert model.latent.shape[1] == 4
    model.save(tmp_path / "model")
    settings = im.load(tmp_path / "model").settings
    assert settings["n_hidden"] == 8
    assert isinstance(settings["n_hidden"], int)


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda names: names])
def test_named_features_are_used(reference, quick, kind, tmp_path):
    names = reference.var_names[reference.X.getnnz(axis=0) > 5][:40]
    model = im.tl.scalex(reference, "batch", **{**quick, "max_steps": 5, "features": kind(names)})
    assert list(model.pipeline.features) == list(names)
    model.save(tmp_path / "model")
    reference.write_h5ad(tmp_path / "x.h5ad")


@pytest.mark.filterwarnings("ignore:Nothing is integrated")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_latent": 0}, ("n_latent to be a whole number of at least 1", "0")),
        ({"n_hidden": 2.5}, ("n_hidden to be a whole number", "2.5")),
        ({"batch_size": 1}, ("batch_size to be a whole number of at least 2", "1")),
        ({"max_steps": 0}, ("max_steps", "0")),
        ({"n_features": -1}, ("n_features", "-1")),
        ({"learning_rate": 0}, ("learning_rate", "0")),
        ({"kl_weight": -0.1}, ("kl_weight", "-0.1")),
        ({"validation_fraction": 0.9}, ("validation_fraction to be a number from 0 to 0.5", "0.9")),
        ({"seed": "x"}, ("seed", "'x'")),
        ({"profile": "adt"}, ("profile to be 'rna' or 'atac'", "'adt'")),
        ({"values": "tpm"}, ("values to be 'counts' or 'lognorm'", "'tpm'")),
        ({"statistics": "best"}, ("statistics", "'best'")),
        ({"schedule": "step"}, ("schedule", "'step'")),
        ({"schedule": "plateau"}, ("held-out cells with schedule='plateau'", "early_stopping=False")),
        ({"scaling": "none"}, ("scaling", "'none'")),
        ({"preset": "paper"}, ("preset", "'paper'")),
        ({"compile": "maybe"}, ("compile", "'maybe'")),
        ({"progress": "loud"}, ("progress", "'loud'")),
        ({"key_added": ""}, ("key_added", "''")),
        ({"features": "gene1"}, ("names of features", "'gene1'")),
        ({"features": ["gene1", "nope"]}, ("features that the data set has", "'nope'")),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_refused_before_anything_happens(reference, quick, refused, given, words):
    before = snapshot(reference)
    with refused(words[1], words[0]):
        im.tl.scalex(reference, "batch", **{**quick, **given})
    assert_untouched(reference, before)


def test_a_machine_without_the_accelerator_says_so(reference, quick, refused):
    with refused("quantum", "accelerator='quantum'", kind=EnvironmentProblem):
        im.tl.scalex(reference, "batch", accelerator="quantum", **quick)


def test_bad_data_are_refused_before_anything_happens(reference, quick, refused):
    before = snapshot(reference)
    with refused(
        "no column 'donor'; there are", "a column of obs that names the batch of each cell", "name one of these"
    ):
        im.tl.scalex(reference, "donor", **quick)
    with refused("30 cells", "at least 64 cells, one mini-batch", "a batch_size of at most 30"):
        im.tl.scalex(reference[:30].copy(), "batch", **quick)
    with refused("no layers", "a layer 'counts'"):
        im.tl.scalex(reference, "batch", layer="counts", **quick)
    assert_untouched(reference, before)


def test_a_single_batch_warns_and_makes_a_reference(reference, query, quick):
    quick["max_steps"] = 10
    with pytest.warns(UserWarning, match=r"Nothing is integrated: no batch column was named"):
        model = im.tl.scalex(reference, None, **quick)
    assert model.project(query).shape == (query.n_obs, 5)
    np.testing.assert_allclose(model.embed(reference), model.latent, atol=1e-5)
    reference.obs["one"] = "same"
    with pytest.warns(UserWarning, match="column 'one' holds one batch, 'same'"):
        im.tl.scalex(reference, "one", **quick)


def test_an_interrupt_leaves_everything_as_it_was(reference, quick):
    before = snapshot(reference)

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        im.tl.scalex(reference, "batch", **{**quick, "progress": stop})
    assert_untouched(reference, before)


def test_a_training_that_fails_leaves_everything_as_it_was(reference, quick, refused):
    before = snapshot(reference)
    with refused("became", "finite losses", kind=TrainingError):
        im.tl.scalex(reference, "batch", **{**quick, "learning_rate": 1e30, "precision": "32-true"})
    assert_untouched(reference, before)


def test_the_reference_preset_is_the_authors(reference, monkeypatch):
    seen = {}

    def stop(study, settings, **_):
        seen.update(vars(settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["isthmus.tl.scalex"], "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        im.tl.scalex(reference, "batch", preset="reference", progress="silent")
    paper = {"learning_rate": 2e-4, "weight_decay": 5e-4, "batch_size": 64, "max_steps": 30_000, "schedule": "constant"}
    assert {name: seen[name] for name in paper} == paper
    assert seen["early_stopping"] is False


def test_what_was_written_fits_into_a_file(fitted_adata, model, tmp_path):
    model.project(fitted_adata, key_added="again")
    model.transfer_labels(fitted_adata, fitted_adata.obs["cell_type"])
    fitted_adata.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(back.obsm["X_scalex"], model.latent)
    assert back.uns["scalex"]["id"] == model.manifest.id
    assert back.uns["again"]["projection"]["share"] == 1.0
    assert back.obs["scalex_label"].dtype == "category"

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import isthmus as im
from isthmus.data import from_anndata
from isthmus.data._simulate_write import RowWriter
from isthmus.tl._sailerx_fit import LEAST_PEAKS, Peaks, chromosomes_of, teacher

QUICK = {
    "max_steps": 30, "n_components": 10, "n_hidden": 8, "n_latent": 5, "batch_size": 32, "learning_rate": 2e-3,
    "schedule": "constant", "progress": "silent", "accelerator": "cpu", "precision": "32-true",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return im.data.simulate(n_cells=200, n_genes=150, n_peaks=500, n_types=3, n_batches=2, seed=3)


@pytest.fixture
def data(whole):
    return {k: x.copy() for k, x in whole.items()}


def fit(data, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return im.tl.sailerx(data, **{**QUICK, **settings})


@pytest.fixture(scope="module")
def model(whole):
    """A fitted model; not to be changed."""
    return fit({k: x.copy() for k, x in whole.items()}, batch_key="batch")


def test_the_embedding_is_written_to_both(data):
    before = {k: x.copy() for k, x in data.items()}
    model = fit(data, batch_key="batch")
    for k, x in data.items():
        np.testing.assert_array_equal(x.obsm["X_sailerx"], model.latent)
        assert x.uns["sailerx"]["id"] == model.manifest.id
        assert set(x.obsm) == {"X_sailerx"}
        assert (x.X != before[k].X).nnz == 0
        assert x.obs.equals(before[k].obs)
    assert model.paired.all()
    assert "200 cells, 500 peaks" in repr(model)


def test_a_mudata_under_other_names(data):
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = mudata.MuData({"gex": data["rna"], "peaks": data["atac"]})
    model = fit(mdata, rna="gex", atac="peaks", key_added="sx")
    np.testing.assert_array_equal(mdata.obsm["X_sx"], model.latent)
    np.testing.assert_array_equal(mdata["gex"].obsm["X_sx"], model.latent)
    assert np.array_equal(fit(data).latent, model.latent)


def test_the_order_of_rna_does_not_matter(data, rng):
    """The reference is given: what is computed of other rows in another order differs by rounding."""
    data["rna"].obsm["X_own"] = rng.standard_normal((200, 4))
    model = fit(data, reference="X_own")
    data["rna"] = data["rna"][rng.permutation(200)].copy()
    np.testing.assert_allclose(fit(data, reference="X_own").latent, model.latent, atol=2e-4)


def test_the_scale_of_the_reference_does_not_matter(data, rng):
    given = rng.standard_normal((200, 4))
    model = fit(data, reference=given)
    np.testing.assert_allclose(fit(data, reference=1024.0 * given).latent, model.latent, atol=1e-5)
    table = pd.DataFrame(given, index=data["rna"].obs_names).iloc[::-1]
    np.testing.assert_array_equal(fit(data, reference=table).latent, model.latent)


def test_the_reference_is_followed(data):
    """Three types in the reference alone, of which ATAC shows nothing but noise beside its own."""
    types = data["rna"].obs["cell_type"].cat.codes.to_numpy()
    given = np.eye(3)[types]
    model = fit(data, reference=given, structure_weight=1e5, max_steps=150)
    z = model.latent / np.linalg.norm(model.latent, axis=1, keepdims=True)
    alike = (types[:, None] == types) & ~np.eye(200, dtype=bool)
    assert (z @ z.T)[alike].mean() > (z @ z.T)[types[:, None] != types].mean() + 0.5


def test_absent_components_are_computed_and_said(data):
    lines = []
    fit(data, progress=lines.append)
    assert any("10 principal components are computed" in line for line in lines)
    assert "X_pca" not in data["rna"].obsm
    data["rna"].obsm["X_pca"] = np.random.default_rng(0).standard_normal((200, 4))
    lines.clear()
    fit(data, progress=lines.append)
    assert not any("computed" in line for line in lines)


def test_cells_that_lack_one_modality(data):
    data["rna"] = data["rna"][:150].copy()
    data["atac"] = data["atac"][20:].copy()
    with pytest.warns(UserWarning, match="50 of 200 cells were not measured in 'rna'"):
        model = im.tl.sailerx(data, **QUICK)
    assert len(model.cells) == 180
    assert model.paired.sum() == 130
    assert "50 of them without RNA" in repr(model)
    assert np.isfinite(data["atac"].obsm["X_sailerx"]).all()
    z = data["rna"].obsm["X_sailerx"]
    assert np.isnan(z[:20]).all()
    np.testing.assert_array_equal(z[20:], model.latent[:130])


def test_unpaired_cells_are_a_part_of_the_fit(data):
    apart = data["atac"][150:].copy()
    data = {k: x[:150].copy() for k, x in data.items()}
    apart = apart[:, ::-1].copy()  # peaks in another order
    model = fit(data, unpaired=apart)
    assert model.batches.names == ("paired", "unpaired")
    assert list(model.cells) == [*data["atac"].obs_names, *apart.obs_names]
    np.testing.assert_array_equal(apart.obsm["X_sailerx"], model.latent[150:])
    np.testing.assert_allclose(model.project(apart.copy()), model.latent[150:], atol=2e-5)
    named = fit(data, unpaired=apart, batch_key="batch")
    assert named.batches.names == ("batch1", "batch2")


def test_every_cell_without_rna_has_its_turn(data, monkeypatch):
    seen = set()
    losses = im.models.SAILERX.losses

    def watch(self, batch):
        assert (batch.parts["paired"].index < 60).all()
        seen.update(batch.parts["unpaired"].index.tolist())
        return losses(self, batch)

    monkeypatch.setattr(im.models.SAILERX, "losses", watch)
    data["rna"] = data["rna"][:60].copy()
    fit(data, max_steps=None, max_epochs=3, batch_size=20)
    assert seen == set(range(60, 200))


def test_cells_of_both_sets_are_held_out(data):
    data["rna"] = data["rna"][:120].copy()
    model = fit(data, early_stopping=True, validation_fraction=0.2, max_steps=None, max_epochs=20)
    looks = model.history["validation_loss"].dropna()
    assert len(looks)
    assert np.isfinite(looks).all()


def test_imputation_in_its_forms(data, tmp_path, refused):
    model, atac = fit(data, batch_key="batch"), data["atac"]
    whole = model.impute(atac)
    assert ((whole.X >= 0) & (whole.X <= 1)).all()
    np.testing.assert_array_equal(atac.layers["sailerx"], whole[:, atac.var_names].X)
    one, other = (model.impute(atac, batch=name).X for name in ("batch1", "batch2"))
    np.testing.assert_allclose(whole.X, (one + other) / 2, atol=1e-6)
    some = model.impute(atac, features=list(model.peaks.names[[7, 3]]))
    np.testing.assert_allclose(some.X, whole.X[:, [7, 3]], atol=1e-6)
    assert (model.impute(atac, depth=200).X.sum(1) > model.impute(atac, depth=20).X.sum(1)).all()
    top = model.impute(atac, top=12)
    assert (np.diff(top.X.indptr) == 12).all()
    kept = top.X.toarray()
    np.testing.assert_array_equal(kept[kept > 0], whole.X[kept > 0])
    assert (np.where(kept > 0, 1.0, whole.X).min(1) <= np.where(kept > 0, kept, 1.0).min(1)).all()
    assert model.impute(atac, top=12, least=0.5).X.nnz <= top.X.nnz
    for name, settings in (("dense", {}), ("sparse", {"top": 12})):
        filed = model.impute(atac, file=tmp_path / f"{name}.h5ad", **settings)
        x = filed.X[:] if name == "dense" else filed.X[:].toarray()
        np.testing.assert_allclose(x, whole.X if name == "dense" else kept, atol=1e-6)
    with refused("'nowhere'", "a batch"):
        model.impute(atac, batch="nowhere")
    with refused("0", "top to be a whole number"):
        model.impute(atac, top=0)
    with refused("others", "features among the"):
        model.impute(atac, features=["chr99:1-2"])


@pytest.mark.parametrize("settings", [{}, {"top": 12}, {"least": 0.5}], ids=str)
def test_a_file_has_the_columns_of_obs(model, data, tmp_path, settings):
    before = data["atac"].obs.copy()
    model.impute(data["atac"], file=tmp_path / "i.h5ad", **settings).file.close()
    back = ad.read_h5ad(tmp_path / "i.h5ad").obs
    pd.testing.assert_frame_equal(back, before, check_names=False)
    pd.testing.assert_frame_equal(data["atac"].obs, before)


@pytest.mark.parametrize("settings", [{"top": 12}, {"top": 12, "least": 0.3}, {"top": 10**6}, {"least": 0.5}], ids=str)
def test_a_sparse_file_is_written_as_it_is_decoded(model, data, tmp_path, monkeypatch, settings):
    """Bit for bit what memory holds, and no block waits for the next."""
    monkeypatch.setattr("isthmus.tl._sailerx.DECODED_AT_ONCE", 32)
    expected = model.impute(data["atac"], **settings).X
    steps, decode, append = [], type(model)._decode, RowWriter.append
    monkeypatch.setattr(type(model), "_decode", lambda *a: (steps.append("d") or x for x in decode(*a)))
    monkeypatch.setattr(RowWriter, "append", lambda *a: steps.append("w") or append(*a))
    filed = model.impute(data["atac"], file=tmp_path / "i.h5ad", **settings)
    found = filed.X[:]
    assert steps == ["d", "w"] * 7
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)


def test_a_sparse_file_that_was_not_finished_does_not_appear(model, data, tmp_path, monkeypatch):
    def broken(*args):
        yield np.zeros((10, 500), np.float32)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(model), "_decode", broken)
    with pytest.raises(KeyboardInterrupt):
        model.impute(data["atac"], top=3, file=tmp_path / "i.h5ad")
    assert not list(tmp_path.iterdir())


def test_key_added_names_the_layer_and_the_embedding_that_is_there_is_used(model, data):
    atac = data["atac"]
    z = model.project(atac).copy()
    atac.obsm["X_sailerx"] = -z  # another one than a new projection would be
    expected = model.impute(atac.copy())
    np.testing.assert_array_equal(model.impute(atac, key_added="mine").X, expected.X)
    np.testing.assert_array_equal(atac.layers["mine"], expected[:, atac.var_names].X)
    assert (set(atac.obsm), "mine" in atac.uns) == ({"X_sailerx"}, False)


def test_what_is_imputed_of_all_cells_is_of_one_depth():
    """Also where batches differ fourfold in depth. (Single peaks keep some trace of depth, see the model's page.)"""
    data = im.data.simulate(
        n_cells=400, n_genes=150, n_peaks=1500, n_types=3, n_batches=2, confounding="depth", seed=4, batch_strength=0
    )
    model = fit(data, batch_key="batch", max_steps=60)
    for depth in (None, 40.0):
        sums = model.impute(data["atac"], depth=depth).X.sum(1)
        np.testing.assert_allclose(sums, depth or np.exp(model.network.depth[0]), rtol=1e-3)


def test_cells_that_differ_in_few_ways(data):
    """Six copies of ten cells have ten components, not as many as were asked for."""
    few = {k: ad.concat([x[:10]] * 6, merge="same") for k, x in data.items()}
    for x in few.values():
        x.obs_names = [f"cell{i}" for i in range(60)]
    assert np.isfinite(fit(few, n_components=5).latent).all()


def test_gene_activity_sums_the_peaks_of_a_gene(data, refused, tmp_path, monkeypatch):
    model = fit(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = im.genomics.guidance_graph(data["rna"], data["atac"])
    activity, chances = model.gene_activity(data["atac"], graph), model.impute(data["atac"])
    table = graph.to_frame()
    gene = table["source"].iloc[0]
    own = table[table["source"] == gene]
    expected = chances[:, own["target"]].X @ own["weight"].to_numpy()
    np.testing.assert_allclose(activity[:, gene].X[:, 0], expected, rtol=1e-4)
    on_disk = model.gene_activity(data["atac"], graph, file=tmp_path / "activity.h5ad", key_added="elsewhere")
    np.testing.assert_array_equal(on_disk.X[:], activity.X)
    monkeypatch.setattr(im.tl._impute, "LARGEST_DENSE", 1000)
    with refused("cells x", "GiB in memory", "name a file"):
        model.gene_activity(data["atac"], graph)
    other = data["atac"].copy()
    other.var_names = [f"x{i}" for i in range(other.n_vars)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foreign = im.genomics.guidance_graph(data["rna"], other)
    with refused("none in this graph", "edges from genes to the model's"):
        model.gene_activity(data["atac"], foreign)


def test_labels_are_transferred(data):
    model = fit(data, max_steps=100)
    labels = data["rna"].obs["cell_type"]
    found = model.transfer_labels(data["atac"], labels)
    assert (found["label"] == labels.to_numpy()).mean() > 0.8
    assert "sailerx_label" in data["atac"].obs


def test_peaks_without_positions_are_one_chromosome(data):
    for x in (data["atac"],):
        x.var_names = [f"peak{i}" for i in range(x.n_vars)]
        x.var = x.var[[]]
    with pytest.warns(UserWarning, match="'peak0'"):
        model = im.tl.sailerx(data, **QUICK)
    assert model.peaks.chromosomes == ("all",)
    assert np.isfinite(model.latent).all()
    assert "one group" in repr(model)


def test_one_chromosome(data):
    first = data["atac"].var["chrom"].iloc[0]
    data["atac"] = data["atac"][:, data["atac"].var["chrom"] == first].copy()
    keep = np.asarray(data["atac"].X.sum(1)).ravel() > 0
    data = {k: x[keep].copy() for k, x in data.items()}
    assert len(fit(data).peaks.sizes) == 1


def test_peaks_lie_by_chromosome_and_small_ones_together(rng):
    n = LEAST_PEAKS
    names = [f"chr{c}:{10 * i}-{10 * i + 5}" for i in range(n) for c in (2, 1)] + [
        "chrM:1-5",
        "chrUn_9:7-9",
        "chr1:9999-10000",
    ]
    x = (rng.random((30, len(names))) < 0.5).astype(np.float32)
    x[:, -1] = 0  # never open
    x[0] = 3.0
    x[0, -1] = 0
    table = ad.AnnData(x, var=pd.DataFrame(index=names))
    peaks, ones = Peaks.fit(from_anndata(table), chromosomes_of(table))
    assert peaks.chromosomes == ("chr1", "chr2", "other")
    assert peaks.sizes == (n, n, 2)
    assert "chr1:9999-10000" not in peaks.names
    np.testing.assert_array_equal(ones.toarray(), table[:, peaks.names].X > 0)
    np.testing.assert_allclose(peaks.frequency, (table[:, peaks.names].X > 0).mean(0), rtol=1e-6)


def test_the_reference_is_centred_and_smoothed_by_group(rng):
    reference, group = rng.standard_normal((12, 3)).astype(np.float32), np.arange(12) % 3
    paired = np.arange(12) < 9
    out = teacher(reference, paired, group, 0, 0)
    assert (out[9:] == 0).all()
    for code in range(3):
        own = paired & (group == code)
        np.testing.assert_allclose(out[own], reference[own] - reference[own].mean(0), atol=1e-6)
        smooth = teacher(reference, paired, group, 2, 0)
        np.testing.assert_allclose(smooth[own], 0, atol=1e-6)  # three cells, averaged with the two others
    nearer = teacher(reference, np.ones(12, dtype=bool), np.zeros(12), 1, 0)
    centre = reference - reference.mean(0)
    gap = np.linalg.norm(centre[:, None] - centre, axis=2) + 99 * np.eye(12)
    np.testing.assert_allclose(nearer, (centre + centre[gap.argmin(1)]) / 2, atol=1e-6)


def test_bad_references(data, rng, refused):
    with refused("none", "an embedding 'X_scvi'", "X_pca"):
        fit(data, reference="X_scvi")
    with refused("(7, 3)", "a reference of 200 cells"):
        fit(data, reference=np.zeros((7, 3)))
    with refused("of <U1", "a reference of 200 cells"):
        fit(data, reference=np.full((200, 2), "a"))
    bad = rng.standard_normal((200, 3))
    bad[5, 1] = np.nan
    with refused(f"1 cells without, such as '{data['rna'].obs_names[5]}'", "finite numbers in the reference"):
        fit(data, reference=bad)
    with refused("none for 1, such as", "a row of the reference"):
        fit(data, reference=pd.DataFrame(bad[:-1], index=data["rna"].obs_names[:-1]))
    assert not data["atac"].obsm


def test_bad_input(data, refused):
    renamed = {"rna": data["rna"], "atac": data["atac"].copy()}
    renamed["atac"].obs_names = [f"other{i}x" for i in range(200)]
    with refused("no name in common"):
        fit(renamed)
    negative = {"rna": data["rna"], "atac": data["atac"].copy()}
    negative["atac"].X = negative["atac"].X * -1.0
    with refused("modality 'atac': -", "non-negative"):
        fit(negative)
    with refused("200 of the same name", "unpaired cells that are not in the data"):
        fit(data, unpaired=data["atac"])
    fewer = data["atac"][:, :300].copy()
    fewer.obs_names = [f"more{i}" for i in range(200)]
    with refused("300 (60.0%)", "at least 100%"):
        fit(data, unpaired=fewer)
    with refused("'lsa'", "start to be"):
        fit(data, start="lsa")
    with refused("-1", "structure_weight"):
        fit(data, structure_weight=-1)
    assert not data["atac"].obsm


def test_the_reference_preset_is_the_authors(data):
    model = fit(data, preset="reference", max_steps=None)
    kept = model.settings
    assert (kept["kl_weight"], kept["invariance_weight"], kept["structure_weight"]) == (0.05, 2.5e-4, 6e4)
    assert kept["scaling"] == "none"
    assert model.network.weights.warm_up_structure == 6000.0 * len(model.peaks.names)

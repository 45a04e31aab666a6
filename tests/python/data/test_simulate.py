"""The simulator keeps its promises: the counts follow the model, and every planted truth is found again."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from isthmus._errors import InputError
from isthmus.data._simulate_cells import quota
from isthmus.data._simulate_counts import BLOCK, Block, sample_counts
from isthmus.data._simulate_profiles import N_PROGRAMMES, STATE_CLIP, STATE_LIMIT, FeatureModel
from isthmus.data._simulate_write import write_blocks
from isthmus.data.simulate import simulate

SMALL = {"n_genes": 300, "n_peaks": 1500}


def same_study(one: ad.AnnData, other: ad.AnnData) -> None:
    """Bit for bit the same counts, and the same tables."""
    assert one.X.dtype == other.X.dtype == np.float32
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one.X, part), getattr(other.X, part))
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)
    pd.testing.assert_frame_equal(one.uns["links"], other.uns["links"])


# ---------------------------------------------------------------- same seed, same numbers


def test_same_seed_same_numbers_and_other_seed_others() -> None:
    one, two, three = (simulate(n_cells=200, seed=seed, **SMALL) for seed in (5, 5, 6))
    for modality in ("rna", "atac"):
        same_study(one[modality], two[modality])
        assert (one[modality].X != three[modality].X).nnz > 0


@pytest.mark.parametrize(
    ("pairing", "chunk_size"), [("paired", 1), ("partial", 1500), ("partial", 10_000), ("unpaired", 1)]
)
def test_streamed_equals_in_memory(tmp_path, pairing, chunk_size) -> None:
    settings = {**SMALL, "n_cells": 2 * BLOCK + 300, "pairing": pairing, "rare_types": {"rare a/b": (7, 1)}}
    memory = simulate(**settings)
    paths = simulate(**settings, file=tmp_path / "out", chunk_size=chunk_size)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "atac.h5ad",
        "rna.h5ad",
    ]  # nothing left over
    for modality, path in paths.items():
        same_study(memory[modality], ad.read_h5ad(path))


def test_written_file_opens_backed_and_keeps_the_truth(tmp_path) -> None:
    path = simulate(n_cells=150, file=tmp_path, modalities="rna", rare_types={"rare": 5}, **SMALL)["rna"]
    backed = ad.read_h5ad(path, backed="r")
    memory = simulate(n_cells=150, modalities="rna", rare_types={"rare": 5}, **SMALL)["rna"]
    np.testing.assert_array_equal(backed[20:30].to_memory().X.toarray(), memory[20:30].X.toarray())
    record, expected = backed.uns["simulation"], memory.uns["simulation"]
    assert record["seed"] == 0
    assert list(record["rna_only"]) == ["type1/type2"]
    pd.testing.assert_frame_equal(
        record["rare_types"], expected["rare_types"], check_dtype=False, check_index_type=False
    )
    backed.file.close()


def test_a_failed_write_leaves_the_old_file(tmp_path) -> None:
    study = simulate(n_cells=50, modalities="rna", **SMALL)
    (tmp_path / "rna.h5ad").write_text("old")

    def blocks():
        yield {"rna": study["rna"].X}
        raise RuntimeError("disk full")

    empty = {"rna": ad.AnnData(obs=study["rna"].obs, var=study["rna"].var)}
    with pytest.raises(RuntimeError, match="disk full"):
        write_blocks(tmp_path, empty, blocks(), chunk_size=1)
    assert [p.name for p in tmp_path.iterdir()] == ["rna.h5ad"]
    assert (tmp_path / "rna.h5ad").read_text() == "old"


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_one_modality_alone_is_that_of_the_multiome(modality) -> None:
    alone = simulate(n_cells=120, modalities=modality, **SMALL)
    assert list(alone) == [modality]
    np.testing.assert_array_equal(alone[modality].X.toarray(), simulate(n_cells=120, **SMALL)[modality].X.toarray())
    assert not alone[modality].obs["paired"].any()


def test_features_and_links_do_not_depend_on_the_number_of_cells() -> None:
    few, more = simulate(n_cells=50, **SMALL), simulate(n_cells=80, **SMALL)
    for modality in few:
        pd.testing.assert_frame_equal(few[modality].var, more[modality].var)
    pd.testing.assert_frame_equal(few["rna"].uns["links"], more["rna"].uns["links"])


# ---------------------------------------------------------------- the counts follow the stated model


def toy_model(rng: np.random.Generator, dispersion: np.ndarray | None) -> FeatureModel:
    """Two nodes, two batches, six features, two of which follow programmes."""
    rate = rng.dirichlet(np.full(6, 2.0), size=2)
    shift = rng.normal(0, 0.4, (2, 6))
    loadings = np.zeros((6, N_PROGRAMMES))
    loadings[0, [1, 4]], loadings[3, 2] = (0.5, -0.3), 0.8
    reach = STATE_CLIP * np.abs(loadings).sum(axis=1)
    ceiling = shift.max(axis=0) + STATE_LIMIT * np.tanh(reach / STATE_LIMIT) + 1e-5
    single = [x.astype(np.float32) for x in (rate, shift, loadings)]
    return FeatureModel(*single, dispersion, ceiling.astype(np.float32), rate * np.exp(ceiling))


@pytest.mark.parametrize("dispersion", [None, np.array([0.05, 0.3, 0.3, 0.7, 1.0, 2.0], dtype=np.float32)])
def test_counts_have_the_moments_of_the_model(rng, dispersion) -> None:
    """Against the formula of the docstring, cell by cell and densely: mean, variance and share of zeros."""
    n, model = 60_000, toy_model(rng, dispersion)
    start, end = rng.integers(2, size=n), rng.integers(2, size=n)
    state = np.clip(rng.normal(size=(n, N_PROGRAMMES)), -STATE_CLIP, STATE_CLIP).astype(np.float32)
    place, depth = rng.random(n, dtype=np.float32), rng.uniform(2, 20, n).astype(np.float32)
    batch = rng.integers(2, size=n)
    counts = sample_counts(model, Block(start, end, place, batch, depth, state), rng).toarray()

    between = (1 - place)[:, None] * model.rate[start] + place[:, None] * model.rate[end]
    effect = STATE_LIMIT * np.tanh(state @ model.loadings.T / STATE_LIMIT)
    mean = depth[:, None] * between * np.exp(model.shift[batch] + effect)  # (cells, features)
    phi = np.zeros(6) if dispersion is None else dispersion
    variance = mean + phi * mean**2
    zero = np.exp(-mean) if dispersion is None else (1 + phi * mean) ** (-1 / phi)

    z_mean = (counts - mean).sum(axis=0) / np.sqrt(variance.sum(axis=0))
    assert np.abs(z_mean).max() < 4.5
    z_zero = ((counts == 0) - zero).sum(axis=0) / np.sqrt((zero * (1 - zero)).sum(axis=0))
    assert np.abs(z_zero).max() < 4.5
    squared = (counts - mean) ** 2 / variance  # each has expectation one
    error = squared.std(axis=0) / np.sqrt(n)
    assert (np.abs(squared.mean(axis=0) - 1) < 5 * error).all()


def test_counts_are_whole_numbers_without_stored_zeros(multiome) -> None:
    for study in multiome.values():
        assert sparse.isspmatrix_csr(study.X)
        assert study.X.dtype == np.float32
        assert study.X.has_sorted_indices
        assert (study.X.data >= 1).all()
        np.testing.assert_array_equal(study.X.data, np.round(study.X.data))


def test_depth_and_sparsity_are_realistic() -> None:
    study = simulate(n_cells=200, n_genes=20_000, n_peaks=40_000, seed=1)
    rna, atac = study["rna"].X, study["atac"].X
    depth = np.asarray(rna.sum(axis=1)).ravel()
    assert 2400 < np.median(depth) < 3600
    assert 0.3 < np.log(depth).std() < 0.7
    assert 0.05 < rna.nnz / np.prod(rna.shape) < 0.12
    level = np.sort(np.asarray(rna.sum(axis=0)).ravel())[::-1]
    assert level[:2000].sum() > 0.5 * level.sum()  # a tenth of the genes holds more than half of the counts
    assert 0.02 < atac.nnz / np.prod(atac.shape) < 0.05
    assert (atac.data <= 2).mean() > 0.95
    assert stats.spearmanr(depth, np.asarray(atac.sum(axis=1)).ravel()).statistic > 0.2


# ---------------------------------------------------------------- cells: types, batches, pairs


def test_paired_cells_share_their_names_and_labels() -> None:
    study = simulate(n_cells=100, pairing="partial", paired_fraction=0.4, **SMALL)
    rna, atac = study["rna"].obs, study["atac"].obs
    shared = rna.index.intersection(atac.index)
    assert len(rna) == len(atac) == 100
    assert len(shared) == 40
    assert rna.index.is_unique
    assert atac.index.is_unique
    assert set(rna.index[rna["paired"]]) == set(atac.index[atac["paired"]]) == set(shared)
    pd.testing.assert_frame_equal(rna.loc[shared], atac.loc[shared])
    paired, unpaired = (simulate(n_cells=60, pairing=word, **SMALL) for word in ("paired", "unpaired"))
    assert paired["rna"].obs_names.equals(paired["atac"].obs_names)
    assert paired["rna"].obs["paired"].all()
    assert unpaired["rna"].obs_names.intersection(unpaired["atac"].obs_names).empty


def test_types_that_differ_in_one_modality_only(multiome, separability) -> None:
    types = multiome["rna"].obs["cell_type"]
    settings = multiome["rna"].uns["simulation"]
    for kind, blind in (("rna", "atac"), ("atac", "rna")):
        (pair,) = settings[f"{kind}_only"]
        of_pair = types.isin(pair.split("/")).to_numpy()
        assert separability(multiome[kind], types, of_pair) > 0.9
        assert abs(separability(multiome[blind], types, of_pair) - 0.5) < 0.1  # chance
    other = types.isin(["type5", "type6"]).to_numpy()
    assert min(separability(study, types, other) for study in multiome.values()) > 0.95


def test_subgroups_take_both_modalities_to_part(separability) -> None:
    study = simulate(n_cells=1500, n_types=2, subgroups=3, n_genes=800, n_peaks=4000, seed=2)
    groups = study["rna"].obs["subgroup"]
    assert list(groups.cat.categories) == ["type1", "type2.1", "type2.2", "type2.3"]
    assert (study["rna"].obs["cell_type"] == groups.str.split(".").str[0]).all()
    for a, b, seen_by, blind in (("1", "2", "rna", "atac"), ("2", "3", "atac", "rna")):
        these = groups.isin([f"type2.{a}", f"type2.{b}"]).to_numpy()
        assert separability(study[seen_by], groups, these) > 0.8
        assert abs(separability(study[blind], groups, these) - 0.5) < 0.1


def test_rare_types_have_their_size_and_their_batches() -> None:
    rare = {"ionocyte": (9, 2), "other": [4, ["batch5"]], "third": 3}
    for pairing in ("paired", "partial", "unpaired"):
        study = simulate(n_cells=300, n_batches=6, rare_types=rare, pairing=pairing, **SMALL)
        for modality in study.values():
            table = pd.crosstab(modality.obs["cell_type"], modality.obs["batch"])
            assert table.sum(axis=1)[["ionocyte", "other", "third"]].tolist() == [9, 4, 3]
            assert table.loc["ionocyte"].to_numpy().nonzero()[0].tolist() == [0, 1]
            assert table.loc["other", "batch5"] == 4
            assert table.to_numpy().sum() == 300


@pytest.mark.parametrize("paired_fraction", [0.06, 0.94])  # six places for ten types, among the shared or the others
def test_many_rare_types_have_their_size_where_few_cells_are_shared_or_single(paired_fraction) -> None:
    rare = {f"rare{i}": 9 for i in range(10)}
    study = simulate(n_cells=100, pairing="partial", paired_fraction=paired_fraction, rare_types=rare, **SMALL)
    for modality in study.values():
        assert modality.obs["paired"].sum() == round(100 * paired_fraction)
        assert modality.obs["cell_type"].value_counts()[list(rare)].tolist() == [9] * 10


def test_quota_adds_up_and_follows_the_weights(rng) -> None:
    for total in (0, 1, 7, 1000):
        weights = rng.random(5)
        numbers = quota(total, weights)
        assert numbers.sum() == total
        assert np.abs(numbers - total * weights / weights.sum()).max() < 1
    assert quota(10, np.array([1.0, 0.0]))[1] == 0


def depth_ratio(study: ad.AnnData) -> float:
    """Median depth of the last batch over that of the first."""
    depth = pd.Series(np.asarray(study.X.sum(axis=1)).ravel())
    median = depth.groupby(study.obs["batch"].to_numpy()).median()
    return median.iloc[-1] / median.iloc[0]


def composition_gap(study: ad.AnnData) -> float:
    """Total variation between the type shares of the two batches."""
    shares = pd.crosstab(study.obs["cell_type"], study.obs["batch"], normalize="columns")
    return 0.5 * (shares["batch1"] - shares["batch2"]).abs().sum()


@pytest.mark.parametrize("confounding", ["none", "depth", "composition", "both"])
def test_confounding_is_there_when_asked_for(confounding) -> None:
    study = simulate(n_cells=800, confounding=confounding, seed=1, **SMALL)
    has_depth, has_composition = (confounding in (word, "both") for word in ("depth", "composition"))
    for modality in study.values():
        ratio = depth_ratio(modality)
        assert 3.2 < ratio < 5 if has_depth else 0.7 < ratio < 1.4
        assert composition_gap(modality) > 0.25 if has_composition else composition_gap(modality) < 0.02
    missing = study["rna"].uns["simulation"]["missing"]
    assert bool(missing) == has_composition
    if missing:
        table = pd.crosstab(study["rna"].obs["cell_type"], study["rna"].obs["batch"])
        assert table.loc[missing["cell_type"], missing["batch"]] == 0
        assert table.loc[missing["cell_type"]].sum() > 0


def test_batches_differ_as_strongly_as_asked(separability) -> None:
    found = {}
    for strength in (0.0, 1.0):
        study = simulate(n_cells=800, batch_strength=strength, seed=4, **SMALL)
        found[strength] = [separability(s, s.obs["batch"]) for s in study.values()]
    assert np.abs(np.array(found[0.0]) - 0.5).max() < 0.1
    assert min(found[1.0]) > 0.7


def test_many_batches_few_cells() -> None:
    study = simulate(n_cells=300, n_batches=147, confounding="both", modalities="rna", **SMALL)["rna"]
    assert study.obs["batch"].nunique() == 147
    assert (study.X.sum(axis=1) > 0).all()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"n_types": 1}, "n_types"),
        ({"n_cells": 0}, "n_cells"),
        ({"n_cells": 10.5}, "n_cells"),
        ({"n_cells": True}, "n_cells"),
        ({"n_genes": "many"}, "n_genes"),
        ({"seed": -1}, "seed"),
        ({"n_peaks": 2_000_000}, "n_peaks"),
        ({"modalities": ("rna", "protein")}, "modalities"),
        ({"modalities": ()}, "modalities"),
        ({"modalities": ("rna", "rna")}, "modalities"),
        ({"confounding": "type"}, "confounding"),
        ({"confounding": "depth", "n_batches": 1}, "n_batches"),
        ({"pairing": "pairs"}, "pairing"),
        ({"paired_fraction": 1.2}, "paired_fraction"),
        ({"paired_fraction": float("nan")}, "paired_fraction"),
        ({"rna_only_pairs": 2, "atac_only_pairs": 2}, "rna_only_pairs"),
        ({"rna_only_pairs": 1, "lineage": True}, "lineage"),
        ({"subgroups": 1}, "subgroups"),
        ({"subgroups": 3, "lineage": True}, "subgroups"),
        ({"lineage": "circle"}, "lineage"),
        ({"lineage": "branching", "n_types": 2}, "n_types"),
        ({"rare_types": {"rare": 2000}}, "rare"),
        ({"rare_types": {"rare": (5, ["batch9"])}}, "batch9"),
        ({"rare_types": {"rare": (5, [])}}, "batches"),
        ({"rare_types": {"type1": 5}}, "type1"),
        ({"rare_types": {"rare": 0}}, "rare"),
        ({"rare_types": ["rare"]}, "rare_types"),
        ({"n_links": 10**6}, "n_links"),
        ({"negative_links": -0.1}, "negative_links"),
        ({"rna_depth": 0}, "rna_depth"),
        ({"chunk_size": 0}, "chunk_size"),
        ({"file": "study.h5ad"}, "folder"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(settings, word) -> None:
    with pytest.raises(InputError) as caught:
        simulate(**{**SMALL, "n_cells": 100, **settings})
    assert word in str(caught.value)
    assert caught.value.expected
    assert caught.value.found
    assert caught.value.remedy

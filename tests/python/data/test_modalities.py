from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.data import from_anndata, from_modalities, pair_cells
from isthmus.data.modalities import by_modality


def table(rng, cells, prefix="g", n_features=4):
    x = rng.poisson(1.0, (len(cells), n_features)) + 1
    out = ad.AnnData(sp.csr_matrix(x.astype(np.float32)), obs=pd.DataFrame(index=pd.Index(cells, dtype=object)))
    out.var_names = [f"{prefix}{i}" for i in range(n_features)]
    out.obs["batch"] = ["a", "b"] * (len(cells) // 2) + ["a"] * (len(cells) % 2)
    return out


@pytest.fixture
def data(rng):
    cells = [f"cell{i}" for i in range(6)]
    return {"rna": table(rng, cells), "atac": table(rng, cells[::-1], "p", 9)}


def named(rng, **cells):
    return from_modalities({name: table(rng, names) for name, names in cells.items()})


def test_each_study_is_that_of_its_anndata(data):
    studies = from_modalities(data, "batch")
    assert list(studies) == ["rna", "atac"]
    for name, study in studies.items():
        alone = from_anndata(data[name], "batch")
        assert np.array_equal(study.x.toarray(), alone.x.toarray())
        assert study.cells.equals(alone.cells)
        assert study.features.equals(alone.features)
        assert study.batch.tolist() == alone.batch.tolist()
        assert np.shares_memory(study.x.data, data[name].X.data)


def test_words_by_modality(data):
    data["atac"].obs["donor"] = list("xxyyzz")
    data["atac"].layers["scores"] = data["atac"].X.toarray() - 2.5
    studies = from_modalities(
        data, {"rna": "batch", "atac": "donor"}, layer={"atac": "scores"}, values={"atac": "values"}
    )
    assert studies["rna"].batches.names == ("a", "b")
    assert studies["atac"].batches.names == ("x", "y", "z")
    assert [study.values for study in studies.values()] == ["counts", "values"]
    np.testing.assert_array_equal(studies["atac"].x.toarray(), data["atac"].layers["scores"])
    assert from_modalities(data, {"atac": "donor"})["rna"].batches.names == ("all",)


def test_one_word_is_of_all_and_what_a_mapping_leaves_out_is_none():
    assert by_modality("x", ["a", "b"], "layer") == {"a": "x", "b": "x"}
    assert by_modality(None, ["a", "b"], "layer") == {"a": None, "b": None}
    assert by_modality({"b": "x"}, ["a", "b"], "layer") == {"a": None, "b": "x"}


@pytest.mark.filterwarnings("ignore")
def test_a_mudata_is_taken(data):
    mudata = pytest.importorskip("mudata")
    mine = from_modalities(mudata.MuData(data), "batch")
    assert list(mine) == ["rna", "atac"]
    for name, study in from_modalities(data, "batch").items():
        assert np.array_equal(mine[name].x.toarray(), study.x.toarray())


@pytest.mark.parametrize(
    ("pick", "found", "expected"),
    [
        (lambda data: data["rna"], "class AnnData", "a mapping from the names of modalities to AnnData, or a MuData"),
        (lambda data: list(data.values()), "class list", "a mapping from the names"),
        (lambda data: {"rna": data["rna"]}, "only 'rna'", "at least two modalities"),
        (lambda data: {}, "none", "at least two modalities"),
        (lambda data: {"rna": data["rna"], " ": data["atac"]}, "' '", "a name for every modality"),
        (lambda data: {"rna": data["rna"], 2: data["atac"]}, "2", "a name for every modality"),
        (lambda data: {**data, "x": data["rna"].X}, "modality 'x': a csr_matrix", "an AnnData"),
    ],
)
def test_no_modalities(data, pick, found, expected, refused):
    with refused(found, expected):
        from_modalities(pick(data))


def test_what_is_wrong_with_a_modality_is_told_with_its_name(data, refused):
    with refused("modality 'rna': no column 'lane'; there are 'batch'", "a column of obs", "name one of these"):
        from_modalities(data, "lane")
    with refused("modality 'atac': no layers", "a layer 'raw'"):
        from_modalities(data, layer={"atac": "raw"})
    data["atac"].X = data["atac"].X * 0.5
    with refused("modality 'atac': 0.5 in X", "raw counts"):
        from_modalities(data)
    with refused("modality 'atac': 'scores'", "values to be 'counts' or 'lognorm' or 'values'"):
        from_modalities(data, values={"atac": "scores"})


@pytest.mark.parametrize("what", ["batch_key", "layer", "values"])
def test_words_of_a_modality_that_is_not_there(data, refused, what):
    with refused("'protein'", f"{what} by the names of the modalities, 'rna', 'atac'", "use the names"):
        from_modalities(data, **{what: {"protein": "x"}})


def test_cells_of_one_name_are_one_cell(rng):
    studies = named(rng, rna=["a", "b", "c", "d"], atac=["d", "x", "b", "a"], protein=["x", "a"])
    pairs = pair_cells(studies)
    assert pairs.dtype == np.int64
    assert pairs.tolist() == [[0, 3, 1], [1, 2, -1], [2, -1, -1], [3, 0, -1], [-1, 1, 0]]
    assert pair_cells({name: studies[name] for name in ("rna", "atac")}).tolist() == [
        [0, 3], [1, 2], [2, -1], [3, 0], [-1, 1]
    ]  # fmt: skip


def test_pairs_are_those_of_a_slow_search_in_any_order(rng):
    cells = {k: rng.permutation(80)[: rng.integers(50, 80)].astype(str) for k in ("rna", "atac", "protein")}
    studies = named(rng, **cells)
    pairs = pair_cells(studies)
    everyone = list(dict.fromkeys(name for names in cells.values() for name in names))
    assert pairs.tolist() == [[list(k).index(c) if c in k else -1 for k in cells.values()] for c in everyone]
    shuffled = {k: study.subset(rng.permutation(study.n_cells)) for k, study in studies.items()}

    def by_name(studies, pairs):
        rows = [
            [study.cells[i] if i >= 0 else "" for i, study in zip(row, studies.values(), strict=True)] for row in pairs
        ]
        return sorted(map(tuple, rows))

    assert by_name(shuffled, pair_cells(shuffled)) == by_name(studies, pairs)


BARCODES = ["AAACGT", "CCGTAA", "GGTTAC", "TTGACA"]


@pytest.mark.parametrize(
    ("first", "second", "example", "extra"),
    [
        ("{}-1", "{}", "'AAACGT-1' and 'AAACGT'", "without '-1'"),
        ("{}_rna", "{}_atac", "'AAACGT_rna' and 'AAACGT_atac'", "without '_rna' and '_atac'"),
        ("rna:{}-1", "atac:{}-2", "'rna:AAACGT-1' and 'atac:AAACGT-2'", "without 'rna:' and '-1' and 'atac:'"),
        ("{}-1", "atac#{}-1", "'AAACGT-1' and 'atac#AAACGT-1'", "without 'atac#'"),
    ],
)
def test_names_that_half_match_are_refused(rng, refused, first, second, example, extra):
    studies = named(rng, rna=[first.format(b) for b in BARCODES], atac=[second.format(b) for b in BARCODES])
    with refused(f"but 4 that differ in a prefix or suffix, such as {example}", "the same name in 'rna'", extra):
        pair_cells(studies)


def test_names_that_pair_nothing_are_refused(rng, refused):
    with refused("no name in common, for example 'a1' in 'rna' and 'b1' in 'atac'", "same name in two modalities"):
        pair_cells(named(rng, rna=["a1", "a2"], atac=["b1", "b2"]))


def test_a_stripped_name_that_stands_for_many_cells_is_no_match(rng, refused):
    with refused("no name in common, for example"):
        pair_cells(named(rng, rna=["cell_x1", "cell_x2", "cell_x3"], atac=["cell_y1", "cell_y2", "cell_y3"]))


def test_few_pairs_are_told(rng):
    few = named(rng, rna=list("abcdef"), atac=list("efghijk"))
    with pytest.warns(UserWarning, match=r"Only 2 cells .* 'rna' \(6 cells\) and 'atac' \(7 cells\)"):
        assert (pair_cells(few) >= 0).all(axis=1).sum() == 2
    lonely = named(rng, rna=list("abcd"), atac=list("dcba"), protein=list("xyz"))
    with pytest.warns(UserWarning, match="No cell of 'protein'"):
        assert len(pair_cells(lonely)) == 7
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pair_cells(named(rng, rna=list("abcd"), atac=list("cdefgh")))
        mosaic = named(rng, rna=list("abcd"), atac=list("cdef"), protein=list("efgh"))  # rna and protein share none
        assert len(pair_cells(mosaic)) == 8


def test_really_paired_cells(shared_data):
    data = {k: ad.read_h5ad(shared_data(f"pairedtag_brain_{f}.h5ad")) for k, f in (("rna", "rna"), ("k27", "h3k27ac"))}
    with pytest.warns(UserWarning, match="Only 327 cells"):
        pairs = pair_cells(from_modalities(data))
    assert len(pairs) == 4000 - 327
    both = pairs[(pairs >= 0).all(axis=1)]
    assert (data["rna"].obs_names[both[:, 0]] == data["k27"].obs_names[both[:, 1]]).all()

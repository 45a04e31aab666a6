from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

from isthmus.data import Categories, from_anndata
from isthmus.data.study import as_csr, relative_counts, warn_single_batch


@pytest.fixture
def adata(rng):
    x = rng.poisson(1.0, (12, 5)) + np.eye(12, 5, dtype=int)
    x[:, 0] += 1
    obs = pd.DataFrame({"batch": ["b", "a", "b"] * 4}, index=[f"cell{i}" for i in range(12)])
    return ad.AnnData(sp.csr_matrix(x.astype(np.float32)), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(5)]))


def with_value(adata, value):
    """The same study with one entry replaced: feature g2 of cell7."""
    dense = adata.X.toarray().astype(float)
    dense[7, 2] = value
    return ad.AnnData(sp.csr_matrix(dense), obs=adata.obs, var=adata.var)


def test_a_study_holds_what_the_anndata_holds(adata):
    study = from_anndata(adata, "batch")
    assert (study.n_cells, study.n_features) == (12, 5)
    assert np.array_equal(study.x.toarray(), adata.X.toarray())
    assert study.batches.names == ("a", "b")
    assert study.batch.tolist() == [1, 0, 1] * 4
    assert list(study.cells) == list(adata.obs_names)
    assert list(study.features) == list(adata.var_names)


def test_a_csr_matrix_is_not_copied(adata):
    assert np.shares_memory(from_anndata(adata, "batch").x.data, adata.X.data)


def test_known_batches_keep_their_codes(adata):
    study = from_anndata(adata, "batch", batches=Categories(("x", "b", "a")))
    assert study.batch.tolist() == [1, 2, 1] * 4


def test_without_a_column_all_cells_are_one_batch(adata):
    study = from_anndata(adata)
    assert study.batches.names == ("all",)
    assert set(study.batch) == {0}


def test_a_subset_is_the_study_of_its_cells(adata):
    rows = np.array([5, 1, 9])
    part, other = from_anndata(adata, "batch").subset(rows), from_anndata(adata[rows].copy(), "batch")
    assert np.array_equal(part.x.toarray(), other.x.toarray())
    assert list(part.cells) == list(other.cells)
    assert part.batch.tolist() == other.batch.tolist() == [1, 0, 1]


def test_a_layer_is_taken_by_name(adata):
    adata.layers["counts"] = adata.X * 2
    study = from_anndata(adata, "batch", layer="counts")
    assert np.array_equal(study.x.toarray(), 2 * adata.X.toarray())


FORMATS = {
    "csc": sp.csc_matrix,
    "coo": sp.coo_matrix,
    "csr_array": sp.csr_array,
    "dense": lambda x: x.toarray(),
    "whole": lambda x: x.astype(np.int64),
    "byte": lambda x: x.toarray().astype(np.uint8),
    "float64": lambda x: x.astype(np.float64),
}


@pytest.mark.parametrize("convert", FORMATS.values(), ids=FORMATS)
def test_every_kind_of_matrix_gives_the_same_study(adata, convert):
    assert np.array_equal(as_csr(convert(adata.X)).toarray(), adata.X.toarray())


def test_logical_values_are_counts(adata):
    logical = ad.AnnData((adata.X > 0).astype(bool), obs=adata.obs, var=adata.var)
    assert from_anndata(logical, "batch").x.sum() == (adata.X > 0).sum()


def test_unsorted_split_and_stored_zero_entries_are_cleaned_in_a_copy():
    x = sp.csr_matrix((2, 4))
    x.data, x.indices, x.indptr = np.array([1.0, 2, 3, 0, 5]), np.array([3, 1, 3, 2, 0]), np.array([0, 4, 5])
    before = x.data.copy(), x.indices.copy()
    for array in (x.data, x.indices, x.indptr):
        array.flags.writeable = False
    out = as_csr(x)
    assert out.toarray().tolist() == [[0, 2, 0, 4], [5, 0, 0, 0]]
    assert out.nnz == 3
    assert out.has_sorted_indices
    assert np.array_equal(x.data, before[0])
    assert np.array_equal(x.indices, before[1])


def test_a_read_only_matrix_is_taken_as_it_is(adata):
    for array in (adata.X.data, adata.X.indices, adata.X.indptr):
        array.flags.writeable = False
    study = from_anndata(adata, "batch")
    assert np.shares_memory(study.x.data, adata.X.data)


def test_a_matrix_in_a_file_is_read(adata, tmp_path):
    adata.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    assert np.array_equal(from_anndata(backed, "batch").x.toarray(), adata.X.toarray())


def test_a_part_of_what_is_on_disk_is_refused_before_the_work(adata, tmp_path, refused):
    """Nothing can be written to it: the result of a long training would be lost."""
    adata.write_h5ad(tmp_path / "x.h5ad")
    part = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")[:10]
    with refused("a part of one that is on disk", "an AnnData that results can be written to", ".to_memory()"):
        from_anndata(part, "batch")
    assert from_anndata(part.to_memory(), "batch").n_cells == 10


def test_no_batch_column(adata, refused):
    adata.obs["donor"] = "d"
    with refused(
        "no column 'Batch'; there are 'batch', 'donor'", "a column of obs that names the batch", "name one of these"
    ):
        from_anndata(adata, "Batch")


def test_a_cell_without_batch(adata, refused):
    adata.obs.loc["cell3", "batch"] = None
    with refused("1 of 12 cells without one", "a batch for every cell in column 'batch'", "leave these cells out"):
        from_anndata(adata, "batch")


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        (np.nan, "nan in cell 'cell7'", "finite numbers"),
        (np.inf, "inf in cell 'cell7'", "finite numbers"),
        (-3, "-3", "non-negative counts"),
        (0.25, "0.25 in X, which looks normalised", "raw counts (whole numbers)"),
    ],
)
def test_values_that_are_no_counts(adata, refused, value, expected, found):
    with refused(found, expected):
        from_anndata(with_value(adata, value), "batch")


def test_normalised_data_given_as_counts_are_told_what_to_do(adata, refused):
    adata.layers["lognorm"] = np.log1p(adata.X.toarray())
    fraction = adata.layers["lognorm"][0, 0]
    with refused(f"{fraction:g} in layer 'lognorm', which looks normalised", "raw counts", "say values='lognorm'"):
        from_anndata(adata, "batch", layer="lognorm")


def test_log_normalised_values_are_accepted_where_said(adata):
    adata.X = adata.X.log1p()
    assert from_anndata(adata, "batch", values="lognorm").values == "lognorm"


def test_counts_given_as_logarithms_are_refused(adata, refused):
    adata.X = adata.X.sign()  # so small that their size tells nothing
    with refused("whole numbers alone in X", "natural logarithm", "values='counts'"):
        from_anndata(adata, "batch", values="lognorm")


@pytest.mark.parametrize("target", [None, 1e4, 1e6])
def test_logarithms_of_one_depth_are_counts_but_for_a_factor(adata, target):
    counts = adata.X.toarray()
    sc.pp.normalize_total(adata, target_sum=target)
    sc.pp.log1p(adata)
    study = relative_counts(from_anndata(adata, "batch", values="lognorm"))
    assert study.values == "counts"
    share = study.x.toarray() / study.x.sum(axis=1).A
    np.testing.assert_allclose(share, counts / counts.sum(axis=1, keepdims=True), rtol=1e-4)


def test_logarithms_of_several_depths_stay(adata):
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    study = from_anndata(adata[:, ::2].copy(), "batch", values="lognorm")
    assert relative_counts(study) is study


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        (np.nan, "nan in cell 'cell7'", "finite numbers"),
        (-0.5, "-0.5", "non-negative log-normalised values"),
        (900, "a value of 900", "natural logarithm"),
    ],
)
def test_values_that_are_no_logarithms(adata, refused, value, found, expected):
    with refused(found, expected):
        from_anndata(with_value(adata, value), "batch", values="lognorm")


def test_any_numbers_are_accepted_where_said(adata):
    adata.X = adata.X.toarray() - 3.5
    study = from_anndata(adata, "batch", values="values")
    assert study.values == "values"
    np.testing.assert_array_equal(study.x.toarray(), adata.X)


def test_what_the_values_are_is_never_guessed(adata, refused):
    with refused("'log'", "values to be 'counts' or 'lognorm'", "one of these words"):
        from_anndata(adata, "batch", values="log")


def test_duplicate_names(adata, refused):
    adata.obs_names = ["twin"] * 2 + [f"c{i}" for i in range(10)]
    with refused("1 names that stand more than once, such as 'twin'", "unique cell names", "obs_names_make_unique"):
        from_anndata(adata, "batch")
    adata.obs_names_make_unique()
    adata.var_names = ["g", "g", "h", "h", "i"]
    with refused("2 names that stand more than once, such as 'g'", "unique feature names", "make.unique"):
        from_anndata(adata, "batch")


@pytest.mark.parametrize("stored", [False, True], ids=["absent", "stored zeros"])
def test_empty_cells(adata, refused, stored):
    dense = adata.X.toarray()
    dense[[2, 6]] = 0
    x = sp.csr_matrix(dense)
    if stored:
        x = adata.X.copy()
        x.data[x.indptr[2] : x.indptr[3]] = 0
        x.data[x.indptr[6] : x.indptr[7]] = 0
    with refused(
        "2 of 12 cells without any, such as 'cell2'", "at least one count in every cell", "leave empty cells out"
    ):
        from_anndata(ad.AnnData(x, obs=adata.obs, var=adata.var), "batch")


@pytest.mark.parametrize(
    ("part", "found"),
    [((slice(0), slice(None)), "0 cells x 5 features"), ((slice(None), slice(0)), "12 cells x 0 features")],
)
def test_nothing_at_all(adata, refused, part, found):
    with refused(found, "cells and features", "not empty"):
        from_anndata(adata[part], "batch")


def test_no_such_layer_and_no_x(adata, refused):
    with refused("no layers", "a layer 'counts'", "None for X"):
        from_anndata(adata, "batch", layer="counts")
    adata.layers["raw"] = adata.X
    with refused("'raw'", "a layer 'counts'"):
        from_anndata(adata, "batch", layer="counts")
    adata.X = None
    with refused("an AnnData without X", "values in X", "there are 'raw'"):
        from_anndata(adata, "batch")


def test_something_else_than_an_anndata(refused):
    with refused("a DataFrame", "an AnnData", "AnnData(x)"):
        from_anndata(pd.DataFrame(np.ones((2, 2))))


def test_a_matrix_of_words(refused):
    with refused("entries of type object", "numbers in the matrix"):
        as_csr(np.array([["a", "b"]], dtype=object))


def test_a_single_batch_is_allowed_with_a_warning():
    with pytest.warns(UserWarning, match="column 'donor' holds one batch, 'd1'.*reference for projection"):
        warn_single_batch(Categories(("d1",)), "donor")
    with pytest.warns(UserWarning, match="no batch column was named"):
        warn_single_batch(Categories(("all",)), None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warn_single_batch(Categories(("a", "b")), "donor")

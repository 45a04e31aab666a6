"""Views of R's memory: the same bytes, read-only, alive as long as they are held."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import scipy.sparse as sp

from isthmus import InputError

pytest.importorskip("rpy2.rinterface", reason="needs rpy2 and R")
from isthmus.bridge import views


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.fixture
def matrix(bioconductor):
    return bioconductor("{ set.seed(2); Matrix::rsparsematrix(50, 40, 0.2) }")


def dense(matrix, ri) -> np.ndarray:
    """Slow oracle: R's own as.matrix, copied."""
    return np.array(ri.baseenv["as.matrix"](matrix))


def test_csr_view_has_the_values_and_addresses_of_r(matrix, ri) -> None:
    csr = views.csr_view(matrix)
    np.testing.assert_array_equal(csr.toarray(), dense(matrix, ri).T)
    for part, slot in ((csr.data, "x"), (csr.indices, "i"), (csr.indptr, "p")):
        assert address(part) == address(np.asarray(matrix.do_slot(slot)))


def test_views_cannot_be_written(matrix) -> None:
    csr = views.csr_view(matrix)
    for part in (csr.data, csr.indices, csr.indptr):
        with pytest.raises(ValueError, match="read-only"):
            part[:] = 0


def test_views_survive_garbage_collection_of_both_languages(bioconductor, ri) -> None:
    before = views.live()
    bioconductor("{ set.seed(3); left <- Matrix::rsparsematrix(300, 200, 0.3) }")
    csr = views.csr_view(bioconductor("left"))
    expected = csr.toarray()
    bioconductor("rm(left)")
    junk = []
    for _ in range(10):
        gc.collect()
        bioconductor("invisible(gc())")
        junk.append(bioconductor("numeric(18000)"))  # of the size of the matrix: would take its place
    np.testing.assert_array_equal(csr.toarray(), expected)
    assert views.live() == before + 3
    del csr
    gc.collect()
    assert views.live() == before


def test_dense_view_is_r_matrix_turned(r) -> None:
    matrix = r("matrix(c(1, 2, 3, 4, 5, 6), 2)")
    turned = views.dense_view(matrix)
    np.testing.assert_array_equal(turned, [[1, 2], [3, 4], [5, 6]])
    assert turned.flags.c_contiguous
    assert address(turned) == address(np.asarray(matrix))


def test_integer_na_becomes_nan_and_nothing_else_is_copied(r) -> None:
    with_na = views.dense_view(r("matrix(c(1L, NA, 3L, 4L), 2)"))
    np.testing.assert_array_equal(with_na, [[1, np.nan], [3, 4]])
    assert views.dense_view(r("matrix(1:4, 2)")).dtype == np.int32


@pytest.mark.parametrize("code", ["numeric(0)", "matrix(0, 0, 3)", "integer(0)"])
def test_empty_vectors_have_no_view_to_lose(r, code: str) -> None:
    before = views.live()
    assert views.view(r(code)).size == 0
    assert views.live() == before


def test_compact_vectors_of_r_are_read_too(r) -> None:
    np.testing.assert_array_equal(views.view(r("1:1000")), np.arange(1, 1001))


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csc_matrix, sp.coo_matrix, sp.csr_array])
def test_sparse_results_are_valid_dgcmatrices(make, rng, ri, bioconductor) -> None:
    values = rng.poisson(0.5, (7, 5)).astype(np.float32)
    out = views.sparse_out(make(values))
    assert list(out.rclass) == ["dgCMatrix"]
    assert ri.baseenv["getNamespace"](ri.StrSexpVector(["methods"]))["validObject"](out)[0]
    np.testing.assert_array_equal(dense(out, ri), values.T)


def test_unsorted_and_duplicate_entries_are_put_in_order(ri, bioconductor) -> None:
    messy = sp.csr_matrix((np.array([1.0, 2, 3, 4]), np.array([3, 0, 3, 1]), np.array([0, 3, 4])), shape=(2, 4))
    messy.has_canonical_format = False
    before = messy.indices.copy()
    out = views.sparse_out(messy)
    np.testing.assert_array_equal(dense(out, ri), [[2, 0], [0, 4], [0, 0], [4, 0]])
    np.testing.assert_array_equal(messy.indices, before)  # the caller's matrix is as it was


def test_more_non_zeros_than_r_can_count_are_refused(monkeypatch, refused) -> None:
    monkeypatch.setattr(views, "R_INT_MAX", 2)
    with refused(found="3 non-zeros", remedy="fewer features"):
        views.sparse_out(sp.csr_matrix(np.eye(3)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "int32", "int64", "bool"])
def test_dense_results_keep_shape_or_turn(dtype: str, rng) -> None:
    values = (rng.random((4, 3)) * 9).astype(dtype)
    np.testing.assert_array_equal(np.asarray(views.dense_out(values, assay=False)), values)
    np.testing.assert_array_equal(np.asarray(views.dense_out(values, assay=True)), values.T)


def test_a_missing_r_package_is_named(ri) -> None:
    with pytest.raises(InputError, match="BiocManager::install"):
        views.namespace("no.such.package")

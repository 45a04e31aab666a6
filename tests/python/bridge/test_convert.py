"""SingleCellExperiment and AnnData: what goes there comes back."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

pytest.importorskip("rpy2.rinterface", reason="needs rpy2 and R")
from isthmus import bridge
from isthmus.bridge import views


def same(r, code: str) -> bool:
    return bool(r(f"isTRUE({code})")[0])


def layers(adata: ad.AnnData) -> list[str]:
    """From anndata 0.13 on, X is shown among the layers, under the key None."""
    return [name for name in adata.layers if name is not None]


@pytest.fixture
def back(sce, ri):
    """The experiment after a journey, as the R variable ``back``."""
    ri.globalenv["back"] = bridge.to_r(bridge.to_anndata(sce))
    return ri.globalenv["back"]


def test_anndata_holds_everything_in_its_place(sce) -> None:
    adata = bridge.to_anndata(sce)
    assert adata.shape == (12, 30)
    assert layers(adata) == ["logcounts", "dense"]
    assert sp.issparse(adata.X)
    np.testing.assert_array_equal(adata.X.toarray(), adata.layers["dense"])
    np.testing.assert_allclose(adata.layers["logcounts"].toarray(), np.log1p(adata.layers["dense"]))
    assert adata.obs_names[0] == "cell1"
    assert adata.var_names[29] == "g_30"
    assert {name: str(kind) for name, kind in adata.obs.dtypes.items()} == {
        "logical": "boolean",
        "integer": "Int32",
        "double": "float64",
        "character": str(pd.Series(["a"]).dtype),
        "factor": "category",
        "ordered": "category",
        "date": "datetime64[s]",
        "time": "datetime64[ns, Europe/Berlin]",
    }
    assert adata.obsm["X_pca"].shape == (12, 2)
    assert adata.uns["altExps"]["ADT"].shape == (12, 3)
    assert adata.uns["note"] == "mine"


def test_assays_are_views_of_r(sce, r) -> None:
    adata = bridge.to_anndata(sce)
    original = np.asarray(r("assay(sce, 'counts')").do_slot("x"))
    assert adata.X.data.__array_interface__["data"][0] == original.__array_interface__["data"][0]
    with pytest.raises(ValueError, match="read-only"):
        adata.X.data[0] = 1


@pytest.mark.parametrize(
    "part",
    [
        "assayNames({})",
        "assay({}, 'counts')",
        "assay({}, 'logcounts')",
        "assay({}, 'dense')",
        "as.data.frame(colData({}))",
        "as.data.frame(rowData({}))",
        "reducedDims({})",
        "dimnames({})",
        "altExpNames({})",
        "assay(altExp({}), 'counts')",
        "metadata({})",
    ],
)
def test_round_trip_gives_the_same(back, r, part: str) -> None:
    assert same(r, f"identical({part.format('sce')}, {part.format('back')})"), part


def test_missing_names_stay_missing_and_duplicates_stay_duplicate(bioconductor, ri) -> None:
    bioconductor("bare <- SingleCellExperiment(list(counts = matrix(1:6, 3)))")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ri.globalenv["back"] = bridge.to_r(bridge.to_anndata(bioconductor("bare")))
        assert same(bioconductor, "is.null(colnames(back)) && is.null(rownames(back))")
        bioconductor(
            "twice <- SingleCellExperiment(list(counts = matrix(1:4, 2, dimnames = list(c('g', 'g'), c('a', 'a')))))"
        )
        ri.globalenv["back"] = bridge.to_r(bridge.to_anndata(bioconductor("twice")))
    assert same(bioconductor, "identical(assay(back), assay(twice))")


@pytest.mark.parametrize(
    ("code", "klass"),
    [
        ("as(m, 'RsparseMatrix')", "dgRMatrix"),
        ("as(m, 'TsparseMatrix')", "dgTMatrix"),
        ("m > 3", "lgCMatrix"),
        ("Matrix::crossprod(m)", "dsCMatrix"),
        ("as.matrix(m)", "matrix"),
        ("as(as.matrix(m), 'unpackedMatrix')", "dgeMatrix"),
        ("m[, 0]", "dgCMatrix"),
        ("m[0, ]", "dgCMatrix"),
        ("m[1, , drop = FALSE]", "dgCMatrix"),
        ("m[, 1, drop = FALSE]", "dgCMatrix"),
    ],
)
def test_every_kind_of_assay_is_read(bioconductor, ri, code: str, klass: str) -> None:
    bioconductor(f"{{ set.seed(4); m <- round(Matrix::rsparsematrix(9, 6, 0.5) * 9); kind <- {code} }}")
    assert bioconductor("class(kind)")[0] == klass
    adata = bridge.to_anndata(bioconductor("SingleCellExperiment(list(counts = kind))"))
    expected = np.array(bioconductor("as.matrix(kind) + 0")).T
    found = adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
    np.testing.assert_array_equal(found, expected)


def test_hdf5_assays_are_read(bioconductor) -> None:
    if not bioconductor("requireNamespace('HDF5Array', quietly = TRUE)")[0]:
        pytest.skip("needs the R package HDF5Array")
    bioconductor("m <- matrix(as.numeric(1:12), 4)")
    adata = bridge.to_anndata(bioconductor("SingleCellExperiment(list(c = HDF5Array::writeHDF5Array(m)))"))
    np.testing.assert_array_equal(adata.X, np.arange(1.0, 13).reshape(3, 4))


def test_main_chooses_x(sce, refused) -> None:
    adata = bridge.to_anndata(sce, main="logcounts")
    assert layers(adata) == ["counts", "dense"]
    with refused(found="'nothing'", expected="counts, logcounts, dense"):
        bridge.to_anndata(sce, main="nothing")


def test_altexps_follow_a_subset(sce, ri, r) -> None:
    adata = bridge.to_anndata(sce)[[3, 1]]
    ri.globalenv["back"] = bridge.to_r(adata)
    assert same(r, "identical(assay(altExp(back), 'counts'), assay(altExp(sce), 'counts')[, c(4, 2)])")


def test_an_altexp_that_lacks_cells_is_refused(sce, refused) -> None:
    adata = bridge.to_anndata(sce)
    adata.uns["altExps"]["ADT"] = adata.uns["altExps"]["ADT"][:5]
    with refused(found="7 cells", remedy="del adata.uns"):
        bridge.to_r(adata)


def test_anndata_of_python_gets_the_names_r_expects(bioconductor, ri, rng) -> None:
    adata = ad.AnnData(
        sp.random(20, 8, 0.4, format="csr", dtype=np.float32, random_state=1),
        obs=pd.DataFrame({"batch": pd.Categorical(["a", "b"] * 10)}, index=[f"c{i}" for i in range(20)]),
        obsm={"X_scalex": rng.random((20, 3)).astype(np.float32), "graph": sp.eye(20).tocsr()},
        uns={"plain": {"seed": 1, "names": ["a", "b"]}, "function": print},
    )
    with pytest.warns(UserWarning, match="function"):
        ri.globalenv["made"] = bridge.to_r(adata)
    assert list(bioconductor("reducedDimNames(made)")) == ["SCALEX", "graph"]
    assert list(bioconductor("assayNames(made)")) == ["X"]
    np.testing.assert_array_equal(np.array(bioconductor("as.matrix(assay(made))")), adata.X.toarray().T)
    np.testing.assert_array_equal(np.array(bioconductor("unname(reducedDim(made))")), adata.obsm["X_scalex"])
    assert same(bioconductor, "identical(metadata(made)$plain, list(seed = 1L, names = c('a', 'b')))")


def test_what_has_no_place_is_said(bioconductor) -> None:
    bioconductor("""{
        ranged <- SingleCellExperiment(list(counts = matrix(1, 2, 2)))
        metadata(ranged)$model <- SummarizedExperiment()
    }""")
    with pytest.warns(UserWarning, match="metadata 'model'"):
        bridge.to_anndata(bioconductor("ranged"))


@pytest.mark.parametrize("column", ["I(list(1, 2))", "complex(2)", "as.difftime(1:2, units = 'mins')"])
def test_columns_without_counterpart_are_refused(bioconductor, refused, column: str) -> None:
    bioconductor(f"odd <- SingleCellExperiment(list(c = matrix(1, 2, 2)), colData = DataFrame(x = {column}))")
    with refused(found="column 'x'", remedy="drop"):
        bridge.to_anndata(bioconductor("odd"))


@pytest.mark.parametrize("code", ["1:3", "NULL", "data.frame(a = 1)", "new.env()"])
def test_other_objects_are_refused(bioconductor, refused, code: str) -> None:
    with refused(found="an object of class", expected="SingleCellExperiment"):
        bridge.to_anndata(bioconductor(code))


def test_converter_serves_robjects_and_falls_through(sce, ri) -> None:
    pytest.importorskip("anndata2ri")
    import rpy2.robjects as ro

    with bridge.converter():
        adata = ro.globalenv["sce"]
        assert isinstance(adata, ad.AnnData)
        ro.globalenv["back"] = adata
        table = ro.r("data.frame(x = c(TRUE, NA))")
        assert str(table["x"].dtype) == "boolean"
        matrix = ro.r("m")
        assert matrix.shape == (30, 12)
        assert not matrix.data.flags.writeable
        assert isinstance(ro.r("matrix(c(1, 2), 1)"), np.ndarray)  # anndata2ri's rule
        assert ro.r("function(x) x + 1")(2)[0] == 3
    assert same(
        lambda code: ri.baseenv["eval"](ri.baseenv["parse"](text=ri.StrSexpVector([code]))),
        "identical(SummarizedExperiment::assay(back), SummarizedExperiment::assay(sce))",
    )


def test_nothing_is_held_once_the_anndata_is_gone(sce) -> None:
    import gc

    gc.collect()
    before = views.live()
    adata = bridge.to_anndata(sce)
    assert views.live() > before
    del adata
    gc.collect()
    assert views.live() == before

"""Files of h5ad as R sees them: what it writes can be read again, what somebody changed has its right name."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.bridge import exchange, verbs
from isthmus.bridge.study import Parts, assemble, take_apart

CELLS = [f"cell{i}" for i in range(4)]
FEATURES = ["g1", "g2", "g3"]
COUNTS = sp.csr_matrix(np.arange(12.0).reshape(4, 3))


def study(assays: dict | None = None, **columns: object) -> ad.AnnData:
    """A study as R sends it."""
    assays = assays or {"counts": COUNTS}
    obs = pd.DataFrame(columns, index=CELLS)
    return assemble(Parts(assays, next(iter(assays)), obs, pd.DataFrame(index=FEATURES)))


def names_and_sums(adata: ad.AnnData) -> dict[str, float]:
    return {name: float(matrix.sum()) for name, matrix in take_apart(adata).assays.items()}


def written(adata: ad.AnnData, tmp_path) -> ad.AnnData:
    path = str(tmp_path / "study.h5ad")
    verbs.write(adata, path=path)
    return verbs.read(path=path)["study"]


# ---- names of matrices ----------------------------------------------------------------------------------


def test_a_layer_takes_the_name_of_the_matrix_and_not_its_place(tmp_path):
    adata = written(study(), tmp_path)
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X.log1p()
    parts = take_apart(written(adata, tmp_path))
    assert parts.main == "X"
    np.testing.assert_allclose(parts.assays["counts"].toarray(), COUNTS.toarray())
    np.testing.assert_allclose(parts.assays["X"].toarray(), np.log1p(COUNTS.toarray()))


def test_values_that_are_no_counts_are_not_called_so():
    adata = study()
    adata.X = adata.X.log1p()
    with pytest.warns(UserWarning, match="'counts' does not hold whole numbers"):
        assert names_and_sums(adata) == {"X": pytest.approx(np.log1p(COUNTS.toarray()).sum())}


@pytest.mark.parametrize(
    "counts", [COUNTS, COUNTS.toarray(), COUNTS.astype(np.int32), np.where(COUNTS.toarray() > 9, np.nan, 2.0)]
)
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_counts_keep_their_name_also_where_some_are_missing(counts):
    assert take_apart(study({"counts": counts, "X": COUNTS})).main == "counts"


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_other_names_are_kept_whatever_the_values_are():
    assert list(take_apart(study({"logcounts": COUNTS.log1p()})).assays) == ["logcounts"]


def test_a_layer_x_leaves_the_matrix_another_name():
    adata = ad.AnnData(COUNTS, layers={"X": COUNTS * 2, "X-1": COUNTS * 3})
    with pytest.warns(UserWarning, match="The matrix X is assay 'X-2'"):
        assert names_and_sums(adata) == {"X-2": 66.0, "X": 132.0, "X-1": 198.0}


# ---- what is left out, and what is said -----------------------------------------------------------------


def test_a_sparse_matrix_as_wide_as_a_genome_is_left_out():
    adata = ad.AnnData(COUNTS)
    adata.obsm["fragment_paired"] = sp.csr_matrix((4, 3_000_000_000))
    adata.obsm["X_pca"] = np.zeros((4, 2))
    adata.obsm["sparse"] = sp.csr_matrix((4, 5))
    with pytest.warns(UserWarning, match="obsm 'fragment_paired', a sparse matrix of 3,000,000,000 columns"):
        assert list(take_apart(adata).reduced) == ["PCA", "sparse"]


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_r_hears_what_was_left_out_and_no_advice_on_python(tmp_path):
    adata = ad.AnnData(COUNTS, var=pd.DataFrame(index=["A", "A", "B"]))
    adata.obsm["fragments"] = sp.csr_matrix((4, 20_000))
    adata.write_h5ad(tmp_path / "study.h5ad")
    request = {"format": 1, "verb": "read", "params": {"path": str(tmp_path / "study.h5ad")}, "study": None}
    (tmp_path / "request.json").write_text(json.dumps(request))
    assert exchange.serve(tmp_path) == 0
    (told,) = json.loads((tmp_path / "result.json").read_text())["warnings"]
    assert "'fragments'" in told


# ---- what is written ------------------------------------------------------------------------------------


def test_dates_and_times_are_written_as_text(tmp_path):
    days = pd.Series(pd.to_datetime(["2024-02-29", None, "2024-03-01", "2024-03-01"]), CELLS)
    times = days.dt.tz_localize("UTC") + pd.Timedelta("1.5s")
    adata = study(day=days, time=times.dt.tz_convert("Europe/Berlin"), never=pd.Series(pd.NaT, CELLS))
    adata.uns["altExps"] = {"ADT": study(day=days)}
    back = written(adata, tmp_path)
    for obs in (back.obs, back.uns["altExps"]["ADT"].obs):
        assert obs["day"].astype(object).fillna("none").tolist() == ["2024-02-29", "none", "2024-03-01", "2024-03-01"]
    assert back.obs["time"].iloc[0] == "2024-02-29T01:00:01.500000+01:00"
    assert back.obs["time"].isna().tolist() == [False, True, False, False]
    assert back.obs["never"].isna().all()


def test_missing_text_stays_missing(tmp_path):
    columns = {
        "none": np.array([None] * 4, dtype=object),
        "some": np.array(["b", None, "a", "c"], dtype=object),
        "all": np.array(["b", "d", "a", "c"], dtype=object),
    }
    adata = study(**columns)
    adata.var["none"] = columns["none"][:3]
    adata.uns["altExps"] = {"ADT": study(**columns)}
    back = written(adata, tmp_path)
    assert back.var["none"].isna().all()
    for obs in (back.obs, back.uns["altExps"]["ADT"].obs):
        assert obs["none"].isna().all()
        assert obs["some"].astype(object).fillna("none").tolist() == ["b", "none", "a", "c"]
        assert obs["all"].tolist() == ["b", "d", "a", "c"]


def test_a_column_with_the_name_of_the_index_is_refused(tmp_path, refused):
    with refused("the column '_index' of the cell data"):
        verbs.write(study(_index=range(4)), path=str(tmp_path / "study.h5ad"))
    other = study()
    other.var["_index"] = 1
    adata = study()
    adata.uns["altExps"] = {"ADT": other}
    with refused("the column '_index' of the feature data"):
        verbs.write(adata, path=str(tmp_path / "study.h5ad"))
    assert list(tmp_path.iterdir()) == []


def test_names_with_a_slash_are_refused_before_anything_is_written(tmp_path, refused):
    reduced = study()
    reduced.obsm["UMAP/2"] = np.zeros((4, 2))
    other = study()
    other.uns["altExps"] = {"A/B": study()}
    cases = {
        "the assay 'log/norm'": study({"counts": COUNTS, "log/norm": COUNTS}),
        "the assay 'raw/all'": study({"raw/all": COUNTS}),
        "the reduced dimension 'UMAP/2'": reduced,
        "the alternative experiment 'A/B'": other,
        "the column of the cell data 'CD4/CD8'": study(**{"CD4/CD8": range(4)}),
    }
    for found, adata in cases.items():
        with refused(found, remedy="_"):
            verbs.write(adata, path=str(tmp_path / "study.h5ad"))
    assert list(tmp_path.iterdir()) == []

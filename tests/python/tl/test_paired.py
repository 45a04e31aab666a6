from __future__ import annotations

import warnings
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.tl._paired import paired_studies, write_paired


def table(rng, cells, prefix):
    out = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (len(cells), 5)) + 1.0), obs=pd.DataFrame(index=cells))
    out.var_names = [f"{prefix}{i}" for i in range(5)]
    out.obs["batch"] = [f"b{int(cell[1:]) % 2}" for cell in cells]
    return out


@pytest.fixture
def data(rng):
    """Six cells in both, in another order; c6 has RNA only, c7 and c8 have ATAC only."""
    both = [f"c{i}" for i in range(6)]
    return {"rna": table(rng, [*both, "c6"], "g"), "atac": table(rng, ["c7", *both[::-1], "c8"], "p")}


@pytest.fixture
def paired(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return paired_studies(data, batch_key="batch")


class Writer:
    def write_embedding(self, adata, z, key, **facts):
        adata.obsm[f"X_{key}"] = z
        adata.uns[key] = facts


def test_cells_of_one_name_are_one_cell(paired):
    assert list(paired.cells) == ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"]
    for modality, column in (("rna", 0), ("atac", 1)):
        there = paired.rows[:, column] >= 0
        assert (paired.studies[modality].cells[paired.rows[there, column]] == paired.cells[there]).all()
        assert np.array_equal(paired.has(modality), there)
    assert paired.both.tolist() == [True] * 6 + [False] * 3
    codes = np.array([int(name[1:]) % 2 for name in paired.cells])
    assert np.array_equal(paired.of("atac", codes), paired.studies["atac"].batch)


def test_cells_that_lack_a_modality_are_named(data):
    with pytest.warns(UserWarning, match="were not measured") as told:
        paired_studies(data)
    text = [str(warning.message) for warning in told]
    assert any("2 of 9 cells were not measured in 'rna': 'c7', 'c8'" in line for line in text)
    assert any("1 of 9 cells were not measured in 'atac': 'c6'" in line for line in text)


def test_other_names_and_further_modalities(data, rng):
    measured = data["rna"].obs_names[:6]
    renamed = {"gex": data["rna"], "peaks": data["atac"][measured], "protein": table(rng, ["c99"], "q")}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="1 of 7 cells")
        paired = paired_studies(renamed, rna="gex", atac="peaks", batch_key={"peaks": "batch"})
    assert paired.names == {"rna": "gex", "atac": "peaks"}
    assert [study.features[0] for study in paired.studies.values()] == ["g0", "p0"]
    assert [len(study.batches) for study in paired.studies.values()] == [1, 2]


def test_batches_of_both_have_one_code(data):
    data["atac"].obs.loc["c7", "batch"] = "a new one"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paired = paired_studies(data, batch_key="batch")
    rna, atac = paired.studies["rna"], paired.studies["atac"]
    assert rna.batches == atac.batches
    both = paired.rows[paired.both]
    assert np.array_equal(rna.batch[both[:, 0]], atac.batch[both[:, 1]])


def test_an_embedding_goes_to_its_cells(data, paired):
    z = np.arange(18, dtype=np.float32).reshape(9, 2)
    write_paired(Writer(), data, paired, z, "fit", hybrid=True)
    for adata in data.values():
        expected = z[paired.cells.get_indexer(adata.obs_names)]
        np.testing.assert_array_equal(adata.obsm["X_fit"], expected)
        assert adata.uns["fit"] == {"hybrid": True}


def test_a_mudata_gets_it_too(data, paired):
    mudata = pytest.importorskip("mudata")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata = mudata.MuData({**data, "other": table(np.random.default_rng(0), ["c99"], "q")})
        again = paired_studies(mdata, batch_key="batch")
    assert np.array_equal(again.rows, paired.rows)
    z = np.arange(18, dtype=np.float32).reshape(9, 2)
    write_paired(Writer(), mdata, paired, z, "fit")
    got = pd.DataFrame(mdata.obsm["X_fit"], index=mdata.obs_names)
    np.testing.assert_array_equal(got.loc[paired.cells], z)
    assert got.loc["c99"].isna().all()


def test_refusals(data, rng, refused):
    with refused("class int", "a MuData"):
        paired_studies(3)
    with refused("'rna', 'atac'", "a modality 'peaks' with ATAC", "atac="):
        paired_studies(data, atac="peaks")
    with refused("'rna' for both", "two modalities"):
        paired_studies(data, atac="rna")
    with refused("no name in common", "cells of the same name"):
        paired_studies({"rna": data["rna"], "atac": table(rng, ["y1", "z2"], "p")})
    with refused("no column 'donor'"):
        paired_studies(data, batch_key="donor")
    with refused("'protein'", "batch_key by the names"):
        paired_studies(data, batch_key={"protein": "batch"})


def test_a_cell_is_of_one_batch(data, refused):
    data["atac"].obs.loc["c2", "batch"] = "b1"
    with refused("such as 'c2' of 'b0' and 'b1'", "same batch"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paired_studies(data, batch_key="batch")


def test_something_with_modalities_is_enough(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(paired_studies(SimpleNamespace(mod=data)).cells) == 9

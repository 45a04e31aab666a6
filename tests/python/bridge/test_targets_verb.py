"""Verbs for targets of transcription factors: what Python's functions give, from what another language sends."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.bridge.verbs import VERBS
from isthmus.genomics import tf_rankings, tf_targets

TFS = ["GATA1", "SPI1", "CTCF"]


@pytest.fixture
def motifs(rng) -> pd.DataFrame:
    names = [f"chr1:{1000 * i}-{1000 * i + 500 + i % 3}" for i in range(300)]
    return pd.DataFrame((rng.random((300, 3)) < [0.1, 0.3, 0.5]).astype(float), index=names, columns=TFS)


@pytest.fixture
def links(rng, motifs) -> pd.DataFrame:
    genes = [f"g{i}" for i in rng.integers(0, 12, 80)]
    return pd.DataFrame({"peak": rng.choice(motifs.index, 80), "gene": genes})


def study(motifs: pd.DataFrame, var: pd.DataFrame | None = None) -> dict[str, ad.AnnData]:
    """As R's matrix of peaks x TFs arrives: turned, and read-only."""
    x = sp.csr_matrix(motifs.to_numpy().T)
    for part in (x.data, x.indices, x.indptr):
        part.flags.writeable = False
    var = pd.DataFrame(index=motifs.index) if var is None else var
    return {"motifs": ad.AnnData(x, obs=pd.DataFrame(index=motifs.columns), var=var)}


def targets(*args, **settings) -> pd.DataFrame:
    return VERBS["tf_targets"](*args, **settings)["targets"]


def test_a_turned_matrix_gives_what_the_function_gives(links, motifs):
    expected = tf_targets(links, motifs, n_draws=200, seed=3)
    pd.testing.assert_frame_equal(targets(study(motifs), links=links, n_draws=200, seed=3, match=[]), expected)
    pd.testing.assert_frame_equal(targets(study(motifs), links=links), tf_targets(links, motifs))


def test_the_table_of_the_rows_tells_what_peaks_are_alike_in(rng, links, motifs):
    table = pd.DataFrame({"gc": rng.random(300)}, index=motifs.index)
    expected = tf_targets(links, motifs, table, match=["gc"])
    assert not expected.equals(tf_targets(links, motifs))
    pd.testing.assert_frame_equal(targets(study(motifs, table), links=links, match=["gc"]), expected)
    pd.testing.assert_frame_equal(targets(study(motifs), links=links, peaks=table, match=["gc"]), expected)


def test_motifs_may_be_a_table(links, motifs):
    peak, tf = np.nonzero(motifs.to_numpy())
    long = pd.DataFrame({"peak": motifs.index[peak], "tf": motifs.columns[tf]})
    among = pd.DataFrame(index=motifs.index)
    expected = tf_targets(links, long, among, n_draws=50)
    pd.testing.assert_frame_equal(targets({}, links=links, motifs=long, peaks=among, n_draws=50), expected)


def test_rankings_are_those_of_the_function(links, motifs):
    table = tf_targets(links, motifs)
    genes = ["none", *sorted(links["gene"].unique())]
    out = VERBS["tf_rankings"]({}, table=table[["tf", "gene", "rank"]], genes=pd.DataFrame({"gene": genes}))
    expected = tf_rankings(table, genes)
    np.testing.assert_array_equal(out["ranks"], expected)
    assert out["tfs"] == list(expected.columns)
    some = VERBS["tf_rankings"](
        {}, table=table[table["tf"] == "CTCF"], genes=pd.DataFrame({"gene": genes}), tfs=["CTCF"]
    )
    assert some["ranks"].shape == (len(genes), 1)


def test_what_cannot_be_asked_is_refused(refused, links, motifs):
    with refused("none", "at least one link"):
        targets(study(motifs), links=links[:0])
    with refused("no columns", "a column 'gc'"):
        targets(study(motifs), links=links, match=["gc"])
    with refused("1 others", "every gene"):
        table = pd.DataFrame({"tf": "A", "gene": ["b"], "rank": 1.0})
        VERBS["tf_rankings"]({}, table=table, genes=pd.DataFrame({"gene": ["a"]}))

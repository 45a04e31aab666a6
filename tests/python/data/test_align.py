from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from isthmus.data.align import Alignment, Coverage


def by_hand(x: pd.DataFrame, reference: list[str]) -> np.ndarray:
    return x.reindex(columns=reference, fill_value=0.0).to_numpy()


@pytest.mark.parametrize(
    "query",
    [list("abcd"), list("dbca"), list("xdyb"), list("cxyzwabd")],
    ids=["same", "permuted", "missing", "additional"],
)
def test_columns_are_those_of_the_reference(rng, query):
    reference = list("abcd")
    dense = rng.poisson(1.0, (7, len(query))).astype(float)
    alignment = Alignment.of(pd.Index(query), pd.Index(reference))
    taken = alignment.take(sp.csr_matrix(dense))
    assert np.array_equal(taken.toarray(), by_hand(pd.DataFrame(dense, columns=query), reference))
    assert taken.has_sorted_indices
    assert alignment.found.tolist() == [name in query for name in reference]


def test_the_same_features_cost_no_copy(rng):
    x = sp.csr_matrix(rng.poisson(1.0, (5, 4)))
    same = Alignment.of(pd.Index(list("abcd")), pd.Index(list("abcd")))
    assert same.complete
    assert same.take(x) is x


def test_coverage_counts_and_weighs():
    names = pd.Index(list("abcd"))
    coverage = Coverage.of(Alignment.of(pd.Index(["d", "a", "x"]), names), names, np.array([1.0, 2.0, 3.0, 4.0]))
    assert coverage.as_dict() == {"n_reference": 4, "n_found": 2, "share": 0.5, "weighted": 0.5}
    assert coverage.missing == ("b", "c")
    coverage.demand(0.5)


def test_low_coverage_is_refused_with_the_numbers(refused):
    names = pd.Index([f"gene{i}" for i in range(40)])
    coverage = Coverage.of(Alignment.of(names[:6], names), names, np.ones(40))
    with refused("6 (15.0%); missing are 'gene6'", "at least 20% of the model's 40 features", "min_coverage"):
        coverage.demand(0.2)


def test_no_shared_feature_is_refused_even_where_nothing_is_demanded(refused):
    names = pd.Index(list("abcd"))
    coverage = Coverage.of(Alignment.of(pd.Index(["x"]), names), names, np.ones(4))
    with refused("0 (0.0%)", "the model's 4 features", "feature names are of the same kind"):
        coverage.demand(0.0)

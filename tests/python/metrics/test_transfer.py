from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.metrics import f1_score

from isthmus import InputError
from isthmus.metrics import label_transfer_scores
from isthmus.report._cells import query_cells


def test_a_case_counted_by_hand():
    truth = ["T", "T", "T", "B", "B", "NK"]
    predicted = ["T", "T", "B", "B", "unknown", "unknown"]
    scores = label_transfer_scores(predicted, truth)
    assert scores.accuracy == pytest.approx(3 / 6)
    assert scores.unknown == pytest.approx(2 / 6)
    assert scores.accuracy_known == pytest.approx(3 / 4)
    assert scores.macro_f1 == pytest.approx((2 * 2 / (2 + 3) + 2 * 1 / (2 + 2) + 0) / 3)
    assert (scores.cells, scores.unlabelled) == (6, 0)


def test_the_same_f1_as_scikit_learn(rng):
    truth = rng.choice(["a", "b", "c"], size=200)
    predicted = np.where(rng.random(200) < 0.6, truth, rng.choice(["a", "b", "c", "elsewhere"], size=200))
    scores = label_transfer_scores(predicted, truth)
    assert scores.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert scores.accuracy == pytest.approx((truth == predicted).mean())
    assert scores.unknown == 0
    assert scores.accuracy_known == scores.accuracy


def test_cells_without_truth_are_left_out_and_counted():
    truth = pd.Series(pd.Categorical(["T", None, "B", np.nan], categories=["B", "T", "never"]))
    scores = label_transfer_scores(["T", "only here", "T", "B"], truth)
    assert (scores.cells, scores.unlabelled) == (2, 2)
    assert scores.accuracy == 0.5
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0) / 2)  # "only here" is no part of it


def test_a_missing_prediction_is_unknown_and_its_name_can_change():
    truth = ["T", "B", "unknown"]
    assert label_transfer_scores(["T", None, np.nan], truth, unknown="?").unknown == pytest.approx(2 / 3)
    everything = label_transfer_scores(["?"] * 3, truth, unknown="?")
    assert everything.unknown == 1
    assert everything.accuracy == 0
    assert np.isnan(everything.accuracy_known)


def test_order_and_names_change_nothing(rng):
    truth, predicted = rng.integers(4, size=100), rng.integers(5, size=100)
    order = rng.permutation(100)
    renamed = label_transfer_scores([f"type {i}" for i in predicted[order]], [f"type {i}" for i in truth[order]])
    assert renamed == pytest.approx(label_transfer_scores(predicted, truth))


@pytest.mark.parametrize(
    "truth",
    [
        [1, 2, 10, None],
        pd.Series([1, 2, 10, None], dtype="Int64"),
        pd.Series(pd.Categorical([1, 2, 10, None], categories=[1, 2, 3, 10])),
        ["1", 2, "10", np.nan],
        np.array([1, 2, 10, np.nan]),
        pd.Series(pd.Categorical([1.0, 2.0, 10.0, None])),
    ],
)
def test_labels_that_are_numbers_are_compared_as_text(truth):
    scores = label_transfer_scores(["1", "2", "unknown", "1"], truth)
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.macro_f1 == pytest.approx(2 / 3)
    assert (scores.unknown, scores.accuracy_known) == (pytest.approx(1 / 3), 1)
    assert (scores.cells, scores.unlabelled) == (3, 1)
    assert label_transfer_scores([1, 2, -1, None], truth, unknown=-1) == pytest.approx(scores)
    assert label_transfer_scores(np.array([1, 2, -1, np.nan]), truth, unknown=-1.0) == pytest.approx(scores)


def test_a_report_takes_numbers_as_text_too():
    own = pd.Categorical([10, 2, None, 10], categories=[2, 10])
    obs = pd.DataFrame({"type": own, "z_label": ["10", "2", "2", "unknown"]}, index=list("abcd"))
    query = AnnData(np.zeros((4, 1)), obs=obs)
    query.obsm["X_z"] = np.zeros((4, 2))
    cells = query_cells(query, "z", "type", pd.DataFrame())
    assert list(cells.truth.categories) == ["2", "10"]
    assert label_transfer_scores(cells.label, cells.truth).accuracy == pytest.approx(2 / 3)
    assert cells.truth.isna().tolist() == [False, False, True, False]
    query.obs["type"] = [10.0, 2.0, np.nan, 10.0]
    assert list(query_cells(query, "z", "type", pd.DataFrame()).truth)[:2] == ["10", "2"]
    query.obs["type"] = pd.Series(["1", 1, 2, None], dtype=object, index=query.obs_names)
    assert list(query_cells(query, "z", "type", pd.DataFrame()).truth)[:3] == ["1", "1", "2"]


def test_bad_input():
    with pytest.raises(InputError, match=r"as many values in predicted as cells \(3\)"):
        label_transfer_scores(["a", "b"], ["a", "b", "c"])
    with pytest.raises(InputError, match="true labels for some cells"):
        label_transfer_scores(["a", "b"], [None, None])
    with pytest.raises(InputError, match="among the true labels"):
        label_transfer_scores(["a", "b"], ["a", "unknown"])

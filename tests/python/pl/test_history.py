from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from isthmus import InputError, pl
from isthmus.pl._history import best_epoch


@pytest.fixture
def table() -> pd.DataFrame:
    epoch = np.arange(1, 21)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "train_reconstruction": 300.0 + 1e4 * np.exp(-2.0 * epoch) + 20 / epoch,
            "train_kl": 5.0 + 1 / epoch,
            "validation_reconstruction": 310.0 + (epoch - 8.0) ** 2,
            "validation_kl": 5.5,
            "validation_loss": 315.5 + (epoch - 8.0) ** 2,
            "learning_rate": 1e-3,
            "seconds": 0.5,
        }
    )


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in ax.lines}


def test_a_panel_per_term_the_whole_loss_first(table):
    axes = pl.history(SimpleNamespace(history=table))
    assert [ax.get_title() for ax in axes] == ["loss", "reconstruction", "kl"]
    np.testing.assert_array_equal(lines(axes[1])["training"], table["train_reconstruction"])
    np.testing.assert_array_equal(lines(axes[2])["held out"], table["validation_kl"])
    assert "training" not in lines(axes[0])
    entries = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert entries == ["training", "held out", "best epoch (8)"]


def test_the_best_epoch_is_marked_in_every_panel(table):
    for ax in pl.history(table):
        marks = [line for line in ax.lines if line.get_label().startswith("best epoch")]
        assert [list(mark.get_xdata()) for mark in marks] == [[8.0, 8.0]]


def test_nothing_held_out(table):
    table = table.loc[:, ~table.columns.str.startswith("validation")]
    axes = pl.history(table)
    assert [ax.get_title() for ax in axes] == ["reconstruction", "kl"]
    assert all(set(lines(ax)) == {"training"} for ax in axes)


def test_looks_at_some_epochs_only_and_the_table_stays_as_it_is(table):
    table.loc[table["epoch"] % 5 != 0, table.columns.str.startswith("validation")] = np.nan
    before = table.copy()
    axes = pl.history(table)
    assert lines(axes[0])["held out"].size == 4
    assert "best epoch (10)" in lines(axes[0])
    pd.testing.assert_frame_equal(table, before)


def test_the_first_epoch_does_not_squash_the_rest(table):
    top = pl.history(table, ["reconstruction"])[0].get_ylim()[1]
    assert table["validation_reconstruction"].iloc[3:].max() < top < table["train_reconstruction"].iloc[0]


def test_chosen_terms_on_given_axes(table):
    _, given = plt.subplots(2, 1)
    axes = pl.history(table, ["kl", "loss"], axes=given)
    assert axes == list(given)
    assert [ax.get_title() for ax in axes] == ["kl", "loss"]
    assert pl.history(table, ["kl"], axes=given[0]) == [given[0]]


def test_a_single_epoch_is_visible(table):
    (ax,) = pl.history(table.iloc[:1], ["kl"])
    assert all(line.get_marker() == "o" for line in ax.lines[:2])


def test_of_a_fit_in_phases_the_last_one_decides(table):
    table["phase"] = np.where(table["epoch"] <= 12, 0, 1)
    table.loc[table["epoch"] > 12, "validation_loss"] = 900.0 + (table["epoch"] - 15.0) ** 2
    assert best_epoch(table) == 15  # though the loss of the first phase, another one, was far below
    assert "best epoch (15)" in lines(pl.history(table)[0])
    table.loc[table["epoch"] > 12, "validation_loss"] = np.nan
    assert best_epoch(table) is None


def test_bad_input(table):
    with pytest.raises(InputError, match="a row per epoch"):
        pl.history(pd.DataFrame())
    with pytest.raises(InputError, match="a row per epoch"):
        pl.history(table.drop(columns="epoch"))
    with pytest.raises(InputError, match="adversary"):
        pl.history(table, ["adversary"])
    with pytest.raises(InputError, match="one Axes for each"):
        pl.history(table, axes=plt.subplots(1, 2)[1])

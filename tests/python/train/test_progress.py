from __future__ import annotations

import pytest

from isthmus.train import progress
from isthmus.train.progress import LineReporter, Reporter, RichReporter, describe, make_reporter

ROW = {"epoch": 3, "train_kl": 2.0, "train_reconstruction": 310.25}


def test_a_callable_gets_lines(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    lines = []
    reporter = make_reporter(lines.append)
    reporter.start(200)
    reporter.update(50, ROW)
    reporter.update(100, {**ROW, "validation_loss": 305.0})
    reporter.finish(100, "no better held-out loss in 10 looks")
    assert lines[:2] == [
        "step 50 of 200 (25%), kl 2.00, reconstruction 310.25",
        "step 100 of 200 (50%), held-out loss 305.00",
    ]
    assert lines[2].startswith("trained 100 steps in ")
    assert lines[2].endswith("(no better held-out loss in 10 looks)")


def test_lines_are_rare():
    lines = []
    reporter = make_reporter(lines.append)
    reporter.start(10)
    for step in range(10):
        reporter.update(step, ROW)
    assert lines == []


def test_plain_lines_go_to_standard_error(capsys):
    reporter = make_reporter("plain")
    reporter.start(10)
    reporter.finish(10, "all steps made")
    out, err = capsys.readouterr()
    assert out == ""
    assert "all steps made" in err


def test_silence_says_nothing(capsys):
    reporter = make_reporter("silent")
    reporter.start(10)
    reporter.update(1, ROW)
    reporter.finish(10, "all steps made")
    assert capsys.readouterr() == ("", "")
    assert type(reporter) is Reporter


def test_a_terminal_gets_a_bar_and_a_file_gets_lines(monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    assert type(make_reporter("auto")) is RichReporter
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    assert type(make_reporter("auto")) is LineReporter
    monkeypatch.setattr(progress.sys, "stderr", None)  # as under some notebook and window servers
    assert type(make_reporter("auto")) is LineReporter


def test_the_bar_follows_the_steps(capsys):
    reporter = make_reporter("rich")
    reporter.start(10)
    reporter.update(4, ROW)
    assert reporter.bar.tasks[0].completed == 4
    assert "kl 2.00" in reporter.bar.tasks[0].description
    reporter.finish(10, "all steps made")
    assert not reporter.bar.live.is_started


def test_unknown_words_are_refused(refused):
    with refused("'loud'", "progress to be 'auto' or 'rich' or 'plain' or 'silent'"):
        make_reporter("loud")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW, "kl 2.00, reconstruction 310.25"),
        ({"validation_loss": 1.5}, "held-out loss 1.50"),
        ({"train_kl": 2.0, "train_labels": 0.0}, "kl 2.00"),
    ],
    ids=["terms", "held out", "a term that takes no part"],
)
def test_a_row_in_words(row, words):
    assert describe(row) == words

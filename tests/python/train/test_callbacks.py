from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from isthmus.train import callbacks, loop, train


class Watch:
    """Remembers the weights after every look."""

    def __init__(self, weights):
        self.weights, self.states = weights, []

    def on_begin(self, run):
        self.states = []

    def on_epoch_end(self, run, row):
        self.states.append(self.weights(run.model))

    def on_end(self, run):
        pass


@pytest.fixture
def watch(weights, monkeypatch):
    watch = Watch(weights)
    monkeypatch.setattr(loop, "Progress", lambda reporter: watch)
    return watch


@pytest.fixture
def losses_by_look(monkeypatch):
    """``losses_by_look([...])``: the held-out loss of each look is the given number."""

    def plan(values):
        values = iter(values)
        monkeypatch.setattr(loop.Run, "validate", lambda self, loader: {"validation_loss": next(values)})

    return plan


def test_the_best_weights_are_put_back(toy, loaders, options, weights, watch, losses_by_look):
    losses_by_look([5.0, 3.0, 4.0, 3.0])
    model = toy()
    train(model, *loaders(), options(max_steps=40, patience=10), progress="silent")
    assert len(watch.states) == 4
    for name, tensor in weights(model).items():
        assert torch.equal(tensor, watch.states[1][name])  # an equal loss is no better one


def test_training_stops_when_patience_ends(toy, loaders, options, losses_by_look):
    losses_by_look([5.0, 3.0, 4.0, 3.5, 6.0, 1.0])
    lines = []
    history = train(toy(), *loaders(), options(max_steps=60, patience=3), progress=lines.append)
    assert len(history) == 5
    assert "no better held-out loss in 3 looks" in lines[-1]


def test_training_never_stops_before_it_is_armed(toy, loaders, options, losses_by_look):
    losses_by_look([1.0, *[2.0] * 9])
    history = train(toy(), *loaders(), options(max_steps=100, patience=2, armed_from=0.7), progress="silent")
    assert history["step"].iloc[-1] == 70


def test_on_a_plateau_the_rate_is_cut_before_the_training_stops(toy, loaders, options, losses_by_look):
    plan = {"schedule": "plateau", "cut_after": 2, "learning_rate": 0.5}
    losses_by_look([5.0, 3.0, 4.0, 3.5, 2.0, 2.5, 2.5, 2.5, 0.1])
    history = train(toy(), *loaders(), options(max_steps=90, patience=3, **plan), progress="silent")
    # Looks 4 and 7 are the second ones without a better loss; look 5 is the best, and look 8 the third after it.
    assert list(history["learning_rate"]) == pytest.approx([0.5] * 4 + [0.05] * 3 + [0.005])
    losses_by_look([1.0, *[2.0] * 8])
    history = train(toy(), *loaders(), options(max_steps=90, patience=1, **plan), progress="silent")
    assert len(history) == 3  # not before the first cut


def test_a_cut_rate_moves_the_weights_less(toy, loaders, options, losses_by_look, watch):
    losses_by_look([1.0] * 6)
    plan = {"schedule": "plateau", "cut_after": 3, "patience": None, "learning_rate": 0.01}
    train(toy(), *loaders(), options(max_steps=60, **plan), progress="silent")
    moved = [
        (b["up.weight"] - a["up.weight"]).abs().mean() for a, b in zip(watch.states, watch.states[1:], strict=False)
    ]
    assert max(moved[3:]) < 0.3 * min(moved[:3])


def test_a_loss_may_be_watched_that_is_not_played_for(toy, loaders, options):
    watched, plain = toy("game"), toy("game")
    plan = watched.phases
    watched.phases = lambda: [replace(plan()[0], watched=lambda terms, clock: terms.fit), plan()[1]]
    one, two = (train(model, *loaders(), options(patience=None), progress="silent") for model in (watched, plain))
    assert list(one["train_loss"]) == list(two["train_loss"])
    assert list(one["validation_loss"]) == pytest.approx(list(one["validation_fit"]))
    assert list(two["validation_loss"]) == pytest.approx(list(two["validation_fit"] - two["validation_guess"]))


def test_without_patience_all_steps_are_made(toy, loaders, options, losses_by_look, watch, weights):
    losses_by_look([1.0, *[2.0] * 9])
    model = toy()
    history = train(model, *loaders(), options(max_steps=100, patience=None), progress="silent")
    assert len(history) == 10
    assert torch.equal(model.up.weight, watch.states[0]["up.weight"])


def test_without_held_out_cells_the_last_weights_stay(toy, loaders, options, watch):
    model = toy()
    train(model, loaders()[0], None, options(), progress="silent")
    assert torch.equal(model.up.weight, watch.states[-1]["up.weight"])


@pytest.mark.parametrize(("breaks_at", "word"), [(None, "all steps made"), (25, "interrupted")])
def test_the_closing_line_says_how_it_ended(toy, loaders, options, breaks_at, word):
    lines, model = [], toy()
    model.breaks_at = breaks_at
    try:
        train(model, *loaders(), options(), progress=lines.append)
    except RuntimeError:
        assert breaks_at
    assert f"({word})" in lines[-1]


def test_an_interrupt_puts_the_best_weights_back_and_goes_on_up(
    toy, loaders, options, weights, monkeypatch, losses_by_look
):
    losses_by_look([1.0, 2.0, 3.0])
    states = []

    def interrupt(self, run, row):
        states.append(weights(run.model))
        if len(states) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(callbacks.Progress, "on_epoch_end", interrupt)
    model = toy()
    with pytest.raises(KeyboardInterrupt):
        train(model, *loaders(), options(), progress="silent")
    assert torch.equal(model.up.weight, states[0]["up.weight"])
    assert not model.training

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from isthmus import TrainingError
from isthmus.train import Losses, Model, Phase, train
from isthmus.train.schedules import cyclical, warm_cosine


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def timeless(history):
    return history.drop(columns="seconds")


def test_losses_fall_and_history_has_every_term(toy, loaders, options):
    history = train(toy(), *loaders(), options(max_steps=100, learning_rate=0.02), progress="silent")
    assert list(history.columns) == [
        "epoch", "step", "train_error", "train_size", "train_loss",
        "validation_error", "validation_size", "validation_loss",
        "learning_rate", "seconds",
    ]  # fmt: skip
    assert history["epoch"].tolist() == list(range(1, 11))
    assert history["step"].tolist() == list(range(10, 101, 10))
    assert np.isfinite(history).all(axis=None)
    assert history["train_error"].iloc[-1] < 0.8 * history["train_error"].iloc[0]
    np.testing.assert_allclose(
        history["validation_loss"], history["validation_error"] + 0.01 * history["validation_size"]
    )


def test_training_is_adam_in_plain_torch(toy, loaders, options):
    """The slow version: the same steps without the loop."""
    mine, plain = toy(), toy()
    loader, _ = loaders()
    train(mine, loader, None, options(max_steps=25, learning_rate=0.01, weight_decay=1e-3), progress="silent")
    adam = torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=1e-3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for step in range(25):
            batch = list(loader.epoch(step // 10))[step % 10]
            adam.param_groups[0]["lr"] = 0.01 * warm_cosine(step / 25)
            losses = plain.train()(batch)
            adam.zero_grad()
            (losses.error + 0.01 * losses.size).backward()
            adam.step()
    for name, tensor in plain.state_dict().items():
        if name not in ("down.bias", "norm.running_mean"):  # a shift before a norm has rounding for a gradient
            torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_the_seed_decides_every_number(toy, loaders, options, weights):
    one, two, other = toy(), toy(), toy()
    first = train(one, *loaders(), options(), progress="silent")
    second = train(two, *loaders(), options(), progress="silent")
    train(other, *loaders(), options(seed=4), progress="silent")
    pd.testing.assert_frame_equal(timeless(first), timeless(second))
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))


def test_random_state_of_the_user_is_left_alone(toy, loaders, options):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(toy(), *loaders(), options(), progress="silent")
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_the_users_random_state_does_not_matter(toy, loaders, options, weights):
    one, two = toy(), toy()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        train(one, *loaders(), options(), progress="silent")
        torch.manual_seed(99)
        train(two, *loaders(), options(), progress="silent")
    assert same(weights(one), weights(two))


def test_a_look_at_held_out_cells_does_not_move_the_training(toy, loaders, options):
    loader, validation = loaders()
    looked = train(toy(), loader, validation, options(patience=None), progress="silent")
    alone = train(toy(), loader, None, options(), progress="silent")
    assert not any(name.startswith("validation") for name in alone)
    pd.testing.assert_frame_equal(timeless(looked)[timeless(alone).columns], timeless(alone))


def test_looks_are_at_one_objective_whatever_the_clock(toy, loaders, options, monkeypatch):
    """Held-out losses can be compared though the weight of a term goes up and down: they have the last step's."""
    clocks = []

    def phases(self):
        return [Phase("fit", [self], lambda terms, clock: terms.error + cyclical(clock.fraction, 3) * terms.size)]

    model = toy()
    monkeypatch.setattr(type(model), "phases", phases)
    monkeypatch.setattr(type(model), "at", lambda self, clock: clocks.append((self.training, clock.step)))
    history = train(model, *loaders(), options(max_steps=40, patience=None), progress="silent")
    np.testing.assert_allclose(
        history["validation_loss"], history["validation_error"] + history["validation_size"], rtol=1e-5
    )
    assert {step for training, step in clocks if not training} == {39}
    assert [step for training, step in clocks if training] == list(range(40))


def test_what_cannot_be_compiled_is_the_users_to_see_outside(toy, loaders, options):
    seen = []
    train(toy(), *loaders(), options(), progress=lambda line: seen.append(torch._dynamo.config.suppress_errors))
    assert all(seen)
    assert not torch._dynamo.config.suppress_errors


class Rivals(Model):
    """Two players on what a mini-batch tells of each cell: nothing that the compiler could stumble over."""

    def __init__(self):
        super().__init__()
        self.coder, self.judge = (
            nn.Sequential(nn.Linear(1, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)),
            nn.Linear(2, 2),
        )

    def losses(self, batch):
        z = self.coder(batch.index.float()[:, None] / 100)
        return RivalLosses(size=z.square().mean(), guess=nn.functional.cross_entropy(self.judge(z), batch.covariate))

    def phases(self):
        return [
            Phase("coder", [self.coder], lambda terms, clock: terms.size - terms.guess),
            Phase("judge", [self.judge], lambda terms, clock: terms.guess, start=0.5),
        ]


@dataclass(eq=False)
class RivalLosses(Losses):
    size: torch.Tensor
    guess: torch.Tensor


def test_several_players_train_as_well_compiled(loaders, options, weights, monkeypatch, tmp_path):
    """A forward pass serves one player and later two, which the compiler has to be told."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing is known from earlier
    start, ends = Rivals().state_dict(), []
    for compile in (False, True):
        model = Rivals()
        model.load_state_dict(start)
        train(model, *loaders(), options(max_steps=4, compile=compile), progress="silent")
        ends.append(weights(model))
    for name, end in ends[0].items():
        torch.testing.assert_close(ends[1][name], end, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 9, 10, 11, 37])
def test_exactly_the_planned_steps_are_made(toy, loaders, options, steps):
    model = toy()
    history = train(model, *loaders(), options(max_steps=steps, patience=None), progress="silent")
    assert model.steps == history["step"].iloc[-1] == steps
    assert np.isfinite(history["validation_loss"].iloc[-1])


def test_the_model_ends_in_evaluation_mode_on_the_processor(toy, loaders, options):
    model = toy()
    train(model, *loaders(), options(max_steps=3), progress="silent")
    assert not model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}


def test_looks_are_as_rare_as_asked(toy, loaders, options):
    history = train(toy(), *loaders(), options(max_steps=60, validate_every=25), progress="silent")
    looked = history["validation_loss"].notna()
    assert history["step"][looked].tolist() == [30, 50, 60]


@pytest.mark.parametrize(
    ("breaks_at", "epoch", "kept"),
    [
        (1, 1, "no earlier state was kept"),
        (4, 1, "no earlier state was kept"),
        (15, 2, "the weights of epoch 1 were put back"),
    ],
)
def test_a_loss_that_is_no_number_stops_and_names_the_term(toy, loaders, options, refused, breaks_at, epoch, kept):
    model = toy()
    model.breaks_at = breaks_at
    found = f"that error became nan in step {breaks_at} (epoch {epoch}); {kept}"
    with refused(found, "finite losses", "lower learning_rate", kind=TrainingError):
        train(model, *loaders(), options(), progress="silent")
    assert not model.training


def test_the_weights_put_back_are_those_of_the_best_look(toy, loaders, options, refused, weights):
    broken, healthy = toy(), toy()
    broken.breaks_at = 23  # in the third epoch
    with refused("the weights of epoch 2 were put back", kind=TrainingError):
        train(broken, *loaders(), options(schedule="constant", learning_rate=1e-3), progress="silent")
    train(healthy, *loaders(), options(max_steps=20, schedule="constant", learning_rate=1e-3), progress="silent")
    assert same(weights(broken), weights(healthy))


def test_a_long_epoch_does_not_hide_which_term_broke_first(toy, loaders, options, refused):
    model = toy()
    model.breaks_at = 7
    loader, validation = loaders(cells=640, batch_size=8)
    with refused("that error became nan in step 7 (epoch 1)", kind=TrainingError):
        train(model, loader, validation, options(max_steps=80), progress="silent")
    assert model.steps == 50  # looked for every so many steps only


def test_weights_that_the_last_step_broke_are_found(toy, loaders, options, refused):
    loader, _ = loaders()
    model = toy()

    def spoil(weight):
        weight.grad.fill_(float("nan"))

    model.up.weight.register_post_accumulate_grad_hook(spoil)
    with refused("that up.weight became nan in step 1 (epoch 1)", kind=TrainingError):  # the only loss was a number
        train(model, loader, None, options(max_steps=1), progress="silent")


def test_a_held_out_loss_that_is_no_number_is_no_best(toy, loaders, options, refused):
    loader, validation = loaders()
    validation.x.data[validation.x.indptr[170]] = np.inf  # seen by held-out cells only
    model = toy()
    with refused("that validation_error became", kind=TrainingError):
        train(model, loader, validation, options(), progress="silent")


def test_clipped_gradients_that_are_no_numbers_get_the_same_message(toy, loaders, options, refused):
    model = toy()
    model.breaks_at = 4
    with refused("error became nan", kind=TrainingError):
        train(model, *loaders(), options(gradient_clip=5.0), progress="silent")


def test_gradients_are_clipped(toy, loaders, options):
    loader, _ = loaders()
    seen = []
    model = toy()
    original = torch.optim.Adam.step

    def step(self, *args, **kwargs):
        seen.append(torch.cat([p.grad.ravel() for g in self.param_groups for p in g["params"]]).norm().item())
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        train(model, loader, None, options(max_steps=5, gradient_clip=0.01), progress="silent")
    assert len(seen) == 5
    assert max(seen) <= 0.01 * (1 + 1e-4)


def test_sums_of_the_history_are_in_full_precision(toy, loaders, options, monkeypatch):
    """bf16 has 8 bits: a sum over many steps would stand still."""
    losses = type(toy()).losses

    def low(self, batch):
        out = losses(self, batch)
        out.size = torch.tensor(3.0, dtype=torch.bfloat16) + 0 * out.size.bfloat16()
        return out

    monkeypatch.setattr(type(toy()), "losses", low)
    loader, _ = loaders(cells=400, batch_size=2)
    history = train(toy(), loader, None, options(max_steps=200), progress="silent")
    assert history["train_size"].iloc[0] == pytest.approx(3.0)


def test_low_precision_trains_too(toy, loaders, options):
    history = train(
        toy(), *loaders(), options(max_steps=100, precision="bf16-mixed", learning_rate=0.02), progress="silent"
    )
    assert history["train_error"].iloc[-1] < 0.8 * history["train_error"].iloc[0]

"""Toy models, whose training takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from isthmus.data import SparseLoader
from isthmus.train import Losses, Model, Options, Phase


@dataclass(eq=False)
class FitLosses(Losses):
    error: Tensor
    size: Tensor


class Fit(Model):
    """Draws rows through a noisy bottleneck: losses fall, and random numbers are used."""

    def __init__(self, n_features: int = 6) -> None:
        super().__init__()
        self.down, self.norm, self.up = nn.Linear(n_features, 3), nn.BatchNorm1d(3), nn.Linear(3, n_features)
        self.breaks_at = None
        self.seen = []  # sizes of the mini-batches of training

    def losses(self, batch):
        x = batch.x.dense
        h = self.norm(self.down(x))
        out = self.up(h + 0.1 * torch.randn_like(h))
        error = (out - x).square().sum(dim=1).mean()
        if self.training:
            self.seen.append(len(batch))
            if self.breaks_at is not None and self.steps >= self.breaks_at:
                error = error * float("nan")
        return FitLosses(error=error, size=h.square().mean())

    @property
    def steps(self):
        return len(self.seen)

    def phases(self):
        return [Phase("fit", [self], lambda terms, clock: terms.error + 0.01 * terms.size)]


@dataclass(eq=False)
class GameLosses(Losses):
    fit: Tensor
    guess: Tensor


class Game(Model):
    """Two players: a coder, and a judge that guesses the batch from the code, against whom the coder plays."""

    def __init__(self, n_features: int = 6, **judge) -> None:
        super().__init__()
        self.coder, self.judge, self.decoder = nn.Linear(n_features, 2), nn.Linear(2, 2), nn.Linear(2, n_features)
        self.options_of_judge = judge

    def losses(self, batch):
        z = self.coder(batch.x.dense)
        return GameLosses(
            fit=(self.decoder(z) - batch.x.dense).square().mean(),
            guess=nn.functional.cross_entropy(self.judge(z), batch.covariate),
        )

    def phases(self):
        return [
            Phase("coder", [self.coder, self.decoder], lambda terms, clock: terms.fit - terms.guess),
            Phase("judge", [self.judge], lambda terms, clock: terms.guess, **self.options_of_judge),
        ]


@pytest.fixture
def toy():
    """``toy()`` and ``toy(Game)``: the models, with the same weights at each call."""

    def build(kind="fit", **settings):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            return {"fit": Fit, "game": Game}[kind](**settings)

    return build


@pytest.fixture
def loaders():
    """``loaders()``: training and held-out cells."""

    def build(cells=160, batch_size=16):
        rng = np.random.default_rng(0)
        x = sp.csr_matrix(rng.poisson(1.0, (cells + 40, 6)).astype(np.float32))
        batch = np.arange(cells + 40) % 2
        return (
            SparseLoader(x, batch, np.arange(cells), batch_size, shuffle=True, seed=1),
            SparseLoader(x, batch, np.arange(cells, cells + 40), 64),
        )

    return build


@pytest.fixture
def options():
    """``options(max_steps=...)``: quick and in full precision unless said otherwise."""

    def build(**settings):
        plain = {
            "max_steps": 40,
            "accelerator": "cpu",
            "precision": "32-true",
            "compile": False,
            "validate_every": 1,
            "seed": 3,
        }
        return Options(**{**plain, **settings})

    return build


@pytest.fixture
def weights():
    """``weights(model)``: a copy of its state."""
    return lambda model: {name: tensor.clone() for name, tensor in model.state_dict().items()}

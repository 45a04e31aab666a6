from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.train import Clock, Phase, train

PLAYER = {"coder": ("coder", "decoder"), "judge": ("judge",)}


def of(player, state):
    return {name: tensor for name, tensor in state.items() if name.split(".")[0] in PLAYER[player]}


def moved(before, after):
    return [name for name in before if not torch.equal(before[name], after[name])]


@pytest.mark.parametrize("player", ["coder", "judge"])
def test_a_phase_leaves_all_other_parameters_as_they_are(toy, loaders, options, weights, monkeypatch, player):
    """With one phase at work, the other player's parameters stay, bit for bit, although its loss contains them."""
    model = toy("game")
    phase = next(p for p in model.phases() if p.name == player)
    monkeypatch.setattr(model, "phases", lambda: [phase])
    before = weights(model)
    train(model, loaders()[0], None, options(max_steps=5, weight_decay=0.1), progress="silent")
    other = "judge" if player == "coder" else "coder"
    assert not moved(of(other, before), of(other, weights(model)))
    assert len(moved(of(player, before), of(player, weights(model)))) == len(of(player, before))


def test_each_player_moves_by_its_own_gradient(toy, loaders, options):
    """The slow version: each gradient from a forward pass of its own, then both steps."""
    mine, plain = toy("game"), toy("game")
    loader, _ = loaders()
    train(mine, loader, None, options(max_steps=12, learning_rate=0.01, schedule="constant"), progress="silent")
    players = {
        "coder": [*plain.coder.parameters(), *plain.decoder.parameters()],
        "judge": list(plain.judge.parameters()),
    }
    adams = {name: torch.optim.Adam(parameters, lr=0.01) for name, parameters in players.items()}
    for step in range(12):
        batch = list(loader.epoch(step // 10))[step % 10]
        gradients = {}
        for phase in plain.phases():
            loss = phase.loss(plain(batch), Clock(step, 12))
            gradients[phase.name] = torch.autograd.grad(loss, players[phase.name])
        for name, adam in adams.items():
            for parameter, gradient in zip(players[name], gradients[name], strict=True):
                parameter.grad = gradient
            adam.step()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(mine.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "acts"),
    [({"every": 3}, [0, 3, 6, 9]), ({"start": 0.5}, [5, 6, 7, 8, 9]), ({"stop": 0.2}, [0, 1]), ({}, list(range(10)))],
)
def test_a_phase_acts_when_it_says(toy, loaders, options, settings, acts):
    model = toy("game", **settings)
    assert [step for step in range(10) if model.phases()[1].acts(Clock(step, 10))] == acts
    steps = []
    hook = model.judge.weight.register_post_accumulate_grad_hook(lambda p: steps.append(1))
    train(model, loaders()[0], None, options(max_steps=10), progress="silent")
    hook.remove()
    assert len(steps) == len(acts)


def test_a_silent_phase_does_not_drift(toy, loaders, options, weights):
    """Momentum of earlier steps must not move a player that does not act."""
    model = toy("game", stop=0.5)
    half = {}

    def remember(*_):
        if model_steps[0] == 5 and not half:
            half.update(of("judge", weights(model)))
        model_steps[0] += 1

    model_steps = [0]
    model.register_forward_pre_hook(remember)
    train(model, loaders()[0], None, options(max_steps=10), progress="silent")
    assert half
    assert not moved(half, of("judge", weights(model)))


def test_rates_differ_by_phase(toy, loaders, options, weights):
    still, model = toy("game"), toy("game", learning_rate_factor=0.0)
    train(model, loaders()[0], None, options(max_steps=3), progress="silent")
    assert not moved(of("judge", weights(still)), of("judge", weights(model)))
    assert moved(of("coder", weights(still)), of("coder", weights(model)))


def test_shared_and_frozen_parameters_come_once_and_not():
    shared, frozen = nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
    phase = Phase("p", [shared, nn.Sequential(shared, frozen)], lambda terms, clock: terms)
    assert [id(p) for p in phase.parameters()] == [id(shared.weight), id(shared.bias)]

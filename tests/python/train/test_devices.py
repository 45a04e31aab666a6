from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus._errors import EnvironmentProblem
from isthmus.train import devices
from isthmus.train.devices import choose_precision, compile_if_worth, make_fabric, randomness


def test_randomness_is_seeded_inside_and_untouched_outside():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with randomness(7):
        first = torch.rand(3)
        with randomness(8):
            assert not torch.equal(torch.rand(3), first)
        second = torch.rand(3)
    with randomness(7):
        assert torch.equal(torch.rand(3), first)
        assert torch.equal(torch.rand(3), second)
    assert torch.equal(torch.get_rng_state(), before)


def test_randomness_is_restored_after_an_error():
    before = torch.get_rng_state()

    @randomness(7)
    def interrupted():
        torch.rand(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("has", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_follows_the_processor(monkeypatch, options, has, precision):
    monkeypatch.setattr(devices, "has_bf16", lambda: has)
    assert choose_precision(options(precision="auto"), "cpu") == precision
    assert choose_precision(options(precision="64-true"), "cpu") == "64-true"


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has what this test asks for")
@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"accelerator": "cuda"}, "not available"),
        ({"accelerator": "quantum"}, "invalid accelerator name"),
        ({"precision": "float8"}, "Precision 'float8' is invalid"),
        ({"devices": 0}, "not a valid input"),
    ],
)
def test_what_the_machine_lacks_is_said(options, refused, settings, found):
    ((name, value),) = settings.items()
    with refused(found, f"{name}={value!r}", "leave accelerator, devices and precision", kind=EnvironmentProblem):
        make_fabric(options(**settings))


def test_several_devices_need_a_launcher(options, refused, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    words = ("devices=2 in a single process", "a launcher", "torchrun --nproc-per-node 2")
    with refused(*words, kind=EnvironmentProblem):
        make_fabric(options(accelerator="cpu", devices=2))


def test_only_long_runs_are_compiled(monkeypatch, options):
    compiled = []

    class Linear(nn.Linear):
        gains_by_compiling = True

        def compile(self):
            compiled.append(True)

    model = Linear(1000, 1000)
    monkeypatch.setattr(devices.shutil, "which", lambda name: "/usr/bin/g++")
    assert not compile_if_worth(model, options(compile="auto", max_steps=10), 64)
    assert not compile_if_worth(model, options(compile=False, max_steps=10**9), 64)
    assert not compiled
    assert compile_if_worth(model, options(compile="auto", max_steps=10**9), 64)
    assert compile_if_worth(model, options(compile=True, max_steps=1), 64)
    assert len(compiled) == 2
    model.gains_by_compiling = False
    assert not compile_if_worth(model, options(compile="auto", max_steps=10**9), 64)
    assert compile_if_worth(model, options(compile=True, max_steps=1), 64)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU needs no C++ compiler")
def test_without_a_compiler_it_runs_as_it_is(monkeypatch, options):
    monkeypatch.setattr(devices.shutil, "which", lambda name: None)
    assert not compile_if_worth(nn.Linear(1, 1), options(compile=True), 64)

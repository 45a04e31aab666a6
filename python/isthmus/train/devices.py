"""Where and in what precision to compute."""

from __future__ import annotations

import logging
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from isthmus._errors import EnvironmentProblem
from isthmus.nn.likelihoods import leave_uncompiled
from isthmus.train.options import Options

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from isthmus.train.model import Model

WORTH_COMPILING = 3e13  # multiplications from which the compiler's own time is won back (about ten minutes, 2 cores)


def make_fabric(options: Options) -> Fabric:
    """Lightning Fabric for these options; under a launcher (torchrun) it joins the other processes.

    Raises
    ------
    EnvironmentProblem
        If the machine has no such accelerator, or not so many, or cannot compute in this precision, or several
        devices are asked for without a launcher.
    """
    from lightning_fabric import Fabric  # brings PyTorch's compiler, more than a second: not to use a trained model

    accelerator = options.accelerator
    if accelerator == "auto" and torch.backends.mps.is_available():
        accelerator = "cpu"  # sparse kernels are missing on Apple's GPUs; say accelerator="mps" to try
    precision = choose_precision(options, accelerator)
    try:
        with _quietly("lightning_fabric"):
            fabric = Fabric(accelerator=accelerator, devices=options.devices, precision=precision)
    except (ValueError, TypeError, RuntimeError) as error:
        raise EnvironmentProblem(
            f"accelerator={accelerator!r}, devices={options.devices!r}, precision={precision!r} to be there",
            f"that this machine says: {str(error).rstrip('.!')}",
            "leave accelerator, devices and precision at their defaults, or name what the machine has",
        ) from error
    if fabric.world_size > 1 and "RANK" not in os.environ:
        # Fabric would start this program anew for every device: from a notebook, or inside R, that cannot end well
        raise EnvironmentProblem(
            "a launcher that starts one process for each device",
            f"devices={options.devices!r} in a single process",
            f"run torchrun --nproc-per-node {fabric.world_size} -m isthmus fit ..., or give devices=1",
        )
    fabric.launch()
    return fabric


def is_first_process() -> bool:
    """Whether this process is the one that writes: alone, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _quietly(logger: str, least: int = logging.WARNING) -> Iterator[None]:
    """Keep what a library says below the ``least`` level to itself."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(least)
    try:
        yield
    finally:
        log.setLevel(level)


def choose_precision(options: Options, accelerator: str) -> str:
    """Fabric's name of the precision: bf16 with float32 master weights where the processor has it."""
    if options.precision != "auto":
        return options.precision
    on_gpu = accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available())
    return "bf16-mixed" if (torch.cuda.is_bf16_supported() if on_gpu else has_bf16()) else "32-true"


@cache
def has_bf16() -> bool:
    """Whether this processor multiplies bf16 matrices in hardware (AMX or AVX512-BF16)."""
    if platform.system() != "Linux":
        return False
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return "amx_bf16" in flags or "avx512_bf16" in flags


def compile_if_worth(model: Model, options: Options, cells_per_step: int) -> bool:
    """Compile the forward pass in place; whether it was done. The decision depends on sizes only, never on time."""
    if options.compile is False:
        return False
    work = options.max_steps * cells_per_step * sum(p.numel() for p in model.parameters())
    if options.compile == "auto" and (work < WORTH_COMPILING or not model.gains_by_compiling):
        return False
    if not torch.cuda.is_available() and shutil.which("g++") is None and shutil.which("clang++") is None:
        return False
    leave_uncompiled()
    model.compile()
    return True


@contextmanager
def compiler_settings() -> Iterator[None]:
    """What cannot be compiled runs as it is, and several players have their gradients from one forward pass."""
    from torch._dynamo import config as compiler
    from torch._functorch import config as gradients

    as_it_is, kept = compiler.patch(suppress_errors=True), gradients.patch(donated_buffer=False)
    with as_it_is, kept, _quietly("torch._dynamo", logging.ERROR):
        yield


@contextmanager
def randomness(seed: int) -> Iterator[None]:
    """Seed torch inside the block only; outside, the user's random state is as it was."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield

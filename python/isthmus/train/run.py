"""One training run: its state, one step, one look at the held-out cells."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from isthmus._errors import TrainingError
from isthmus.data.batch import Batch
from isthmus.data.loader import SparseLoader
from isthmus.train.devices import randomness
from isthmus.train.losses import Losses
from isthmus.train.model import Model
from isthmus.train.options import Options
from isthmus.train.phases import Phase
from isthmus.train.schedules import Clock

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECK_EVERY = 50  # steps between two looks for numbers that are not finite (each waits for the device)


@dataclass
class Run:
    """State of a training run; callbacks read it and may set ``stop``.

    Attributes
    ----------
    model
        The model, on the device. Each process has one of its own; their gradients are averaged.
    phases, optimizers
        In the model's order.
    epoch, step
        Whole epochs and steps made.
    rows
        History: one dict an epoch.
    sums, broken
        Of the epoch, by term: its sum, and the first step in which it was not finite (else infinity).
    best
        Held-out loss and weights at the best look; None before the first.
    rate_factor
        What is left of the learning rate after the cuts on plateaus.
    """

    model: Model
    options: Options
    fabric: Fabric
    phases: list[Phase]
    optimizers: list[torch.optim.Optimizer]
    epoch: int = 0
    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: tuple[float, dict[str, Tensor]] | None = None
    best_epoch: int = 0
    rate_factor: float = 1.0
    stop: bool = False
    reason: str = "interrupted"
    sums: dict[str, Tensor] = field(default_factory=dict)
    broken: dict[str, Tensor] = field(default_factory=dict)
    since_check: int = 0

    @classmethod
    def start(cls, model: Model, options: Options, fabric: Fabric) -> Run:
        """Move the model to the device and give each phase its optimiser."""
        fabric.to_device(model)
        phases = list(model.phases())
        optimizers = [
            torch.optim.Adam(
                phase.parameters(),
                lr=options.learning_rate,
                betas=options.betas,
                weight_decay=options.weight_decay,
                fused=True,
            )
            for phase in phases
        ]
        return cls(model, options, fabric, phases, [fabric.setup_optimizers(optimizer) for optimizer in optimizers])

    @property
    def clock(self) -> Clock:
        """Where the run stands."""
        return Clock(self.step, self.options.max_steps)

    @property
    def rate(self) -> float:
        """Learning rate of the moment."""
        return self.options.rate(self.clock.fraction) * self.rate_factor

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        return self.stop or self.step >= self.options.max_steps

    def train_step(self, batch: Batch) -> None:
        """One forward pass, then the gradient and the step of every phase that acts."""
        self.model.at(self.clock)
        losses = self.forward(batch)
        acting = [(p, o) for p, o in zip(self.phases, self.optimizers, strict=True) if p.acts(self.clock)]
        for _, optimizer in acting:
            optimizer.zero_grad()
        for phase, optimizer in (pair for pair in acting if pair[0].ahead):
            self._backward(phase, phase.loss(losses, self.clock), last=False)
            self._move(phase, optimizer)
        acting = [pair for pair in acting if not pair[0].ahead]
        totals = [phase.loss(losses, self.clock) for phase, _ in acting]
        for (phase, _), total in zip(acting, totals, strict=True):
            self._backward(phase, total, last=phase is acting[-1][0])
        for phase, optimizer in acting:
            self._move(phase, optimizer)
        self.step += 1
        self._count({**losses.terms(), **({"loss": totals[0]} if acting and acting[0][0] is self.phases[0] else {})})

    def forward(self, batch: Batch) -> Losses:
        """The losses of a mini-batch."""
        batch = batch.to(self.fabric.device)
        with self.fabric.autocast():
            return self.model(batch)

    def _backward(self, phase: Phase, loss: Tensor, last: bool) -> None:
        """Gradients of one phase's loss, into its own parameters only."""
        if len(self.phases) == 1:
            self.fabric.backward(loss)
        else:
            self.fabric.backward(loss, inputs=phase.parameters(), retain_graph=not last)

    def _move(self, phase: Phase, optimizer: torch.optim.Optimizer) -> None:
        """One step of one optimiser at the rate of the moment."""
        if self.fabric.world_size > 1:
            self._average_gradients(phase)
        for group in optimizer.param_groups:
            group["lr"] = self.rate * phase.learning_rate_factor
        if self.options.gradient_clip is not None:
            self.fabric.clip_gradients(
                self.model, optimizer, max_norm=self.options.gradient_clip, error_if_nonfinite=False
            )  # what is not finite is named by check_finite
        optimizer.step()

    def _average_gradients(self, phase: Phase) -> None:
        """The mean over all processes, in one message."""
        parameters = phase.parameters()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        vector_to_parameters(self.fabric.all_reduce(parameters_to_vector(gradients), reduce_op="mean"), gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    @torch.no_grad()
    def average_buffers(self) -> None:
        """Let all processes go on with the same running statistics, those that each saw of its own cells."""
        if self.fabric.world_size > 1:
            for buffer in self.model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.fabric.all_reduce(buffer, reduce_op="mean"))

    def _count(self, terms: dict[str, Tensor]) -> None:
        """Add the terms to the epoch's sums; every now and then look whether they are finite."""
        for name, value in terms.items():
            value = value.detach().float()  # many small numbers: not in bf16
            self.sums[name] = self.sums.get(name, 0.0) + value
            broken = torch.where(value.isfinite(), math.inf, self.step)  # stays on the device, nothing waits for it
            self.broken[name] = torch.minimum(self.broken.get(name, broken), broken)
        self.since_check += 1
        if self.since_check >= CHECK_EVERY or self.finished:
            self.check_finite()
            self.since_check = 0

    def check_finite(self) -> None:
        """Stop where a term was not finite, with the name of the one that broke first: the others only followed."""
        broken = {name: float(step) for name, step in self.broken.items()}
        step = min(broken.values(), default=math.inf)
        if step < math.inf:
            names = [name for name, when in broken.items() if when == step]
            causes = [name for name in names if name != "loss"] or names  # the sum of the terms tells nothing
            self.fail(f"{' and '.join(causes)} became {float(self.sums[causes[0]])} in step {int(step)}")

    def fail(self, what: str) -> None:
        """Put the best weights back and stop with the reason."""
        raise TrainingError(
            "finite losses",
            f"that {what} (epoch {len(self.rows) + 1}); {self.restore_best()}",
            "lower learning_rate, use precision='32-true', or look for extreme values in the data",
        )

    def restore_best(self) -> str:
        """Put the best weights back; what was done, in words."""
        if self.best is None:
            return "no earlier state was kept"
        self.model.load_state_dict(self.best[1])
        return f"the weights of epoch {self.best_epoch} were put back"

    def end_epoch(self, n_steps: int, seconds: float, held_out: dict[str, float]) -> dict[str, float]:
        """Close an epoch: its row of the history."""
        self.check_finite()
        self._check_outcome(held_out)
        self.epoch += 1
        row = {"epoch": self.epoch, "step": self.step}
        row |= {f"train_{name}": float(value) / n_steps for name, value in self.sums.items()}
        row |= held_out
        row |= {"learning_rate": self.rate, "seconds": seconds}
        self.rows.append(row)
        self.sums, self.broken = {}, {}
        return row

    def _check_outcome(self, held_out: dict[str, float]) -> None:
        """What the losses of the training cells do not show: where the last step led."""
        for name, value in held_out.items():
            if not math.isfinite(value):
                self.fail(f"{name} became {value} after step {self.step}")
        for name, weight in self.model.named_parameters() if self.finished else ():
            if not weight.isfinite().all():
                self.fail(f"{name} became {float(weight.detach().sum())} in step {self.step}")

    @torch.no_grad()
    def validate(self, loader: SparseLoader) -> dict[str, float]:
        """Mean of every term, and of the loss that is watched, over held-out cells; the same noise at every look.

        The loss is that of the last step at every look, whatever its weights are by now: looks can be compared.
        """
        end = Clock(max(self.options.max_steps - 1, 0), self.options.max_steps)
        self.model.eval()
        self.model.at(end)
        sums: dict[str, Tensor] = {}
        with randomness(self.options.seed):
            for batch in loader.epoch():
                losses = self.forward(batch)
                total = (self.phases[0].watched or self.phases[0].loss)(losses, end)
                for name, value in {**losses.terms(), "loss": total}.items():
                    sums[name] = sums.get(name, 0.0) + value * len(batch)
        self.model.train()
        return {f"validation_{name}": float(value) / loader.n_cells for name, value in sums.items()}


def now() -> float:
    """Seconds on a clock that only goes forward."""
    return time.perf_counter()

"""What happens beside the steps: stopping early, progress. Checkpoints have a file of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from isthmus.train.progress import Reporter
from isthmus.train.run import Run

CUT = 0.1  # of the learning rate on a plateau


class Callback(Protocol):
    """Looks at a run at fixed moments."""

    def on_begin(self, run: Run) -> None:
        """Before the first step."""

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        """After each epoch, with its row of the history."""

    def on_end(self, run: Run) -> None:
        """After the last step."""


@dataclass
class EarlyStopping:
    """Keep the weights with the least held-out loss; cut the rate, then stop where it stays above; put them back."""

    looks_without: int = 0

    def on_begin(self, run: Run) -> None:
        """Nothing."""

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        """Compare the held-out loss with the best one."""
        loss = row.get("validation_loss")
        if loss is None:
            return
        if run.best is None or loss < run.best[0]:
            run.best = (
                loss,
                {name: tensor.detach().clone() for name, tensor in run.model.state_dict().items()},
            )
            run.best_epoch, self.looks_without = run.epoch, 0
            return
        self.looks_without += 1
        options, patience = run.options, run.options.patience
        armed = run.clock.fraction >= options.armed_from
        if options.schedule == "plateau":
            run.rate_factor *= CUT if self.looks_without % options.cut_after == 0 else 1.0
            armed = run.rate_factor < 1.0
        if patience is not None and self.looks_without >= patience and armed:
            run.stop, run.reason = True, f"no better held-out loss in {patience} looks"

    def on_end(self, run: Run) -> None:
        """Put the best weights back."""
        run.restore_best()


@dataclass
class Progress:
    """Tell a reporter how far the run is."""

    reporter: Reporter

    def on_begin(self, run: Run) -> None:
        """Open."""
        self.reporter.start(run.options.max_steps)

    def on_epoch_end(self, run: Run, row: dict[str, float]) -> None:
        """Move on."""
        self.reporter.update(run.step, row)

    def on_end(self, run: Run) -> None:
        """Close, with the reason of the end."""
        self.reporter.finish(run.step, run.reason)

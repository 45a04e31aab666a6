"""Progress: a bar in a terminal, plain lines elsewhere, any callable where another program listens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from isthmus.data.door import check_choice

SECONDS_BETWEEN_LINES = 5.0
WORDS = ("auto", "rich", "plain", "silent")


class Reporter:
    """Says nothing; base of those that do."""

    def start(self, total: int) -> None:
        """``total`` steps are planned."""

    def update(self, step: int, row: dict[str, float]) -> None:
        """``step`` steps are made; ``row`` is the newest of the history."""

    def finish(self, step: int, reason: str) -> None:
        """The run is over."""


class LineReporter(Reporter):
    """A line now and then, handed to ``say``."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.say, self.total, self.began, self.last = say, 0, 0.0, 0.0

    def start(self, total: int) -> None:
        """Remember the time."""
        self.total, self.began, self.last = total, time.monotonic(), time.monotonic()

    def update(self, step: int, row: dict[str, float]) -> None:
        """A line, at most one every few seconds."""
        if time.monotonic() - self.last >= SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            self.say(f"step {step} of {self.total} ({step / self.total:.0%}), {describe(row)}")

    def finish(self, step: int, reason: str) -> None:
        """A closing line."""
        self.say(f"trained {step} steps in {time.monotonic() - self.began:.1f} s ({reason})")


class RichReporter(Reporter):
    """A bar that disappears when it is full."""

    def start(self, total: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=total)
        self.bar.start()

    def update(self, step: int, row: dict[str, float]) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=step, description=describe(row))

    def finish(self, step: int, reason: str) -> None:
        """Take the bar away."""
        self.bar.stop()


def make_reporter(progress: str | Callable[[str], Any]) -> Reporter:
    """Make the reporter for ``"auto"``, ``"rich"``, ``"plain"``, ``"silent"`` or a callable that takes lines."""
    if callable(progress):
        return LineReporter(progress)
    check_choice(progress, WORDS, "progress")
    if progress == "auto":
        progress = "rich" if sys.stderr is not None and sys.stderr.isatty() else "plain"
    if progress == "silent":
        return Reporter()
    return RichReporter() if progress == "rich" else LineReporter(_to_stderr)


def say(progress: str | Callable[[str], Any], line: str) -> None:
    """One line to whoever follows the progress."""
    if callable(progress):
        progress(line)
    elif progress != "silent":
        _to_stderr(line)


def _to_stderr(line: str) -> None:
    """Write a line to standard error at once."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def describe(row: dict[str, float]) -> str:
    """The newest losses in a few words; terms that take no part are 0 and left out."""
    if "validation_loss" in row:
        return f"held-out loss {row['validation_loss']:.2f}"
    terms = {name.removeprefix("train_"): value for name, value in row.items() if name.startswith("train_")}
    return ", ".join(f"{name} {value:.2f}" for name, value in terms.items() if value)

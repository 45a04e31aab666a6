"""What the benchmarks' command lines have in common."""

from __future__ import annotations

import argparse


def add_settings(parser: argparse.ArgumentParser, verb: str) -> None:
    """``--set NAME=VALUE ...``: settings of a verb; they come as ``dict(args.set)``."""
    parser.add_argument(
        "--set", nargs="*", default=[], type=_pair, metavar="NAME=VALUE", help=f"numbers or words for {verb}"
    )


def _pair(text: str) -> tuple[str, bool | int | float | str]:
    name, _, value = text.partition("=")
    if value in ("True", "False"):
        return name, value == "True"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value

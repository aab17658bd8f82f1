"""The command `python -m tests.bench`: options, the measurements, the report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from bench import with_kong, without_kong
from bench.document import write_document
from bench.measurement import Measurement, median
from bench.report import TITLES, as_json, circumstances, print_figures, print_targets
from bench.targets import targets

__all__ = ["main"]

Rounds = Mapping[str, Sequence[Measurement]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.json == Path("-"), width=140)
    without = with_ = None
    if options.part != "with-kong":
        without = without_kong.measure(options.rounds, options.seconds, _sayer(console))
    if options.kong is not None and options.part != "without-kong":
        try:
            with_ = with_kong.measure(options.kong, options.rounds, options.seconds, _sayer(console))
        except with_kong.WrkMissingError as reason:
            console.print(f"without Kong only: {reason}")
    _report(console, options, without, with_)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--kong", type=Path, metavar="PATH", help="the `kong` command, to measure with Kong too")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load in each round on each subject")
    parser.add_argument("--rounds", type=int, default=5, help="how often each subject has its turn")
    parser.add_argument("--part", choices=("all", "without-kong", "with-kong"), default="all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too; - for stdout")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/benchmarks.md too")
    return parser


def _sayer(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, style="dim", highlight=False)


def _report(console: Console, options: argparse.Namespace, without: Rounds | None, with_: Rounds | None) -> None:
    parts = {name: rounds for name, rounds in (("without_kong", without), ("with_kong", with_)) if rounds}
    for name, rounds in parts.items():
        print_figures(console, TITLES[name], rounds)
    reached = targets(_medians(without), _medians(with_))
    print_targets(console, reached)
    known = circumstances()
    if options.docs:
        write_document(parts, reached, known, options.seconds)
    if options.json is not None:
        text = json.dumps(as_json(parts, reached, known), indent=1) + "\n"
        if options.json == Path("-"):
            print(text, end="")
        else:
            options.json.write_text(text)


def _medians(rounds: Rounds | None) -> dict[str, Measurement] | None:
    return {name: median(one) for name, one in rounds.items()} if rounds else None

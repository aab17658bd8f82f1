"""The command `python -m tests.bench`: options, the measurements, the report."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import kills, kong_profile, start, with_kong, without_kong
from bench.document import write_document
from bench.report import as_json, circumstances, print_results
from bench.results import Results
from bench.wrk import WrkMissingError

_PARTS = ("without-kong", "start", "with-kong", "profile", "kills")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    parts = [options.part] if options.part else list(_PARTS)
    if options.docs and (options.part or options.kong is None):
        parser.error("--docs writes the whole document: it needs --kong, and no --part")
    if options.before and options.kong is None:
        parser.error("--before is measured on a Kong: it needs --kong")
    console = Console(stderr=options.json == Path("-"), width=180)
    results, known = Results(), circumstances(options.kong)
    try:
        _measure(options, parts, console, results)
    finally:  # a part that fails, or Ctrl-C, loses no other part
        print_results(console, results)
        if options.json is not None:
            _write_json(options.json, json.dumps(as_json(results, known), indent=1) + "\n")
    if options.docs:
        write_document(results, known, options.seconds)
    return 0


def _write_json(file: Path, text: str) -> None:
    if file == Path("-"):
        print(text, end="")
    else:
        file.write_text(text)


def _measure(options: argparse.Namespace, parts: Sequence[str], console: Console, results: Results) -> None:
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.0f} s  {text}", style="dim", highlight=False)

    if "without-kong" in parts:
        results.without_kong = without_kong.measure(options.rounds, options.seconds, say)
    if "start" in parts:
        results.start = start.measure(say)
    if options.kong is None:
        return
    try:
        if "with-kong" in parts:
            how = options.before, options.rounds, options.seconds
            results.with_kong = with_kong.measure(options.kong, *how, say)
        if "profile" in parts:
            results.profile = kong_profile.measure(options.kong, options.seconds, say)
        if "kills" in parts:
            results.kills = kills.measure(options.kong, options.kills, say)
    except WrkMissingError as reason:
        if options.docs:
            raise
        console.print(f"without Kong only: {reason}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--kong", type=Path, metavar="PATH", help="the `kong` command, to measure with Kong too")
    parser.add_argument(
        "--before", type=Path, metavar="PATH", help="the `otlp-tracing` command of another build, to measure beside"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of full load in each round on each subject")
    parser.add_argument("--rounds", type=int, default=3, help="how often each subject has its turn")
    parser.add_argument("--kills", type=int, default=5, help="of workers, over each protocol at each load")
    parser.add_argument("--part", choices=_PARTS, help="measure this only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too; - for stdout")
    parser.add_argument("--docs", action="store_true", help="write the results into docs/benchmarks.md too")
    return parser

"""The results as tables for a person and as JSON for a program, with the machine and the versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measurement import Measurement
from bench.results import Results
from bench.targets import Target
from checkout import CHECKOUT
from otlp_tracing.paths import build_flavor

_PACKAGES = ("otlp-tracing", "kong-pdk", "gevent", "greenlet", "msgpack", "grpcio")
COLUMNS = {
    "requests/s": ("requests_per_second", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:.2f}"),
    "p99 ms": ("p99_ms", "{:.2f}"),
    "nginx µs": ("nginx_us", "{:.0f}"),
    "server µs": ("server_us", "{:.0f}"),
    "per CPU s": ("requests_per_cpu_second", "{:,.0f}"),
    "sidecar µs": ("sidecar_us", "{:.0f}"),
    "failed": ("failed", "{}"),
}
"""Heading to the figure and how it is written; the microseconds are CPU time a request."""

TITLES = {
    "without_kong": "Without Kong: two load clients, 16 requests at a time each",
    "with_kong": "With Kong: one nginx worker, wrk, 32 connections",
    "profile": "Where a request's CPU time goes, µs, with Kong under a profiler",
    "kills": "A worker killed under load, on Kong with two workers",
}

KILLS_COLUMNS = ("kills", "requests", "requests/s", "failed", "failed a kill")


def circumstances() -> dict[str, Any]:
    """Tell the subject, the time and the machine of the measurement."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "path of a request": build_flavor(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _commit() -> str:
    """Read the commit from the checkout's files; it needs no git."""
    try:
        head = (CHECKOUT / ".git" / "HEAD").read_text().strip()
        reference = head.removeprefix("ref: ")
        return head if reference == head else (CHECKOUT / ".git" / reference).read_text().strip()
    except OSError:
        return "unknown"


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def as_json(results: Results, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "circumstances": dict(known),
        "medians": {
            part: {name: asdict(one) for name, one in results.medians(part).items()} for part in results.rounds
        },
        "rounds": {
            part: {name: list(map(asdict, one)) for name, one in all_.items()} for part, all_ in results.rounds.items()
        },
        "profile": {name: dict(one) for name, one in results.profile.items()},
        "kills": list(map(asdict, results.kills)),
        "targets": list(map(asdict, results.targets)),
    }


def print_results(console: Console, results: Results) -> None:
    """Print every part that was measured, and the ratios."""
    for part in results.rounds:
        _print_figures(console, TITLES[part], results.medians(part))
    if results.profile:
        _print_table(console, TITLES["profile"], ["", *results.profile], profile_rows(results))
    if results.kills:
        _print_table(console, TITLES["kills"], ["", *KILLS_COLUMNS], kills_rows(results))
    _print_targets(console, results.targets)


def profile_rows(results: Results) -> Iterator[list[str]]:
    """Write a row for each part of a request's way; a subject that has no such part has an empty place."""
    for part in dict.fromkeys(part for profile in results.profile.values() for part in profile):
        yield [part, *(written(profile.get(part), "{:.0f}") for profile in results.profile.values())]
    yield ["together", *(f"{sum(profile.values()):.0f}" for profile in results.profile.values())]


def kills_rows(results: Results) -> Iterator[list[str]]:
    """Write a row for each protocol and load."""
    for one in results.kills:
        figures = f"{one.requests:,}", f"{one.requests_per_second:,.0f}", str(one.failed), f"{one.per_kill:.1f}"
        yield [one.subject, str(one.kills), *figures]


def _print_table(console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(headings[0], title=title, title_justify="left")
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _print_figures(console: Console, title: str, figures: Mapping[str, Measurement]) -> None:
    # A column without any figure is left out.
    columns = [
        (heading, attribute, form)
        for heading, (attribute, form) in COLUMNS.items()
        if any(getattr(one, attribute) is not None for one in figures.values())
    ]
    rows = [
        [name, *(written(getattr(one, attribute), form) for _, attribute, form in columns)]
        for name, one in figures.items()
    ]
    _print_table(console, title, ["", *(heading for heading, _, _ in columns)], rows)


def _print_targets(console: Console, reached: Sequence[Target]) -> None:
    table = Table("ratio", "target", title="Targets", title_justify="left")
    table.add_column("measured", justify="right")
    table.add_column("")
    for target in reached:
        table.add_row(target.text, target.bound, f"{target.ratio:.2f}", "met" if target.met else "MISSED")
    console.print(table)


def written(value: float | None, form: str) -> str:
    """Write a figure, or nothing if it is missing."""
    return "" if value is None else form.format(value)

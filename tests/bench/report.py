"""The results as tables for a person and as JSON for a program, with what they were measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measurement import Measurement, median
from bench.targets import Target
from otlp_tracing.installation import form

__all__ = ["COLUMNS", "TITLES", "as_json", "circumstances", "print_figures", "print_targets", "written"]

Rounds = Mapping[str, Sequence[Measurement]]

_CHECKOUT = Path(__file__).resolve().parents[2]
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
}


def circumstances() -> dict[str, Any]:
    """Say what was measured, when and on what."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "path of a request": form(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _commit() -> str:
    """Read the commit from the checkout's files; it needs no git."""
    try:
        head = (_CHECKOUT / ".git" / "HEAD").read_text().strip()
        reference = head.removeprefix("ref: ")
        return head if reference == head else (_CHECKOUT / ".git" / reference).read_text().strip()
    except OSError:
        return "unknown"


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def as_json(rounds: Mapping[str, Rounds], reached: Sequence[Target], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "circumstances": dict(known),
        "medians": {part: {name: asdict(median(one)) for name, one in all_.items()} for part, all_ in rounds.items()},
        "rounds": {part: {name: list(map(asdict, one)) for name, one in all_.items()} for part, all_ in rounds.items()},
        "targets": [asdict(target) for target in reached],
    }


def print_figures(console: Console, title: str, rounds: Rounds) -> None:
    """Print the medians; a column that nobody has is left out."""
    figures = {name: median(one) for name, one in rounds.items()}
    columns = [
        (heading, attribute, form)
        for heading, (attribute, form) in COLUMNS.items()
        if any(getattr(one, attribute) is not None for one in figures.values())
    ]
    table = Table("", title=title, title_justify="left")
    for heading, _, _ in columns:
        table.add_column(heading, justify="right")
    for name, one in figures.items():
        table.add_row(name, *(written(getattr(one, attribute), form) for _, attribute, form in columns))
    console.print(table)


def print_targets(console: Console, reached: Sequence[Target]) -> None:
    """Print the ratios."""
    table = Table("ratio", "target", title="Targets", title_justify="left")
    table.add_column("measured", justify="right")
    table.add_column("")
    for target in reached:
        table.add_row(target.text, target.bound, f"{target.ratio:.2f}", "met" if target.met else "MISSED")
    console.print(table)


def written(value: float | None, form: str) -> str:
    """Write a figure, or nothing where there is none."""
    return "" if value is None else form.format(value)

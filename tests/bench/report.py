"""The report of a run: tables for a person, JSON for a program, with the machine and the versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.results import Results
from bench.tables import tables
from checkout import CHECKOUT
from otlp_tracing.paths import build_flavor

_PACKAGES = ("otlp-tracing", "kong-pdk", "gevent", "greenlet", "msgpack", "grpcio")


def circumstances(kong: Path | None = None) -> dict[str, Any]:
    """Tell the subject, the time and the machine of the measurement."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _said("git", "-C", str(CHECKOUT), "rev-parse", "HEAD"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "path of a request": build_flavor(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        **({"Kong": _said(str(kong), "version")} if kong else {}),
    }


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def as_json(results: Results, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that was measured."""
    return {"circumstances": dict(known), **asdict(results), "targets": list(map(asdict, results.targets))}


def print_results(console: Console, results: Results) -> None:
    """Print every part that was measured, and the ratios."""
    for one in tables(results):
        table = Table(title=one.title, title_justify="left")
        table.add_column(no_wrap=True)
        for heading in one.headings:
            table.add_column(heading, justify="right")
        for row in one.rows:
            table.add_row(*row)
        console.print(table)

"""Writes the results into docs/benchmarks.md, between its two markers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measurement import Measurement, median
from bench.report import COLUMNS, TITLES, written
from bench.targets import Target

__all__ = ["write_document"]

_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- results -->", "<!-- /results -->"

Rounds = Mapping[str, Sequence[Measurement]]


def write_document(
    parts: Mapping[str, Rounds], reached: Sequence[Target], circumstances: Mapping[str, Any], seconds: float
) -> None:
    """Replace what stands between the markers."""
    head, _, rest = _DOCUMENT.read_text().partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    lines = [_BEGIN, *_lines(parts, reached, circumstances, seconds), _END]
    _DOCUMENT.write_text(head + "\n".join(lines) + tail)


def _lines(
    parts: Mapping[str, Rounds], reached: Sequence[Target], circumstances: Mapping[str, Any], seconds: float
) -> Iterator[str]:
    rounds = max(len(one) for part in parts.values() for one in part.values())
    yield f"Medians of {rounds} rounds of {seconds:g} s, on {circumstances['cores']} cores ({circumstances['cpu']})."
    versions = ", ".join(f"{name} {value}" for name, value in circumstances.items() if name not in {"cpu", "cores"})
    yield f"{versions}."
    for name, part in parts.items():
        yield f"\n## {TITLES[name]}\n"
        yield from _table({subject: median(one) for subject, one in part.items()})
    yield "\n## Targets\n\n| ratio | target | measured | |\n|---|---|--:|---|"
    for target in reached:
        yield f"| {target.text} | {target.bound} | {target.ratio:.2f} | {'met' if target.met else 'missed'} |"


def _table(figures: Mapping[str, Measurement]) -> Iterator[str]:
    columns = {
        heading: column
        for heading, column in COLUMNS.items()
        if any(getattr(one, column[0]) is not None for one in figures.values())
    }
    yield "| | " + " | ".join(columns) + " |"
    yield "|---|" + "--:|" * len(columns)
    for name, one in figures.items():
        yield f"| {name} | " + " | ".join(written(getattr(one, field), form) for field, form in columns.values()) + " |"

"""Writes the results into docs/benchmarks.md, between its two markers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.measurement import Measurement
from bench.report import COLUMNS, KILLS_COLUMNS, TITLES, kills_rows, profile_rows, written
from bench.results import Results
from checkout import DOCS

_DOCUMENT = DOCS / "benchmarks.md"
_BEGIN, _END = "<!-- results -->", "<!-- /results -->"


def write_document(results: Results, circumstances: Mapping[str, Any], seconds: float) -> None:
    """Replace the text between the markers."""
    head, _, rest = _DOCUMENT.read_text().partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    lines = [_BEGIN, *_lines(results, circumstances, seconds), _END]
    _DOCUMENT.write_text(head + "\n".join(lines) + tail)


def _lines(results: Results, circumstances: Mapping[str, Any], seconds: float) -> Iterator[str]:
    rounds = max(len(one) for part in results.rounds.values() for one in part.values())
    yield f"Medians of {rounds} rounds of {seconds:g} s, on {circumstances['cores']} cores ({circumstances['cpu']})."
    versions = ", ".join(f"{name} {value}" for name, value in circumstances.items() if name not in {"cpu", "cores"})
    yield f"{versions}."
    for part in results.rounds:
        yield f"\n## {TITLES[part]}\n"
        yield from _figures(results.medians(part))
    yield "\n## Targets\n\n| ratio | target | measured | |\n|---|---|--:|---|"
    for target in results.targets:
        yield f"| {target.text} | {target.bound} | {target.ratio:.2f} | {'met' if target.met else 'missed'} |"
    yield f"\n## {TITLES['profile']}\n"
    yield from _table(list(results.profile), profile_rows(results))
    yield f"\n## {TITLES['kills']}\n"
    yield from _table(KILLS_COLUMNS, kills_rows(results))


def _figures(figures: Mapping[str, Measurement]) -> Iterator[str]:
    columns = {
        heading: column
        for heading, column in COLUMNS.items()
        if any(getattr(one, column[0]) is not None for one in figures.values())
    }
    rows = [
        [name, *(written(getattr(one, field), form) for field, form in columns.values())]
        for name, one in figures.items()
    ]
    yield from _table(list(columns), rows)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| | " + " | ".join(headings) + " |"
    yield "|---|" + "--:|" * len(headings)
    for row in rows:
        yield "| " + " | ".join(row) + " |"

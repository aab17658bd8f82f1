"""Writes results into a document, between its two markers, and the picture beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.picture import DARK, LIGHT, draw
from bench.results import Results
from bench.subjects import SUBJECTS
from bench.tables import Table, tables
from bench.with_kong import LOGGED
from checkout import DOCS

BENCHMARKS = DOCS / "benchmarks.md"
_PICTURES = {"light": LIGHT, "dark": DARK}
_DESCRIPTION = "CPU time and latency of a request without tracing, with Kong's own plugins and with this one"


def replace(document: Path, name: str, text: str) -> None:
    """Replace the text between a document's two markers."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    head, _, rest = document.read_text().partition(begin)
    _, mark, tail = rest.partition(end)
    assert mark, f"{document.name} has no place for {name}"
    document.write_text(head + begin + text + end + tail)


def write_document(results: Results, circumstances: Mapping[str, Any], seconds: float) -> None:
    """Write the tables and the picture."""
    rates = {
        rate: {name: one for name, one in results.at_rate(rate).items() if not SUBJECTS[name].before}
        for rate in results.with_kong.rates
        if rate != LOGGED
    }
    machine = f"one nginx worker, {circumstances['cores']} cores, {circumstances['cpu']}"
    note = f"Kong {circumstances['Kong']}, {machine}, {circumstances['date'][:10]}"
    for name, palette in _PICTURES.items():
        (DOCS / f"cost-{name}.svg").write_text(draw(rates, palette, note))
    replace(BENCHMARKS, "results", "\n".join(_lines(results, circumstances, seconds)))


def _lines(results: Results, circumstances: Mapping[str, Any], seconds: float) -> Iterator[str]:
    yield "<picture>"
    yield '  <source media="(prefers-color-scheme: dark)" srcset="cost-dark.svg">'
    yield f'  <img src="cost-light.svg" alt="{_DESCRIPTION}">'
    yield "</picture>\n"
    rounds = len(next(iter(results.without_kong.values())))
    yield f"Medians of {rounds} rounds of {seconds:g} s, on {circumstances['cores']} cores ({circumstances['cpu']})."
    versions = ", ".join(f"{name} {value}" for name, value in circumstances.items() if name not in {"cpu", "cores"})
    yield f"{versions}."
    for table in tables(results):
        yield f"\n## {table.title}\n"
        yield from markdown(table)


def markdown(table: Table) -> Iterator[str]:
    """Write a table's lines."""
    yield "| | " + " | ".join(table.headings) + " |"
    yield "|---|" + "--:|" * len(table.headings)
    for row in table.rows:
        yield "| " + " | ".join(row) + " |"

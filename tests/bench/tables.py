"""The results as tables of text, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.measurement import Loads, Measurement, median
from bench.results import Results

_COLUMNS = {
    "requests/s": ("requests_per_second", "{:,.0f}"),
    "p50 ms": ("p50_ms", "{:.2f}"),
    "p99 ms": ("p99_ms", "{:.2f}"),
    "nginx µs": ("nginx_us", "{:.0f}"),
    "server µs": ("server_us", "{:.0f}"),
    "sidecar µs": ("sidecar_us", "{:.0f}"),
    "in all µs": ("cpu_us", "{:.0f}"),
    "per CPU s": ("requests_per_cpu_second", "{:,.0f}"),
    "failed": ("failed", "{}"),
}
"""Heading to the figure and how it is written; the microseconds are CPU time a request."""

_CPU = ("nginx µs", "server µs", "sidecar µs", "in all µs")
_PROCESSES = {
    "nginx": "nginx worker",
    "server": "stock server",
    "serve": "supervisor",
    "worker": "worker",
    "sidecar": "sidecar",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first cell of a row has no heading."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> Iterator[Table]:
    """Write every part that was measured."""
    yield from _with_kong(results)
    if results.without_kong:
        headings = [heading for heading in _COLUMNS if heading not in {"nginx µs", "in all µs"}]
        figures = results.without_kong_medians
        yield _figures("Without Kong: two load clients, 16 requests at a time each", figures, headings)
    if results.start:
        rows = [[name, f"{value:,.0f}"] for name, value in results.start.items()]
        yield Table("Start and size", ["median"], rows)
    if results.profile:
        title = "CPU time of a request by part, µs, with Kong under a profiler"
        yield Table(title, list(results.profile), list(_profile(results)))
    if results.kills:
        headings = ["kills", "requests", "requests/s", "failed", "failed a kill"]
        yield Table("A worker killed under load, on Kong with two workers", headings, list(_kills(results)))
    if results.targets:
        verdicts = [
            [one.text, one.bound, f"{one.ratio:.2f}", "met" if one.met else "missed"] for one in results.targets
        ]
        yield Table("Targets", ["target", "measured", ""], verdicts)


def _with_kong(results: Results) -> Iterator[Table]:
    headings = ["requests/s", *_CPU, "alone µs", "alone ms", "half load ms", "full load ms", "failed"]
    for rate in results.with_kong.rates:
        rows = [[name, *_loads(one)] for name, one in results.at_rate(rate).items()]
        yield Table(f"At a sampling rate of {rate}", headings, rows)
    if results.with_kong.resident:
        yield Table("Memory, MiB at rest → under load, and CPU time at rest", *_resident(results))
    if results.with_kong.growth:
        headings = ["requests/s", "p50 ms", *_CPU, "failed"]
        rows = [
            [
                f"{name}, {kind}",
                *(_written(median(rounds), heading) for heading in headings),
                _mib(results.with_kong.grown[kind][name]),
            ]
            for kind, found in results.with_kong.growth.items()
            for name, rounds in found.items()
        ]
        yield Table("With more connections and routes, at 100 %", [*headings, "MiB in all"], rows)


def _loads(one: Loads) -> Iterator[str]:
    for heading in ("requests/s", *_CPU):
        yield _written(one.full, heading)
    yield _written(one.alone, "in all µs")
    for load in (one.alone, one.half, one.full):
        yield f"{load.p50_ms:.2f} / {load.p99_ms:.2f}"
    yield str(one.failed)


def _resident(results: Results) -> tuple[list[str], list[list[str]]]:
    found = results.with_kong.resident
    kinds = [kind for kind in _PROCESSES if any(kind in one.at_rest for one in found.values())]
    rows = [
        [
            name,
            *(
                f"{_mib(one.at_rest[kind])} → {_mib(one.under_load.get(kind, 0))}" if kind in one.at_rest else ""
                for kind in kinds
            ),
            f"{one.idle_ms:.1f}",
        ]
        for name, one in found.items()
    ]
    return [*(_PROCESSES[kind] for kind in kinds), "CPU ms/s"], rows


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f}"


def _figures(title: str, figures: Mapping[str, Measurement], headings: Iterable[str]) -> Table:
    columns = list(headings)
    rows = [[name, *(_written(one, heading) for heading in columns)] for name, one in figures.items()]
    return Table(title, columns, rows)


def _profile(results: Results) -> Iterator[list[str]]:
    """Write a row for each part of a request's way; a subject that has no such part has an empty place."""
    for part in dict.fromkeys(part for profile in results.profile.values() for part in profile):
        found = (profile.get(part) for profile in results.profile.values())
        yield [part, *("" if value is None else f"{value:.0f}" for value in found)]
    yield ["together", *(f"{sum(profile.values()):.0f}" for profile in results.profile.values())]


def _kills(results: Results) -> Iterator[list[str]]:
    for one in results.kills:
        figures = f"{one.requests:,}", f"{one.requests_per_second:,.0f}", str(one.failed), f"{one.per_kill:.1f}"
        yield [one.subject, str(one.kills), *figures]


def _written(one: Measurement, heading: str) -> str:
    """Write a figure, or nothing if it is missing."""
    attribute, form = _COLUMNS[heading]
    value = getattr(one, attribute)
    return "" if value is None else form.format(value)

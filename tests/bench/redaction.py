"""`python -m tests.bench.redaction`: CPU time of redaction, for an ordinary span and for the worst values known.

Results: a clean span costs less than 10 µs. No value of a KiB costs a millisecond; the most expensive are those for
which the budget stops the search. `--docs` writes the table into docs/redaction.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest's pythonpath has it

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.document import replace
from bench.report import circumstances
from checkout import DOCS
from corpora.hostile import CATASTROPHIC, hostile_values
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.detectors import CONTENT_DETECTORS
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.redaction.report import RedactionReport
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT, rules_of, spans_of

DOCUMENT = DOCS / "redaction.md"
TARGET_SPAN_US, TARGET_KIB_US = 15, 1000
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
ALL = list(CONTENT_DETECTORS)

Row = tuple[str, float, float]
"""The measured microseconds of CPU, at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if a figure misses its target."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.redaction", description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the results into docs/redaction.md")
    options = parser.parse_args(arguments)
    rows = list(_rows())
    table = Table("redaction", "CPU µs", "target")
    for name, microseconds, target in rows:
        table.add_row(escape(name), f"{microseconds:.1f}", f"{target:g}", style="red" if microseconds > target else "")
    Console().print(table)
    if options.docs:
        _write(rows)
    return int(any(microseconds > target for _, microseconds, target in rows))


def _rows() -> Iterator[Row]:
    server, client = _ordinary("page=1&sort=name")
    yield "a SERVER span without a secret", _microseconds({}, server), TARGET_SPAN_US
    yield "its CLIENT span", _microseconds({}, client), TARGET_SPAN_US
    patterns = [{"name": "order", "pattern": "ORD-[0-9]{8}"}, {"name": "mrn", "pattern": "(?i)mrn[ :#]*[0-9]{7,9}"}]
    yield (
        "the SERVER span, two own patterns",
        _microseconds({"patterns": patterns}, server),
        2 * TARGET_SPAN_US,
    )
    (secret, _) = _ordinary("page=1&token=abc")
    yield "the SERVER span with `token=abc` in its query", _microseconds({}, secret), 2 * TARGET_SPAN_US
    for place in ("url.query", "user_agent.original"):
        figures = {name: _microseconds({"detectors": ALL}, _holding(place, value)) for name, value in _values(place)}
        worst = max(figures, key=lambda name: figures[name])
        yield f"1 KiB in `{place}`, the worst of {len(figures)}: {worst}", figures[worst], TARGET_KIB_US
    for name, pattern in CATASTROPHIC.items():
        redaction = {"detectors": ALL, "patterns": [{"name": "p", "pattern": pattern}]}
        worst_us = max(_microseconds(redaction, _holding("url.query", value)) for _, value in _values("url.query"))
        shown = pattern.replace("|", r"\|")  # in a table's cell
        yield f"the worst 1 KiB with the pattern `{shown}` ({name})", worst_us, TARGET_KIB_US


def _values(place: str) -> Iterator[tuple[str, str]]:
    # A new value for each repetition would be fairer to caches of names. In all other respects one value is enough.
    yield from hostile_values().items()
    if place == "url.query":
        yield "names nobody sent before, others each time", "*"


def _ordinary(query: str) -> tuple[SpanRecord, SpanRecord]:
    request = {
        "uri": f"/api/users/42?{query}",
        "url": "http://gw:8000/api/users/42",
        "id": "5f3b2c6a9d8e4f1b7a6c5d4e3f2a1b0c",
        "headers": {"host": "gw:8000", "user-agent": BROWSER},
        "size": 120,
    }
    identifiers = [f"2b5e4c1a-93c3-4f7a-9a3e-1d7c7b0a8f6{number}" for number in range(2)]
    server, client = spans_of(
        CONTEXT,
        rules_of(),
        request=request,
        response={"status": 200, "size": 300},
        route={"id": identifiers[0], "name": "users-route", "paths": ["/api/users"]},
        service={"id": identifiers[1], "name": "users", "protocol": "http", "host": "users", "port": 8080},
        upstream_uri=f"/users/42?{query}",
        tries=[{"ip": "10.0.0.17", "port": 8080}],
        workspace_name="default",
        client_ip="10.0.0.18",
    )
    return server, client


def _holding(attribute: str, value: str) -> SpanRecord:
    return SpanRecord(b"t" * 16, b"s" * 8, None, "", "server", 1, 2, {attribute: value}, 3, "", is_error=False)


def _microseconds(redaction: dict[str, Any], span: SpanRecord, rounds: int = 5) -> float:
    """Return the CPU time of one redaction with its report: the best round's, since noise only adds."""
    redactor = Redactor(Settings.from_config({"redaction": redaction}).redaction)
    note = partial(RedactionReport(Metrics()).record, "route")
    spans = [_fresh(span, number) for number in range(50)]
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time_ns()
        for one in spans:
            redactor.redact(one, note)
        best = min(best, (time.process_time_ns() - start) / len(spans) / 1000)
    return best


def _fresh(span: SpanRecord, number: int) -> SpanRecord:
    if span.attributes.get("url.query") != "*":
        return span
    names = "&".join(f"{chr(97 + number % 26)}{number:x}{index:x}=" for index in range(1024))[:1024]
    return _holding("url.query", names)


def _write(rows: Sequence[Row]) -> None:
    known = circumstances()
    table = [
        "| | CPU µs | at most |",
        "|---|--:|--:|",
        *(f"| {name} | {us:.1f} | {most:g} |" for name, us, most in rows),
    ]
    where = f"On {known['cpu']}, Python {known['python']}, {known['date'][:10]}; the best of five rounds."
    replace(DOCUMENT, "cost", "\n".join([*table, "", where]))


if __name__ == "__main__":
    sys.exit(main())

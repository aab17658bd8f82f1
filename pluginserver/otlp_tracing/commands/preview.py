"""`otlp-tracing check --redaction FILE [KONG_YML]`: sample requests through a configuration, before and after.

Makes Kong's log record of each sample, the spans of that, and redacts them, by the parts that the sidecar
uses. What it prints are the sample's own values: it is for the person who wrote them.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otlp_tracing.commands.check import faults_of, plugin_entries, read_declaration
from otlp_tracing.config.settings import Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sidecar.ingest.log_record import LogRecord
from otlp_tracing.sidecar.redaction.redactor import Redactor, redaction_warnings
from otlp_tracing.sidecar.redaction.string_kinds import SPAN_NAME, TRACE_STATE
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.cardinality import NameGuard
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.rules import SpanRules

__all__ = ["Sample", "read_samples", "show"]

_REQUEST_LINE = re.compile(r"(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/[\d.]+)?")
_STATUS_LINE = re.compile(r"HTTP/[\d.]+ (?P<status>\d{3}).*")
_STATUS = re.compile(r"[1-5][0-9]{2}")
_WORDS = re.compile(r"([/?&=;,:@()\s]+)")
_SEPARATOR = re.compile(r"^###.*$", re.MULTILINE)
_MOST_BYTES = 4 << 20  # of a file of samples: thousands of requests, more than anybody reads through
_LONGEST_SHOWN = 80  # of what stands in the wrong place: enough to find it, in one line
_SHAPE = "must be a list of {request: GET /path, headers: {…}, response: {status: …, headers: {…}}, route: …}"


@dataclass(frozen=True)
class Sample:
    """One request and what was answered.

    Args:
        method: such as GET.
        target: path and query.
        headers: of the request.
        status: of the response.
        response_headers: of the response.
        route: name of the route that it is for, whose entry is tried; empty for each entry.
    """

    method: str
    target: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    status: int = 200
    response_headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    route: str = ""


@dataclass(frozen=True)
class _Change:
    attribute: str
    before: str
    after: str | None
    rules: tuple[str, ...]


def show(samples: Path, kong_yml: Path | None, console: Console | None = None) -> int:
    """Print what redaction does to each sample under each entry; return the exit code.

    Args:
        samples: as read_samples takes them.
        kong_yml: whose otlp-tracing entries decide; without it the defaults do.
        console: to print on; None for stdout.

    Raises:
        ConfigError: for a file that cannot be read, or an entry with a fault.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 120, markup=False, highlight=False, emoji=False)
    wanted = list(read_samples(samples))
    entries = list(_entries(kong_yml))
    for place, settings in entries:
        redactor = Redactor(settings.redaction)
        for caution in redaction_warnings(settings.redaction):
            console.print(Text(f"{place or 'the defaults'}: {caution}", style="bold yellow"))
        for sample in wanted:
            if _goes_through(sample, place, [other for other, _ in entries]):
                _print(console, place, sample, _trial(sample, settings, redactor))
    return 0


def read_samples(path: Path) -> Iterator[Sample]:
    """Read samples: a YAML or JSON list, or requests as HTTP has them, with `###` lines between.

    Raises:
        ConfigError: for anything else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), "", f"cannot be read: {error}")]) from error
    if path.suffix in {".yml", ".yaml", ".json"}:
        yield from _of_document(path, text)
        return
    for number, part in enumerate(_SEPARATOR.split(text), 1):
        if part.strip():
            yield _of_http(f"{path}, request {number}", part.strip())


def _of_document(path: Path, text: str) -> Iterator[Sample]:
    try:
        document = yaml.safe_load(text)
    # PyYAML lets out what Python says of a day that no month has, and of lists in lists without end.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([Fault(str(path), "", f"is not YAML: {' '.join(str(error).split())}")]) from error
    if not isinstance(document, list):
        raise ConfigError([Fault(str(path), "", _SHAPE)])
    for number, one in enumerate(document, 1):
        place = f"{path}, [{number}]"
        line = _REQUEST_LINE.fullmatch(str(one.get("request", ""))) if isinstance(one, dict) else None
        if line is None:
            raise ConfigError([Fault(place, "", _SHAPE)])
        response = _record(f"{place}.response", one.get("response"))
        yield Sample(
            line["method"],
            line["target"],
            _texts(f"{place}.headers", one.get("headers")),
            _status(f"{place}.response.status", response.get("status", 200)),
            _texts(f"{place}.response.headers", response.get("headers")),
            str(one.get("route") or ""),
        )


def _of_http(place: str, text: str) -> Sample:
    head, _, answer = text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    line = _REQUEST_LINE.fullmatch(first.strip())
    if line is None:
        raise ConfigError([Fault(place, "", "must begin with a request line, such as `GET /path?query HTTP/1.1`")])
    status, *answer_lines = answer.strip().split("\n")
    answered = _STATUS_LINE.fullmatch(status.strip())
    if answered is None:
        return Sample(line["method"], line["target"], _header_lines(lines))
    return Sample(
        line["method"], line["target"], _header_lines(lines), int(answered["status"]), _header_lines(answer_lines)
    )


def _header_lines(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _record(place: str, value: object) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError([Fault(place, _shown(value), "must be a record, {name: value, …}")])
    return value


def _status(place: str, value: object) -> int:
    if not _STATUS.fullmatch(str(value)):
        raise ConfigError([Fault(place, _shown(value), "must be a number from 100 to 599")])
    return int(str(value))


def _texts(place: str, headers: object) -> dict[str, str]:
    return {str(name): str(value) for name, value in _record(place, headers).items()}


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, list | dict) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _entries(kong_yml: Path | None) -> Iterator[tuple[str, Settings]]:
    if kong_yml is None:
        yield "", Settings.from_config({})
        return
    for place, entry in plugin_entries(read_declaration(kong_yml)):
        if faults := faults_of(entry):
            raise ConfigError([Fault(f"{kong_yml}: {place}: {one.field}", one.value, one.rule) for one in faults])
        yield place, Settings.from_config(entry.get("config") or {})


def _goes_through(sample: Sample, place: str, places: Sequence[str]) -> bool:
    def is_own(other: str) -> bool:
        return other.endswith(f"route {sample.route}")

    # A route without an entry has its service's or the global one's; which service's, the sample does not say.
    return not sample.route or (is_own(place) if any(map(is_own, places)) else "route " not in place)


def _trial(sample: Sample, settings: Settings, redactor: Redactor) -> list[_Change]:
    if not settings.capture.request_headers and not settings.capture.response_headers:
        # Nothing captured would show nothing: then every header of the sample is.
        capture = dataclasses.replace(
            settings.capture, request_headers=tuple(sample.headers), response_headers=tuple(sample.response_headers)
        )
        settings = dataclasses.replace(settings, capture=capture)
    return [change for span in _spans(sample, settings) for change in _changes(span, redactor)]


def _spans(sample: Sample, settings: Settings) -> list[SpanRecord]:
    headers = {name.lower(): value for name, value in sample.headers.items()}
    host = headers.setdefault("host", "gateway")
    record = msgspec.convert(
        {
            "request": {
                "method": sample.method,
                "uri": sample.target,
                "url": f"http://{host}{sample.target}",
                "headers": headers,
            },
            "response": {
                "status": sample.status,
                "headers": {name.lower(): value for name, value in sample.response_headers.items()},
            },
            "service": {"protocol": "http", "host": "upstream", "port": 80},
            "upstream_uri": sample.target,
            "upstream_status": str(sample.status),
            "source": "upstream",
            "tries": [{}],
            "started_at": 0,
            "latencies": {"request": 1},
        },
        LogRecord,
    )
    # The ids are shown nowhere; baggage is captured as the gateway does it.
    tracer = RequestTracer.of(
        settings.sampling, bytes, settings.propagation, settings.capture, redaction=settings.redaction
    )
    context: RequestContext = tracer.begin({name: [value] for name, value in headers.items()})
    return assemble(record, context, SpanRules.of(settings, HttpMethods({}), NameGuard()))


def _changes(span: SpanRecord, redactor: Redactor) -> Iterator[_Change]:
    found: dict[str, list[str]] = {}

    def note(attribute: str, rule: str, action: str, _value: str) -> None:
        found.setdefault(attribute, []).append(rule if action == "redacted" else f"{rule} ({action})")

    after = redactor.redact(span, note)
    for attribute, rules in found.items():
        name = span.name if attribute == SPAN_NAME else attribute
        shown = _text_of(span, attribute) or ""
        yield _Change(f"{span.kind}  {name}", shown, _text_of(after, attribute), tuple(dict.fromkeys(rules)))


def _text_of(span: SpanRecord, attribute: str) -> str | None:
    if attribute == SPAN_NAME:
        return span.name
    if attribute == TRACE_STATE:
        # The span and its links have a tracestate each, which may be empty.
        return ", ".join(filter(None, (span.trace_state, *(link.trace_state for link in span.links))))
    value = span.attributes.get(attribute)
    return ", ".join(value) if isinstance(value, list) else None if value is None else str(value)


def _print(console: Console, place: str, sample: Sample, changes: Sequence[_Change]) -> None:
    console.print(Text(f"{sample.method} {sample.target}", style="bold"))
    console.print(Text(f"  by {place or 'the defaults'}", style="dim"))
    if not changes:
        console.print(Text("  nothing found\n", style="green"))
        return
    table = Table(show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("attribute", "before", "after", "rule"):
        table.add_column(heading, overflow="fold")
    for change in changes:
        after = "(left out)" if change.after is None else change.after
        table.add_row(
            Text(change.attribute),
            _marked(change.before, change.after, "bold red"),
            _marked(after, change.before, "bold green"),
            Text(", ".join(change.rules), style="yellow"),
        )
    console.print(table)
    console.print()


def _marked(text: str, other: str | None, style: str) -> Text:
    """Return a text with what the other has not in a style of its own, word by word."""
    if other is None:
        return Text(text, style=style)
    words, others = _WORDS.split(text), _WORDS.split(other)
    marked = Text()
    for kind, start, end, *_ in difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        marked.append("".join(words[start:end]), style="" if kind == "equal" else style)
    return marked

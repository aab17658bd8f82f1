"""`otlp-tracing check --redaction FILE [KONG_YML]`: sample requests before and after redaction.

Makes Kong's log record of each sample, assembles its spans, and redacts them, with the sidecar's own modules.
It prints the sample's own values, for their author.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from otlp_tracing.commands.check.entry_rules import faults_of
from otlp_tracing.commands.kong_files.documents import Entry
from otlp_tracing.commands.kong_files.entities import PLUGIN
from otlp_tracing.commands.kong_files.reader import read_documents
from otlp_tracing.commands.screen import Cell, Screen, printable
from otlp_tracing.config.settings import Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.redaction.redactor import Redactor, redaction_warnings
from otlp_tracing.sidecar.redaction.string_kinds import SPAN_NAME, TRACE_STATE
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.rules import SpanRules

_REQUEST_LINE = re.compile(r"(?P<method>[A-Z]+) (?P<target>\S+)(?: HTTP/[\d.]+)?")
_STATUS_LINE = re.compile(r"HTTP/[\d.]+ (?P<status>\d{3}).*")
_STATUS = re.compile(r"[1-5][0-9]{2}")
_WORDS = re.compile(r"([/?&=;,:@()\s]+)")
_SEPARATOR = re.compile(r"^###.*$", re.MULTILINE)
_MOST_BYTES = 4 << 20  # of a file of samples: thousands of requests
_SHAPE = "must be a list of {request: GET /path, headers: {…}, response: {status: …, headers: {…}}, route: …}"


@dataclass(frozen=True)
class Sample:
    """One request and its response.

    Args:
        method: such as GET.
        target: path and query.
        headers: of the request.
        status: of the response.
        response_headers: of the response.
        route: name of its route; the entry of that route is tried; empty tries every entry.
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


def show(samples: Path, kong_yml: Path | None, screen: Screen | None = None) -> int:
    """Print each sample under each entry, before and after redaction; return the exit code.

    Args:
        samples: as read_samples takes them.
        kong_yml: file with the otlp-tracing entries; without it the defaults count.
        screen: to print on; None for stdout.

    Raises:
        ConfigError: for a file that cannot be read, or an entry with a fault.
    """
    screen = screen or Screen()
    requests = list(read_samples(samples))
    entries = list(_entries(kong_yml))
    for entry, settings in entries:
        place = entry.place if entry else ""
        redactor = Redactor(settings.redaction, settings.span.attributes)
        for field, text in redaction_warnings(settings.redaction):
            screen.line((f"{place or 'the defaults'}: {field}: {text}", "yellow"))
        for sample in requests:
            if _applies_to(entry, sample, [other for other, _ in entries]):
                _print(screen, place, sample, _changes_of(sample, settings, redactor))
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
    # PyYAML passes on Python's own errors: for a day that no month has, and for very deep nesting.
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
    return str(value) if isinstance(value, list | dict) else json.dumps(value, ensure_ascii=False, default=str)


def _entries(kong_yml: Path | None) -> Iterator[tuple[Entry | None, Settings]]:
    if kong_yml is None:
        yield None, Settings.from_config({})
        return
    for entry in (one for document in read_documents(kong_yml, PLUGIN.__eq__) for one in document.entries):
        if faults := faults_of(entry.value):
            raise ConfigError([Fault(f"{kong_yml}: {entry.place}: {one.field}", "", one.rule) for one in faults])
        yield entry, Settings.from_config(entry.value.get("config") or {})


def _applies_to(entry: Entry | None, sample: Sample, entries: Sequence[Entry | None]) -> bool:
    route = entry and entry.scope.route
    has_own = any(one and one.scope.route == sample.route for one in entries)
    # A route without an entry has its service's entry or the global one. The sample does not name its service.
    return not sample.route or (route == sample.route if has_own else route is None)


def _changes_of(sample: Sample, settings: Settings, redactor: Redactor) -> list[_Change]:
    if not settings.capture.request_headers and not settings.capture.response_headers:
        # Without any captured header there would be no header to show: so all headers of the sample are captured.
        capture = dataclasses.replace(
            settings.capture, request_headers=tuple(sample.headers), response_headers=tuple(sample.response_headers)
        )
        settings = dataclasses.replace(settings, capture=capture)
    return [change for span in _spans(sample, settings) for change in _changes(span, redactor)]


def _spans(sample: Sample, settings: Settings) -> list[SpanRecord]:
    headers = {name.lower(): value for name, value in sample.headers.items()}
    host = headers.setdefault("host", "gateway")
    record = {
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
    }
    # No output shows the ids; baggage is captured as in the plugin.
    tracer = RequestTracer.from_settings(settings, bytes)
    context: RequestContext = tracer.begin({name: [value] for name, value in headers.items()})
    rules = SpanRules.from_settings(settings, HttpMethods({}), CardinalityLimit())
    return assemble(decode(json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")), context, rules)


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


def _print(screen: Screen, place: str, sample: Sample, changes: Sequence[_Change]) -> None:
    screen.line((printable(f"{sample.method} {sample.target}"), "bold"))
    screen.line((f"  by {place or 'the defaults'}", "dim"))
    if not changes:
        screen.line(("  nothing found", "green"))
    for change in changes:
        after = "(left out)" if change.after is None else change.after
        screen.line(f"  {printable(change.attribute)}")
        screen.line("    before  ", *_marked(change.before, change.after, "red"))
        screen.line("    after   ", *_marked(after, change.before, "green"))
        screen.line("    by      ", (", ".join(change.rules), "yellow"))
    screen.line()


def _marked(text: str, other: str | None, style: str) -> Iterator[Cell]:
    """Yield a text in parts; the words that the other text does not have get the style."""
    if other is None:
        yield printable(text), style
        return
    words, others = _WORDS.split(text), _WORDS.split(other)
    for kind, start, end, *_ in difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        yield printable("".join(words[start:end])), "" if kind == "equal" else style

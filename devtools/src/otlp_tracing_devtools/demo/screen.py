"""The demo's text: a trace is a list of its spans, indented as a tree.

Pure but for the stream it prints on. Text from a request is shown as text: no control sequence reaches the terminal.
"""

from __future__ import annotations

import io
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from otlp_tracing.paths import typed_command
from otlp_tracing_devtools.demo.declaration import BATCH_TIMEOUT_MS
from otlp_tracing_devtools.demo.ports import Port
from otlp_tracing_devtools.demo.spans import SeenSpan, tree_order
from otlp_tracing_devtools.demo.traffic import Caller, Sent

REDACTED = "REDACTED"
"""The replacement of a sensitive value."""

_WIDE = 100  # columns of a text where there is no terminal
_SPAN_WIDTH = 88  # columns of a span's line
_IN = " " * 5

_PARTS = {
    "gateway": ("gateway", "a stand-in Kong, with this project's kong.yml"),
    "users": ("user-service", "a small service (examples/) that calls order-service"),
    "orders": ("order-service", "its HTTP side"),
    "orders-grpc": ("", "its gRPC side, which user-service calls"),
    "sidecar": ("sidecar", "of a real `otlp-tracing serve`: the live page, /metrics, /healthz"),
    "sink": ("OTLP receiver", "in the place of a collector: the spans below arrived here"),
}


@dataclass
class Tally:
    """The requests, and their results."""

    sent: int = 0
    traces: int = 0
    untraced: dict[str, int] = field(default_factory=dict)


class Screen:
    """The demo's output, from the first line to the last.

    Args:
        stream: None of its lines is cut off.
        width: columns; None for the width of the terminal, or COLUMNS, or 100.
    """

    def __init__(self, stream: TextIO, width: int | None = None) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that an old locale cannot show is no reason to end
        self._stream = stream
        self._width = width or shutil.get_terminal_size((_WIDE, 24)).columns

    def opening(self, ports: Mapping[str, Port]) -> None:
        """Tell which programs are started, and where."""
        self._say("otlp-tracing demo: traces through a gateway and two services, on this machine", "")
        for key, (name, text) in _PARTS.items():
            port = ports[key]
            address = port.address if key in {"sink", "orders-grpc"} else port.url
            self._columns(f"  {name:<14} {address:<24}", text)
        if taken := [str(port.wanted) for port in ports.values() if port.number != port.wanted]:
            self._say(f"  These ports were taken, so free ones are used instead: {', '.join(taken)}")
        self._say(
            "",
            f"Open {ports['sidecar'].url}/ to watch: the page shows every trace below as it arrives, as a waterfall.",
            "",
            "The names user-service:8080, order-service:8080 and otel-collector:4317 of kong.yml belong to a network "
            f"of containers. Here they are the ports above. Spans are sent after {BATCH_TIMEOUT_MS} ms, for a person "
            "that watches.",
        )

    def trace(self, number: int, sent: Sent, spans: Sequence[SeenSpan]) -> None:
        """Show a request with every span of its trace."""
        example = sent.example
        title = textwrap.wrap(f"{number:>3}  {example.title}", min(self._width, _WIDE), subsequent_indent=_IN)
        self._print("", *title, f"{_IN}{_request_line(sent)} {sent.status}")
        if spans:
            begun = ", begun by the caller" if example.caller is Caller.SAMPLED else ""
            self._print(f"     trace {spans[0].trace_id}, {_count(len(spans), 'span')}{begun}")
        for depth, one in tree_order(spans):
            self._print(_span_line(depth, one) if self._width >= _SPAN_WIDTH else _narrow_span_line(depth, one))
            for name, value in one.attributes.items():
                if REDACTED in value:
                    self._print(f"    {'':<14}{'  ' * depth}{plain(name)} = {plain(value)}")
        if example.untraced:
            text = f"{example.untraced}. {example.explanation}"
            self._print(
                *textwrap.wrap(text, min(self._width, _WIDE), initial_indent=" " * 5, subsequent_indent=" " * 5)
            )

    def line(self, number: int, sent: Sent, spans: Sequence[SeenSpan]) -> None:
        """Show a request in one line."""
        text = f"{'-':>8}  {sent.example.untraced or 'no span came'}"
        if spans:
            text = f"{duration(_whole_ms(spans)):>8}  {_count(len(spans), 'span')}  {spans[0].trace_id}"
        self._columns(f"{number:>3}  {sent.status}  {text:<51}", f" {_request_line(sent)}")

    def incomplete(self, sent: Sent, spans: Sequence[SeenSpan], waited_s: float) -> None:
        """Tell which parts of a trace are missing."""
        missing = [name for name in sent.example.services if name not in {one.service for one in spans}]
        text = f"no span of {', '.join(missing)}" if missing else "not every span"
        self._print(f"     INCOMPLETE: {text} came within {waited_s:.0f} s")

    def unexpected(self, spans: Sequence[SeenSpan]) -> None:
        """Say that there are spans where none should be."""
        self._print(f"     UNEXPECTED: there should be no span of this request, but {len(spans)} came")

    def in_lines(self, page_url: str = "") -> None:
        """Tell that from here on a request has one line.

        Args:
            page_url: of the live page, if the requests continue until Ctrl-C; empty if they come to an end.
        """
        steady = f"One request a second from here on, to be watched at {page_url} as well; Ctrl-C ends it."
        self._say("", steady if page_url else "The same requests again, one line each:")

    def summary(
        self, tally: Tally, spans_by_service: Mapping[str, int], counts: Mapping[str, int], metrics_url: str
    ) -> None:
        """Show the totals, and the next steps.

        Args:
            tally: of the requests.
            spans_by_service: at the receiver.
            counts: of the sidecar, see span_counts; empty if it does not answer.
            metrics_url: of the sidecar.
        """
        untraced = [f", {count} not ({reason})" for reason, count in tally.untraced.items()]
        self._say("", f"{_count(tally.sent, 'request')}: {tally.traces} traced{''.join(untraced)}")
        by_service = ", ".join(f"{plain(name)} {count}" for name, count in sorted(spans_by_service.items()))
        self._say(f"Spans at the OTLP receiver: {by_service or '0'}.")
        if counts:
            listed = ", ".join(f"{name} {count}" for name, count in counts.items())
            self._say(f"Spans by the sidecar's own count ({metrics_url}): {listed}.")
        self._print(
            "Next: put it on your own Kong; the README says how.",
            f"      {typed_command('check', 'kong.yml')} finds every fault of your own file.",
        )

    def _columns(self, left: str, right: str) -> None:
        """Print two texts in a line, or in two lines of a narrow terminal."""
        if len(left) + 1 + len(right) <= self._width:
            self._print(f"{left} {right}")
        else:
            self._print(
                left.rstrip(), *textwrap.wrap(right.strip(), self._width, initial_indent=_IN, subsequent_indent=_IN)
            )

    def _print(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._stream, flush=True)

    def _say(self, *sentences: str) -> None:
        for one in sentences:
            self._print(*(textwrap.wrap(one, min(self._width, _WIDE), break_on_hyphens=False) or [""]))


def plain(text: str) -> str:
    """Make text that is safe on a terminal, on one line: characters that cannot be printed are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def duration(milliseconds: float) -> str:
    """Show a duration in at most eight characters."""
    if milliseconds >= 9_999.5:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 99.95 else f"{milliseconds:.0f} ms"


def _span_line(depth: int, one: SeenSpan) -> str:
    name = f"{'  ' * depth}{plain(one.name)}"
    status = plain(one.attributes.get("http.response.status_code", ""))
    result = f"{status} ERROR".strip() if one.is_error else status or "-"
    return f"    {plain(one.service):<14}{name:<42} {one.kind:<8} {result:<9} {duration(one.duration_ms):>8}"


def _narrow_span_line(depth: int, one: SeenSpan) -> str:
    # The duration first: if the terminal breaks the line, it breaks the name.
    return f"    {duration(one.duration_ms):>8}  {'  ' * depth}{plain(one.service)}: {plain(one.name)}"


def _request_line(sent: Sent) -> str:
    return plain(f"{sent.example.method} {sent.example.target}")


def _whole_ms(spans: Sequence[SeenSpan]) -> float:
    return (max(one.end_unix_ns for one in spans) - min(one.start_unix_ns for one in spans)) / 1_000_000


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""The demo's text, and its look.

Pure but for the console it prints on. Every text is built as text, so no text from a request can be taken for markup.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TextIO

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otlp_tracing_devtools.demo.declaration import BATCH_TIMEOUT_MS
from otlp_tracing_devtools.demo.ports import Port
from otlp_tracing_devtools.demo.spans import SeenSpan
from otlp_tracing_devtools.demo.traffic import Caller, Sent
from otlp_tracing_devtools.demo.waterfall import Waterfall, duration, plain

_PLAIN_WIDTH = 100  # where there is no terminal to ask

_PARTS = {
    "gateway": ("gateway", "a stand-in for Kong, with this project's kong.yml"),
    "users": ("user-service", "a small service (examples/) that calls order-service"),
    "orders": ("order-service", "its HTTP side"),
    "orders-grpc": ("", "its gRPC side, which user-service calls"),
    "sidecar": ("sidecar", "of a real `otlp-tracing serve`: the live page, /metrics, /healthz"),
    "sink": ("OTLP sink", "a stand-in for a collector: what is drawn came in here"),
}


def open_console(stream: TextIO) -> Console:
    """Make a console: as wide as the terminal, or plain text 100 columns wide without a terminal."""
    width = None if stream.isatty() else _PLAIN_WIDTH
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a character that an old locale cannot show is no reason to end
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


@dataclass
class Tally:
    """The requests, and their results."""

    sent: int = 0
    traces: int = 0
    untraced: dict[str, int] = field(default_factory=dict)


class Screen:
    """The demo's output, from the first line to the last."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def opening(self, ports: Mapping[str, Port]) -> None:
        """Tell which programs are started, and where."""
        self._console.print(
            Text("otlp-tracing demo: traces through a gateway and two services, on this machine", style="bold")
        )
        self._console.print()
        table = Table.grid(padding=(0, 2, 0, 0))
        for key, (name, what) in _PARTS.items():
            port = ports[key]
            address = port.address if key in {"sink", "orders-grpc"} else port.url
            table.add_row(Text(f"  {name}"), Text(address, style="cyan"), Text(what, style="dim"))
        self._console.print(table)
        if taken := [str(port.wanted) for port in ports.values() if port.number != port.wanted]:
            self._console.print(Text(f"  taken, so that free ones are used: {', '.join(taken)}", style="yellow"))
        self._console.print()
        self._console.print(
            Text("Open ", style="bold")
            .append(f"{ports['sidecar'].url}/", style="bold cyan underline")
            .append(" to watch: every trace below is there as it comes, with its waterfall.", style="bold")
        )
        self._console.print()
        self._say(
            "In kong.yml, user-service:8080, order-service:8080 and otel-collector:4317 are names of a network of "
            "containers: here they are the ports above."
        )
        self._say(f"Its batch_export.timeout is lowered to {BATCH_TIMEOUT_MS} ms, so that traces can be watched.")

    def starting(self) -> AbstractContextManager[object]:
        """Show that something is under way, on a terminal."""
        return self._console.status("starting") if self._console.is_terminal else nullcontext()

    def waterfall(self, number: int, sent: Sent, spans: Sequence[SeenSpan]) -> None:
        """Show a request with all there is to see of it."""
        example = sent.example
        self._console.print()
        self._console.print(Text(f"{number:>3}  ", style="dim").append(example.title, style="bold"))
        self._indented(Text(_request_line(sent)).append(f" {sent.status}", style=_status_style(sent.status)))
        if spans:
            begun = ", begun by the caller" if example.caller is Caller.SAMPLED else ""
            self._indented(Text(f"trace {spans[0].trace_id}, {_count(len(spans), 'span')}{begun}", style="dim"))
            self._console.print(Padding(Waterfall(spans), (0, 0, 0, 2)))
        if example.untraced:
            self._indented(Text(f"{example.untraced}. ", style="yellow").append(example.explanation, style="dim"))

    def line(self, number: int, sent: Sent, spans: Sequence[SeenSpan]) -> None:
        """Show a request in a line, cut off where the terminal ends."""
        what = f"{'-':>8}  {sent.example.untraced or 'no span came'}"
        if spans:
            what = f"{duration(_whole_ms(spans)):>8}  {_count(len(spans), 'span')}  {spans[0].trace_id}"
        line = Text(f"{number:>3}  ", style="dim").append(f"{sent.status}", style=_status_style(sent.status))
        line.append(f"  {what:<51}  ", style="" if spans else "yellow").append(_request_line(sent), style="bold")
        self._console.print(line, no_wrap=True, overflow="ellipsis")

    def incomplete(self, sent: Sent, spans: Sequence[SeenSpan], waited_s: float) -> None:
        """Tell which parts of a trace are missing."""
        missing = [name for name in sent.example.services if name not in {one.service for one in spans}]
        what = f"no span of {', '.join(missing)}" if missing else "not every span"
        self._alarm(f"incomplete: {what} came within {waited_s:.0f} s")

    def unexpected(self, spans: Sequence[SeenSpan]) -> None:
        """Say that there are spans where none should be."""
        self._alarm(f"there should be no span of this request, but {len(spans)} came")

    def in_lines(self, page_url: str = "") -> None:
        """Tell that from here on a request has one line.

        Args:
            page_url: of the live page, if the requests continue until Ctrl-C; empty if they come to an end.
        """
        self._console.print()
        steady = f"One request a second from here on, to be watched at {page_url} as well; Ctrl-C ends it."
        self._say(steady if page_url else "The same again, a line each:")

    def summary(self, tally: Tally, spans_by_service: Mapping[str, int], metrics: str, metrics_url: str) -> None:
        """Show the totals, and the next steps."""
        self._console.print()
        untraced = [f", {count} not ({reason})" for reason, count in tally.untraced.items()]
        sent = _count(tally.sent, "request")
        self._console.print(Text(f"{sent}: {tally.traces} traced{''.join(untraced)}", style="bold"))
        by_service = ", ".join(f"{plain(name)} {count}" for name, count in sorted(spans_by_service.items()))
        self._say(f"Spans at the sink: {by_service or 'none'}.")
        if metrics:
            books = ", ".join(
                f"{word} {_total(metrics, f'otlp_tracing_spans_{word}')}"
                for word in ("received", "exported", "dropped")
            )
            self._say(f"The sidecar's own books ({metrics_url}): {books}.")
        self._say("Next: put it on your own Kong; the README says how.")
        self._say("      otlp-tracing check kong.yml finds every fault of your own file.")

    def _alarm(self, text: str) -> None:
        self._indented(Text(text, style="bold red"))

    def _indented(self, what: RenderableType) -> None:
        self._console.print(Padding(what, (0, 0, 0, 5)))

    def _say(self, text: str) -> None:
        self._console.print(Text(text))


def _request_line(sent: Sent) -> str:
    return plain(f"{sent.example.method} {sent.example.target}")


def _status_style(status: int) -> str:
    return "bold red" if status >= 500 else "yellow" if status >= 400 else "green"


def _whole_ms(spans: Sequence[SeenSpan]) -> float:
    return (max(one.end_unix_ns for one in spans) - min(one.start_unix_ns for one in spans)) / 1_000_000


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _total(metrics: str, name: str) -> int:
    """Sum a counter over its labels."""
    families = [family for family in text_string_to_metric_families(metrics) if family.name == name]
    return int(sum(sample.value for family in families for sample in family.samples if sample.name.endswith("_total")))

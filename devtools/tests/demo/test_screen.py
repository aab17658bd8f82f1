"""The demo's text."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from otlp_tracing_devtools.demo.ports import reserve
from otlp_tracing_devtools.demo.screen import Screen, Tally, open_console
from otlp_tracing_devtools.demo.spans import SeenSpan
from otlp_tracing_devtools.demo.stage import WANTED_PORTS
from otlp_tracing_devtools.demo.traffic import EXAMPLES, Caller, Example, Sent

METRICS = """\
# HELP otlp_tracing_spans_received_total Spans taken over for delivery.
# TYPE otlp_tracing_spans_received_total counter
otlp_tracing_spans_received_total{destination="a"} 3.0
otlp_tracing_spans_received_total{destination="b"} 4.0
# TYPE otlp_tracing_spans_dropped_total counter
otlp_tracing_spans_dropped_total{destination="a",reason="queue_full"} 1.0
"""


def screen(width: int = 100) -> tuple[Screen, io.StringIO]:
    stream = io.StringIO()
    return Screen(Console(file=stream, width=width, markup=True)), stream


def answered(example: Example, status: int = 200) -> Sent:
    return Sent(example, status, "r", "", 1.0)


@pytest.mark.parametrize("example", [one for one in EXAMPLES if not one.services], ids=lambda one: one.untraced)
def test_a_request_without_a_trace_says_why(example: Example) -> None:
    """In the waterfall's place with an explanation, and in a line."""
    shown, stream = screen()
    shown.waterfall(8, answered(example), [])
    shown.line(17, answered(example), [])

    text = " ".join(stream.getvalue().split())
    assert text.count(example.untraced) == 2
    assert example.explanation in text


def test_a_line_is_a_line() -> None:
    """Number, status, duration, spans, trace id and request, cut off at the terminal's edge."""
    spans = [SeenSpan("ab" * 16, "a", "", "s", "n", "SERVER", 0, 5_000_000)]
    for width in (60, 80, 120):
        shown, stream = screen(width)
        shown.line(3, answered(Example("", "GET", "/" + "x" * 200)), spans)
        (line,) = stream.getvalue().splitlines()

        assert len(line) <= width
        assert line.split()[:7] == ["3", "200", "5.0", "ms", "1", "span", *line.split()[6:7]]
        assert line.split()[6].startswith("abab")


def test_a_requests_target_is_text() -> None:
    """Neither markup nor control sequences of a request have an effect."""
    shown, stream = screen()
    sent = answered(Example("t", "GET", "/[bold]x[/bold]\x1b[2J"))
    shown.waterfall(1, sent, [])
    shown.line(1, sent, [])

    assert stream.getvalue().count("/[bold]x[/bold]\\x1b[2J") == 2


def test_missing_spans_are_said() -> None:
    """A trace without a service's span names the service; one with a gap says so."""
    shown, stream = screen()
    sent = answered(Example("t", "GET", "/", ("s", "orders")))
    spans = [SeenSpan("t", "a", "", "s", "n", "SERVER", 0, 1)]
    shown.incomplete(sent, spans, 10)
    shown.incomplete(answered(Example("t", "GET", "/", ("s",))), spans, 10)

    assert "no span of orders came within 10 s" in stream.getvalue()
    assert "not every span came within 10 s" in stream.getvalue()


def test_the_summary_has_every_number() -> None:
    """The requests and their results, spans by service, and the sidecar's counters over all destinations."""
    shown, stream = screen()
    tally = Tally(sent=3, traces=1, untraced={"sampled by the caller: no": 2})
    shown.summary(tally, {"users": 2, "gateway": 5}, METRICS, "http://127.0.0.1:9464/metrics")

    text = " ".join(stream.getvalue().split())
    assert "3 requests: 1 traced, 2 not (sampled by the caller: no)" in text
    assert "gateway 5, users 2" in text
    assert "received 7, exported 0, dropped 1" in text
    assert "http://127.0.0.1:9464/metrics" in text


def test_a_port_that_was_taken_is_said() -> None:
    """The opening names every address in use, and the usual ports that were not to be had."""
    shown, stream = screen()
    with reserve(dict.fromkeys(WANTED_PORTS, 0)) as free:
        ports = {name: replace(port, wanted=port.number) for name, port in free.items()}
        shown.opening(ports)
        assert "taken" not in stream.getvalue()
        shown.opening(ports | {"users": replace(ports["users"], wanted=8081)})

    assert "taken, so that free ones are used: 8081" in stream.getvalue()
    times = {name: stream.getvalue().count(port.address) for name, port in ports.items()}
    assert times == {**dict.fromkeys(ports, 2), "sidecar": 4}


def test_the_live_page_is_what_is_opened_first() -> None:
    """Its address is in the opening, and again where the requests continue until Ctrl-C."""
    shown, stream = screen()
    with reserve(dict.fromkeys(WANTED_PORTS, 0)) as ports:
        shown.opening(ports)
        assert f"Open {ports['sidecar'].url}/ to watch" in stream.getvalue()
    shown.in_lines("http://127.0.0.1:9464/")

    assert "watched at http://127.0.0.1:9464/" in stream.getvalue()


def test_without_a_terminal_there_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred columns, no control sequences, and no failure over characters that an encoding lacks."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = open_console(stream)
    console.print("ü", style="bold red")
    stream.seek(0)

    assert console.width == 100
    assert stream.read() == "?\n"


def test_the_examples_show_what_they_should() -> None:
    """The first round has each kind of caller, something redacted, and requests without a trace that say why."""
    assert {one.caller for one in EXAMPLES} == set(Caller)
    assert any("token=secret" in one.target for one in EXAMPLES)
    assert all(bool(one.services) != bool(one.untraced and one.explanation) for one in EXAMPLES)

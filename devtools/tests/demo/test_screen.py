"""The demo's text."""

from __future__ import annotations

import io

import pytest

from otlp_tracing_devtools.demo.ports import reserve
from otlp_tracing_devtools.demo.screen import Screen
from otlp_tracing_devtools.demo.spans import SeenSpan
from otlp_tracing_devtools.demo.traffic import EXAMPLES, Example, Sent


def shown(example: Example, *spans: SeenSpan) -> list[str]:
    stream = io.StringIO()
    Screen(stream).trace(1, Sent(example, 200, "r", "", 1.0), spans)
    return stream.getvalue().splitlines()


def span(span_id: str, parent: str, **attributes: str) -> SeenSpan:
    return SeenSpan("t", span_id, parent, "users", f"GET {span_id}", "SERVER", 0, 5_000_000, True, attributes)


def test_a_trace_is_an_indented_list() -> None:
    """A child is below its parent and further right, with kind, status and duration; redacted values follow it."""
    lines = shown(EXAMPLES[0], span("b", "a", **{"url.query": "token=REDACTED"}), span("a", ""))

    assert [line.split() for line in lines[4:6]] == [
        ["users", "GET", "a", "SERVER", "ERROR", "5.0", "ms"],
        ["users", "GET", "b", "SERVER", "ERROR", "5.0", "ms"],
    ]
    assert lines[5].index("GET b") == lines[4].index("GET a") + 2
    assert lines[6].split() == ["url.query", "=", "token=REDACTED"]


@pytest.mark.parametrize("width", [60, 100])
def test_every_width_has_every_figure_whole(width: int) -> None:
    """Addresses keep their port, spans their duration, and no line has blanks at its end."""
    stream = io.StringIO()
    screen = Screen(stream, width)
    keys = ("gateway", "users", "orders", "orders-grpc", "sidecar", "sink")
    with reserve(dict.fromkeys(keys, 1)) as ports:  # port 1 is not for users, or taken: free ones are used
        screen.opening(ports)
    screen.trace(1, Sent(EXAMPLES[0], 200, "r", "", 1.0), [span("a", ""), span("b" * 8, "a")])
    screen.line(2, Sent(EXAMPLES[0], 200, "r", "", 1.0), [span("a", "")])
    screen.in_lines("http://127.0.0.1:9464/")
    lines = stream.getvalue().splitlines()

    assert max(map(len, lines)) <= width
    assert [line for line in lines if line != line.rstrip()] == []
    assert all(any(line.endswith(one.address) or f"{one.address} " in line for line in lines) for one in ports.values())
    assert sum("5.0 ms" in line for line in lines) == 3


def test_text_of_a_request_cannot_reach_the_terminal() -> None:
    """A control sequence in a span's name or attribute is printed escaped."""
    lines = shown(EXAMPLES[0], span("\x1b[2J", "", **{"url.query": "\x1b]0;REDACTED"}))

    assert "\x1b" not in "".join(lines)
    assert "\\x1b[2J" in "".join(lines)

"""A trace as rows of text."""

from __future__ import annotations

import io
from typing import Literal

import pytest
from rich.console import Console

from otlp_tracing_devtools.demo.spans import SeenSpan
from otlp_tracing_devtools.demo.waterfall import Waterfall, duration, plain, redacted_values, service_style

MS = 1_000_000


def span(
    span_id: str,
    parent: str = "",
    *,
    service: str = "gateway",
    name: str = "GET",
    kind: str = "SERVER",
    at_ms: tuple[float, float] = (0, 10),
    is_error: bool = False,
) -> SeenSpan:
    start, end = (int(one * MS) for one in at_ms)
    return SeenSpan("00" * 16, span_id, parent, service, name, kind, start, end, is_error)


def drawn(*spans: SeenSpan, width: int = 100, encoding: str = "utf-8", colour: bool = False) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(file=stream, width=width, markup=True, highlight=False, color_system=system, no_color=False)
    console.print(Waterfall(spans))
    stream.seek(0)
    return [line.rstrip() for line in stream.read().splitlines()]


def bar(line: str) -> tuple[int, int]:
    return line.index("━"), line.count("━")


def test_a_row_says_everything_about_a_span() -> None:
    """Service, name, kind, status and duration are in the row, in this order."""
    (row,) = drawn(span("a", name="GET /api/users"))

    words = row.split()
    assert words[:4] == ["gateway", "GET", "/api/users", "SERVER"]
    assert words[-2:] == ["10.0", "ms"]


def test_the_status_code_is_in_its_column() -> None:
    """The HTTP status is between kind and bar, with ERROR beside it for a span that failed."""
    fine = SeenSpan("t", "a", "", "s", "n", "SERVER", 0, MS, attributes={"http.response.status_code": "404"})
    failed = SeenSpan("t", "b", "a", "s", "n", "CLIENT", 0, MS, True, {"http.response.status_code": "404"})
    neither = SeenSpan("t", "c", "b", "s", "n", "INTERNAL", 0, MS)

    rows = drawn(fine, failed, neither)

    assert "SERVER   404  " in rows[0]
    assert "ERROR" not in rows[0]
    assert "CLIENT   404 ERROR" in rows[1]
    assert "INTERNAL -  " in rows[2]


def test_children_are_indented_below_their_parents() -> None:
    """Rows are in the order of the tree, whatever the order of arrival."""
    rows = drawn(span("c", "b", name="third"), span("b", "a", name="second"), span("a", name="first"))

    assert [row.split()[1:3] for row in rows] == [["first", "SERVER"], ["└", "second"], ["└", "third"]]
    assert rows[1].index("└") + 2 == rows[2].index("└")


def test_bars_show_when_and_how_long() -> None:
    """A span of the second half has a bar half as long, that begins in the middle and ends at the edge."""
    whole, half = drawn(span("a", at_ms=(0, 10)), span("b", "a", at_ms=(5, 10)))

    (start, length), (half_start, half_length) = bar(whole), bar(half)
    assert half_length == pytest.approx(length / 2, abs=1)
    assert half_start + half_length == start + length


@pytest.mark.parametrize("at_ms", [(10, 10), (9.999, 10), (0, 0), (20, 3)])
def test_every_span_has_a_bar_inside_the_row(at_ms: tuple[float, float]) -> None:
    """However short a span is, and wherever, or with an end before its start, its bar can be seen and fits."""
    rows = drawn(span("a", at_ms=(0, 10)), span("b", "a", at_ms=at_ms), width=80)

    assert all(bar(row)[1] >= 1 and len(row) <= 80 for row in rows)


def test_a_trace_of_no_duration_can_be_drawn() -> None:
    """Clocks that count in milliseconds make such traces."""
    (row,) = drawn(span("a", at_ms=(0, 0)))

    assert bar(row)[1] >= 1


@pytest.mark.parametrize("width", [60, 80, 120])
def test_rows_fit_the_width(width: int) -> None:
    """Long names are cut off; a row stays a row."""
    long = "GET /" + "a" * 300

    rows = drawn(span("a", service="s" * 90, name=long), span("b", "a", name=long), width=width)

    assert len(rows) == 2
    assert all(len(row) <= width for row in rows)


def test_errors_are_red() -> None:
    """The bar and the status of a failed span are red, those of another are not."""
    red = "\x1b[1;31m"

    fine, failed = drawn(span("a"), span("b", "a", is_error=True), colour=True)

    assert red not in fine
    assert red + "━" in failed
    assert red + "ERROR" in failed


def test_redacted_values_are_listed_and_marked() -> None:
    """A value with something redacted is shown below the tree, with REDACTED standing out."""
    one = SeenSpan("t", "a", "", "s", "n", "SERVER", 0, MS, attributes={"url.query": "token=REDACTED&q=shoes"})

    assert drawn(one)[1].split() == ["redacted", "url.query", "token=REDACTED&q=shoes"]
    assert "token=\x1b[1;30;43mREDACTED\x1b[0m&q=shoes" in drawn(one, colour=True)[1]
    assert [found[1:] for found in redacted_values([one])] == [("url.query", "token=REDACTED&q=shoes")]


def test_the_callers_span_is_mentioned() -> None:
    """A trace that the caller began says which span of the caller's it hangs on."""
    assert drawn(span("a", "00f067aa0ba902b7"))[1] == "child of the caller's span 00f067aa0ba902b7"
    assert len(drawn(span("a"))) == 1


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/]", "[link=http://x]y", ":smile:", "a\\[b"])
def test_markup_in_values_is_text(hostile: str) -> None:
    """Text of a request is shown unchanged, even on a console that knows markup."""
    one = SeenSpan("t", "a", "", hostile, hostile, "SERVER", 0, MS, attributes={"url.query": f"{hostile}REDACTED"})

    row, redacted = drawn(one, width=140)

    assert row.count(hostile) == 2
    assert f"{hostile}REDACTED" in redacted


@pytest.mark.parametrize("hostile", ["\x1b[31m", "a\nb", "a\rb", "\x07", "\x9b0m", "\u202e", "\udcff"])
def test_control_sequences_never_reach_the_terminal(hostile: str) -> None:
    """Nothing in a request can move the cursor, set colours, or turn the direction of text."""
    one = SeenSpan("t", "a", "", hostile, hostile, "SERVER", 0, MS, attributes={"url.query": f"{hostile}REDACTED"})

    rows = drawn(one)

    assert len(rows) == 2
    assert all(character.isprintable() for row in rows for character in row)
    assert plain(hostile).isascii()


def test_an_old_terminal_gets_ascii() -> None:
    """Where the encoding has no lines, equals signs do."""
    rows = drawn(span("a"), span("b", "a"), encoding="ascii")

    assert "`- GET" in rows[1]
    assert "====" in rows[0]


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [
        (0, "0.0 ms"),
        (99.94, "99.9 ms"),
        (99.96, "100 ms"),
        (9999.4, "9999 ms"),
        (9999.6, "10.0 s"),
        (123456, "123.5 s"),
    ],
)
def test_durations_stay_short(milliseconds: float, shown: str) -> None:
    """A duration has at most eight characters and three digits that matter."""
    assert duration(milliseconds) == shown


def test_the_demos_services_differ_in_colour() -> None:
    """No two of them look alike, and none looks like an error or a redaction."""
    styles = {service_style(name) for name in ("kong-gateway", "user-service", "order-service")}

    assert len(styles) == 3
    assert not styles & {"red", "yellow"}

"""A trace as a waterfall: a row a span, as a tree, with a bar for its start and duration.

Pure: spans in, something rich can print out, at whatever width it is given. Any text from a request is shown as text:
no markup of rich, no control sequence of a terminal. Colour only repeats the text, so nothing is lost without it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from otlp_tracing_devtools.demo.spans import SeenSpan, tree_order

REDACTED = "REDACTED"
"""The replacement of a sensitive value."""

_PALETTE = ("cyan", "green", "magenta", "bright_blue", "bright_cyan", "bright_green", "bright_magenta")
_ERROR_STYLE = "bold red"
_REDACTED_STYLE = "bold black on yellow"
_MIN_BAR = 10


def plain(text: str) -> str:
    """Make text that is safe on a terminal, on one line: characters that cannot be printed are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def duration(milliseconds: float) -> str:
    """Show a duration in at most eight characters."""
    if milliseconds >= 9_999.5:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.1f} ms" if milliseconds < 99.95 else f"{milliseconds:.0f} ms"


def service_style(service: str) -> str:
    """Give a service a colour, the same in every trace; red and yellow are kept for their usual meaning."""
    return _PALETTE[zlib.crc32(service.encode(errors="replace")) % len(_PALETTE)]


def redacted_values(spans: Collection[SeenSpan]) -> Iterator[tuple[SeenSpan, str, str]]:
    """Find the attributes with something redacted in them."""
    for one in spans:
        yield from ((one, name, value) for name, value in one.attributes.items() if REDACTED in value)


class Waterfall:
    """One trace, ready to print."""

    def __init__(self, spans: Collection[SeenSpan]) -> None:
        self._rows = tree_order(spans)
        self._start_ns = min((one.start_unix_ns for one in spans), default=0)
        self._end_ns = max((max(one.start_unix_ns, one.end_unix_ns) for one in spans), default=0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the rows out; called by rich."""
        yield self._table(options.max_width, options.ascii_only)
        first = self._rows[0][1] if self._rows else None
        if first is not None and first.parent_span_id:
            yield Text(f"child of the caller's span {first.parent_span_id}", style="dim")
        redacted = list(redacted_values([one for _, one in self._rows]))
        if redacted:
            yield _redacted_table(redacted)

    def _table(self, width: int, ascii_only: bool) -> Table:
        name_width = min(max(width // 3 - 2, 16), 44)
        table = Table.grid(padding=(0, 1, 0, 0), expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis", min_width=13, max_width=22)
        table.add_column(no_wrap=True, overflow="ellipsis", width=name_width)
        table.add_column(no_wrap=True, min_width=8)
        table.add_column(no_wrap=True, min_width=9)
        table.add_column(no_wrap=True, ratio=1, min_width=_MIN_BAR)
        table.add_column(no_wrap=True, min_width=7, justify="right")
        for depth, one in self._rows:
            table.add_row(*self._cells(depth, one, ascii_only))
        return table

    def _cells(self, depth: int, one: SeenSpan, ascii_only: bool) -> Iterator[RenderableType]:
        style = _ERROR_STYLE if one.is_error else service_style(one.service)
        branch = "  " * (depth - 1) + ("`- " if ascii_only else "└ ") if depth else ""
        yield Text(plain(one.service), style=service_style(one.service))
        yield Text.assemble((branch, "dim"), (plain(one.name), _ERROR_STYLE if one.is_error else ""))
        yield Text(one.kind, style="dim")
        yield _status(one)
        yield _Bar(*self._extent(one), style, ascii_only)
        yield Text(duration(one.duration_ms), style=_ERROR_STYLE if one.is_error else "")

    def _extent(self, one: SeenSpan) -> tuple[float, float]:
        """Give start and end as shares of the trace."""
        whole = max(self._end_ns - self._start_ns, 1)
        start = (one.start_unix_ns - self._start_ns) / whole
        return start, max((one.end_unix_ns - self._start_ns) / whole, start)


def _status(one: SeenSpan) -> Text:
    code = plain(one.attributes.get("http.response.status_code", ""))
    if one.is_error:
        return Text(f"{code} ERROR".strip(), style=_ERROR_STYLE)
    return Text(code or "-", style="" if code else "dim")


def _redacted_table(found: Iterable[tuple[SeenSpan, str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _, name, value in found:
        shown = Text(overflow="fold")
        for part in re.split(f"({REDACTED})", plain(value)):
            shown.append(part, style=_REDACTED_STYLE if part == REDACTED else "")
        table.add_row(Text("redacted", style="yellow"), Text(plain(name), style="dim"), shown)
    return table


@dataclass(frozen=True)
class _Bar:
    """A bar from one share of the width to another; at least one character, and never past the edge."""

    start: float
    end: float
    style: str
    ascii_only: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        first = min(int(self.start * width), width - 1)
        length = max(round(self.end * width) - first, 1)
        yield Text(" " * first + ("=" if self.ascii_only else "━") * length, style=self.style, no_wrap=True, end="")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_MIN_BAR, options.max_width)

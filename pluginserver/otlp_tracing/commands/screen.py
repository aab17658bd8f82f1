"""Text on a terminal, in columns; colour only on a terminal, and not where NO_COLOR is set."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}

Cell = tuple[str, str]
"""A text, and its style: a name of _CODES, or empty."""


class Screen:
    """A stream with a width.

    Args:
        stream: None for stdout.
        width: columns; None for the width of the terminal, or 80 where there is no terminal.
    """

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        self._stream = stream or sys.stdout
        self.width = width or shutil.get_terminal_size().columns
        self._has_colour = self._stream.isatty() and not os.environ.get("NO_COLOR")

    def line(self, *cells: Cell | str) -> None:
        """Print texts in one line, without a space between them."""
        print("".join(self._painted(*((one, "") if isinstance(one, str) else one)) for one in cells), file=self._stream)

    def table(self, rows: Sequence[Sequence[Cell]], right: frozenset[int] = frozenset()) -> bool:
        """Print rows in columns, unless they are wider than the screen; tell whether they were printed.

        Args:
            rows: of one length each.
            right: columns that are aligned to the right.
        """
        widths = [max(len(text) for text, _ in column) for column in zip(*rows, strict=True)]
        if sum(widths) + 2 * (len(widths) - 1) > self.width:
            return False
        for row in rows:
            padded = [
                (text.rjust(width) if number in right else text.ljust(width), style)
                for number, ((text, style), width) in enumerate(zip(row, widths, strict=True))
            ]
            self.line("  ".join(self._painted(*cell) for cell in padded).rstrip())
        return True

    def _painted(self, text: str, style: str) -> str:
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style and self._has_colour else text


def printable(text: str) -> str:
    """Escape control characters, which could drive the terminal: others choose them."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)

"""A person's own patterns, all of an entry's together in one search by RE2.

RE2 takes linear time, but its factor grows with the pattern. Where text and pattern are hostile, its automaton
gets a new state with every byte, and keeps building until its memory is full: with the usual 8 MiB one of 97
instructions costs 800 ns a byte. With little memory it soon gives up and simulates, at 150 + 1.3 ns for each
instruction (measured, 19 to 654 of them), and for patterns that are not hostile the little is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import re2

from otlp_tracing.config.settings import Pattern
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.redaction.cost import CANDIDATE, SEARCH
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled

__all__ = ["MATCH", "MAX_INSTRUCTIONS", "Patterns"]

MAX_INSTRUCTIONS = 200
"""Of all patterns of an entry together: at the worst 0.45 ms for 1 KiB. A pattern such as `ORD-[0-9]{8}` has 14."""
MATCH = 2 * CANDIDATE
"""What a match costs: told by name, merged with others, noted."""
_MEMORY = 128 << 10


class Patterns:
    """The patterns of one plugin entry.

    Args:
        patterns: as configured.

    Raises:
        ConfigError: naming each pattern that RE2 does not take, or that all together are too large.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        faults: list[Fault] = []
        self._each = []
        for number, pattern in enumerate(patterns, 1):
            place = f"redaction.patterns[{number}].pattern"
            try:
                self._each.append((pattern.name, compiled(f"(?m:{pattern.pattern})", _MEMORY)))
            except re2.error as error:
                text = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
                faults.append(Fault(place, pattern.pattern, f"must be a regular expression that RE2 takes: {text}"))
                continue
            if self._each[-1][1].search("") is not None:
                faults.append(Fault(place, pattern.pattern, "must not match the empty text"))
        if faults:
            raise ConfigError(faults)
        self._all = compiled("|".join(f"(?m:{one.pattern})" for one in patterns), _MEMORY) if patterns else None
        size = self._all.programsize if self._all else 0
        if size > MAX_INSTRUCTIONS:
            raise ConfigError([Fault("redaction.patterns", "", f"must have at most {MAX_INSTRUCTIONS} instructions of "
                                     f"RE2 together, not {size}; counted repetition makes them many")])  # fmt: skip
        self._units_per_byte = 40 + size // 3

    def __bool__(self) -> bool:
        return self._all is not None

    def cost(self, text: str) -> int:
        """Return what looking at a text costs, in units of Work, but for its matches."""
        return SEARCH + len(text) * self._units_per_byte

    def matches(self, text: str, start: int = 0) -> Iterator[Finding]:
        """Find all matches from left to right, each under the name of the first pattern that explains it.

        Empty ones too (`$|x` has them), since each of them has its cost.

        Args:
            text: looking at it is paid for.
            start: where to begin; what stands before it is seen, as by `^`.
        """
        if self._all is None:
            return
        for match in self._all.finditer(text, start):
            begin, end = match.span()
            yield Finding(begin, end, self._name(text, begin, end), text[begin:end])

    def _name(self, text: str, start: int, end: int) -> str:
        if len(self._each) == 1:
            return self._each[0][0]
        piece = text[start:end]
        return next((name for name, pattern in self._each if pattern.fullmatch(piece)), self._each[0][0])

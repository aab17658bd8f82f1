"""The user's patterns of a plugin entry, joined for one search by RE2.

RE2 takes linear time, but its factor grows with the pattern. For a hostile text and pattern, its automaton
gets a new state with every byte and grows until its memory is full. With the usual 8 MiB a pattern of 97 instructions
costs 800 ns a byte. With little memory RE2 soon simulates instead, at 150 + 1.3 ns for each instruction (measured, 19
to 654 instructions). Other patterns need no more than this memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import re2

from otlp_tracing.config.settings import Pattern
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.redaction.cost import CANDIDATE, SEARCH
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled

MAX_INSTRUCTIONS = 200
"""Bound for all patterns of an entry together: at worst 0.45 ms for 1 KiB. `ORD-[0-9]{8}` has 14 instructions."""
MATCH = 2 * CANDIDATE
"""Cost of a match: naming its pattern, merging it, reporting it."""
_MEMORY = 128 << 10


class Patterns:
    """The patterns of one plugin entry.

    Args:
        patterns: as configured.

    Raises:
        ConfigError: naming each pattern that RE2 refuses, or because all together are too large.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        faults: list[Fault] = []
        self._each = []
        for number, pattern in enumerate(patterns, 1):
            field = f"redaction.patterns[{number}].pattern"
            try:
                self._each.append((pattern.name, compiled(f"(?m:{pattern.pattern})", _MEMORY)))
            except re2.error as error:
                text = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
                faults.append(Fault(field, pattern.pattern, f"must be a regular expression that RE2 accepts: {text}"))
                continue
            if self._each[-1][1].search("") is not None:
                faults.append(Fault(field, pattern.pattern, "must not match the empty text"))
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
        """Return the cost of searching a text, without its matches, in units of CostBudget."""
        return SEARCH + len(text) * self._units_per_byte

    def matches(self, text: str, start: int = 0) -> Iterator[Finding]:
        r"""Find all matches from left to right, each under the name of the first pattern that matches it alone.

        Empty matches are included (`$|x` has them), because each of them costs.

        Args:
            text: its search is already spent from the budget.
            start: offset to begin at; `^` and `\b` see the text before it.
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

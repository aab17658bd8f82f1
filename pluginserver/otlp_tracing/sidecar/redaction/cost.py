"""Counted work: what keeps redaction from costing more than a span is worth, whatever its values.

One unit is a byte that an automaton looks at, about 4 ns on a machine of 2024. Everything that costs more is
counted as that many bytes. Counting needs no clock: the same value costs the same everywhere, and a test can
hold the bound.
"""

from __future__ import annotations

__all__ = [
    "CANDIDATE",
    "NAMES_BUDGET_PER_KIB",
    "PARAMETER",
    "PATTERNS_BUDGET_PER_KIB",
    "SEARCH",
    "SPAN_BUDGET",
    "VALUE_BUDGET_PER_KIB",
    "OverBudget",
    "Work",
    "budget",
]

SEARCH = 750
"""Starting one search, from Python into RE2 and back: some 3 µs."""
CANDIDATE = 1_000
"""Looking closer at one place: a checksum, a header decoded, a finding noted."""
PARAMETER = 100
"""A query's parameter whose name is known; one that nobody has sent before costs ten times as much, once."""
NAMES_BUDGET_PER_KIB = 45_000
"""What a KiB of a query may cost by name: 45 sensitive parameters, or a few hundred others."""
VALUE_BUDGET_PER_KIB = 60_000
"""What a KiB of a value may cost the detectors: a quarter of a millisecond."""
PATTERNS_BUDGET_PER_KIB = 144_000
"""What a KiB may cost a person's own patterns: together with the two above, a millisecond."""
SPAN_BUDGET = 1_000_000
"""Four milliseconds. A span with all that a gateway records of a request has one KiB, and costs a hundredth of it."""


class OverBudget(Exception):
    """More work than allowed; the value is not worth it."""


class Work:
    """What may still be spent."""

    def __init__(self, budget: int = SPAN_BUDGET) -> None:
        self._budget = budget
        self.left = budget

    @property
    def spent(self) -> int:
        """What was spent so far."""
        return self._budget - self.left

    def spend(self, units: int) -> None:
        """Take units before the work is done.

        Raises:
            OverBudget: if there are not as many left.
        """
        if units > self.left:
            self.left = 0
            raise OverBudget
        self.left -= units


def budget(units_per_kib: int, text: str) -> int:
    """Return what a text may cost, by its size in characters; one of less than a KiB as one of a KiB."""
    return units_per_kib * max(1024, len(text)) // 1024

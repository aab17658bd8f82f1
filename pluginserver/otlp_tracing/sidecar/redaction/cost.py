"""Counted cost: bounds the work of redaction for a span, whatever its values.

One unit is a byte read by an automaton, about 4 ns on a machine of 2024. More expensive work counts as that many bytes.
Counting needs no clock: the same value costs the same on every machine, and a test can hold the bound.
"""

from __future__ import annotations

from typing import Final

SEARCH: Final = 750
"""Starting one search, from Python into RE2 and back: some 3 µs."""
CANDIDATE: Final = 1_000
"""Examining one match: a checksum, a header decoded, a finding reported."""
ESCAPE: Final = 100
"""Decoding one escape."""
PARAMETER: Final = 100
"""A query parameter with a cached name. A new name costs ten times as much, once."""
NAMES_BUDGET_PER_KIB: Final = 45_000
"""Bound for a KiB of a query, by name: 45 sensitive parameters, or a few hundred others."""
VALUE_BUDGET_PER_KIB: Final = 60_000
"""Bound for a KiB of a value, for the detectors: a quarter of a millisecond."""
PATTERNS_BUDGET_PER_KIB: Final = 144_000
"""Bound for a KiB, for the user's patterns: with the two above, a millisecond."""
SPAN_BUDGET: Final = 1_000_000
"""Four milliseconds. A usual span has one KiB of strings and costs a hundredth of it."""


class CostExceeded(Exception):  # a signal for the caller, which masks the value
    """The work exceeds the budget."""


class CostBudget:
    """Units that may still be spent.

    Args:
        units: at the start.
        parent: the larger budget that this is a part of, which is charged as well; at least as many units are left
            in it, and nothing else spends from it in the meantime.
    """

    def __init__(self, units: int = SPAN_BUDGET, parent: CostBudget | None = None) -> None:
        self.left = units
        self._parent = parent

    def part(self, units: int) -> CostBudget:
        """Return a budget of so many units of this one, or all that are left."""
        return CostBudget(min(units, self.left), self)

    def spend(self, units: int) -> None:
        """Spend units before doing the work.

        Raises:
            CostExceeded: if fewer are left; all of them are spent then.
        """
        is_exceeded = units > self.left
        if is_exceeded:
            units = self.left
        self.left -= units
        if self._parent is not None:
            self._parent.spend(units)
        if is_exceeded:
            raise CostExceeded


def units_of(text: str, per_kib: int) -> int:
    """Return the bound for a text by its length in characters; a text under a KiB counts as one KiB."""
    return per_kib * max(1024, len(text)) // 1024

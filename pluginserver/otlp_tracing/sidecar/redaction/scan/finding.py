"""A finding, the protocol of detectors, and their use of RE2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import re2

from otlp_tracing.sidecar.redaction.cost import SEARCH, CostBudget

BUDGET_RULE = "budget"
"""The rule of a finding that covers a whole string because scanning it exceeds the budget."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret in a text.

    Args:
        start: index of its first character.
        end: index behind its last character.
        rule: name of the detector, or of the user's pattern.
        value: the secret, decoded and normalized; pseudonyms are made of it.
    """

    start: int
    end: int
    rule: str
    value: str


def whole(text: str) -> Finding:
    """Return the finding that covers a whole string, under BUDGET_RULE."""
    return Finding(0, len(text), BUDGET_RULE, text)


class Detector(Protocol):
    """Finds one kind of secret."""

    rule: str
    """Its name in the configuration and in reports."""

    trigger: str
    """A pattern for RE2 that matches in every text in which the detector can find something."""

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find all secrets of this kind, from left to right.

        Args:
            text: decoded, of bounded length, without lone surrogates.
            budget: is spent.

        Raises:
            CostExceeded: if the budget is used up.
        """


def compiled(pattern: str, max_mem: int = 8 << 20) -> Any:
    """Compile a pattern for RE2, without groups: matching takes linear time.

    Raises:
        re2.error: for a pattern that RE2 refuses.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = max_mem
    return re2.compile(pattern, options)


def searched(pattern: Any, text: str, budget: CostBudget) -> Iterator[tuple[int, int]]:
    """Search for all matches of a detector's pattern; each match costs a further search."""
    budget.spend(SEARCH + len(text))
    for match in pattern.finditer(text):
        yield match.span()
        budget.spend(SEARCH)

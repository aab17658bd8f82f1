"""What a detector says: from where to where, what it is, and how it is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import re2

from otlp_tracing.sidecar.redaction.cost import SEARCH, Work

__all__ = ["BUDGET_RULE", "Detector", "Finding", "compiled", "searched", "whole"]

BUDGET_RULE = "budget"
"""The rule of a finding that covers a whole string, since looking for more would cost too much."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a text that must not leave.

    Args:
        start: where it begins, a character's index.
        end: behind its last character.
        rule: name of the detector, or of the person's own pattern.
        value: what was found, decoded and in one form however it was written: what a pseudonym is made of.
    """

    start: int
    end: int
    rule: str
    value: str


def whole(text: str) -> Finding:
    """Return the finding that covers a string that costs too much."""
    return Finding(0, len(text), BUDGET_RULE, text)


class Detector(Protocol):
    """One kind of secret."""

    rule: str
    """Its name in the configuration and in reports."""

    trigger: str
    """RE2 syntax: matches wherever the detector could find something. No findings without it."""

    def find(self, text: str, work: Work) -> Iterator[Finding]:
        """Find all there is, from left to right.

        Args:
            text: decoded, of bounded length, without lone surrogates.
            work: spent on the way.

        Raises:
            OverBudget: if the work is used up.
        """


def compiled(pattern: str, max_mem: int = 8 << 20) -> Any:
    """Compile a pattern for RE2, without groups: matching takes linear time.

    Raises:
        re2.error: for what RE2 does not take.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = max_mem
    return re2.compile(pattern, options)


def searched(pattern: Any, text: str, work: Work) -> Iterator[tuple[int, int]]:
    """Search for all matches of one of our own patterns; each costs a search more."""
    work.spend(SEARCH + len(text))
    for match in pattern.finditer(text):
        yield match.span()
        work.spend(SEARCH)

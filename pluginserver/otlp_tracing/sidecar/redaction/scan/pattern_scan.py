"""Runs the user's patterns over the strings of a span, in one search of the joined strings.

A match across the end of a string is invalid: the strings that it touches are searched again, each alone. Each string
has its own budget, so that a string with a thousand matches masks nothing but itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

from otlp_tracing.sidecar.redaction.cost import PATTERNS_BUDGET_PER_KIB, SEARCH, CostBudget, CostExceeded, units_of
from otlp_tracing.sidecar.redaction.scan.finding import Finding, whole
from otlp_tracing.sidecar.redaction.scan.layers import Layer, layers
from otlp_tracing.sidecar.redaction.scan.patterns import MATCH, Patterns


class PatternScan:
    """The patterns of one plugin entry, for the strings of a span.

    Args:
        patterns: at least one; they search decoded strings.
    """

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns

    def find(self, texts: Sequence[str], joined: str, budget: CostBudget) -> dict[int, list[Finding]]:
        """Find all matches in the strings of a span.

        Args:
            texts: without lone surrogates.
            joined: the same strings, with one character between them.
            budget: is spent; strings that are left when it is used up are covered whole.

        Returns:
            Findings by the index of the string.
        """
        layer = layers(joined, percent_only=True)[-1]
        if self._patterns.cost(layer.text) > budget.left:
            # Short strings first: those of the gateway are short, those of a client can be long.
            by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
            return {
                index: self._find_alone(texts[index], units_of(texts[index], PATTERNS_BUDGET_PER_KIB), budget)
                for index in by_length
            }
        budget.spend(self._patterns.cost(layer.text))
        matches = self._patterns.matches(layer.text)
        match = next(matches, None)
        if match is None:
            return {}
        strings = _Strings(texts, layer)
        found: dict[int, list[Finding]] = {}
        at = self._assign(chain((match,), matches), strings, found, budget)
        while at < len(texts):
            if budget.left < SEARCH:
                return found | {index: [whole(texts[index])] for index in range(at, len(texts)) if texts[index]}
            budget.spend(SEARCH)
            at = self._assign(self._patterns.matches(layer.text, strings.begin(at)), strings, found, budget)
        return found

    def _assign(
        self, matches: Iterator[Finding], strings: _Strings, found: dict[int, list[Finding]], budget: CostBudget
    ) -> int:
        """Assign matches to their strings until a string must be searched alone; return the string to continue at."""
        current, part = -1, budget.part(0)
        for match in matches:
            index, last, finding = strings.locate(match)
            text = strings.texts[index]
            if finding.end > len(text):
                for touched in range(index, last + 1):
                    found[touched] = self._find_alone(
                        strings.texts[touched], self._rest(strings.texts[touched]), budget
                    )
                return last + 1
            if index != current:
                current, part = index, budget.part(self._rest(text))
            if part.left < MATCH:
                found[index] = [whole(text)]
                return index + 1
            part.spend(MATCH)
            if finding.end > finding.start:
                found.setdefault(index, []).append(finding)
        return len(strings.texts)

    def _rest(self, text: str) -> int:
        # The bound for a string, minus its share of the search of all strings.
        return max(0, units_of(text, PATTERNS_BUDGET_PER_KIB) - self._patterns.cost(text))

    def _find_alone(self, text: str, units: int, budget: CostBudget) -> list[Finding]:
        part = budget.part(units)
        layer = layers(text, percent_only=True)[-1]
        found = []
        try:
            part.spend(self._patterns.cost(layer.text))
            for match in self._patterns.matches(layer.text):
                part.spend(MATCH)
                if match.end > match.start:
                    found.append(Finding(layer.offset(match.start), layer.offset(match.end), match.rule, match.value))
            return found
        except CostExceeded:
            return [whole(text)] if text else []


class _Strings:
    # Offsets of the strings in the joined text.

    def __init__(self, texts: Sequence[str], layer: Layer) -> None:
        self.texts = texts
        self._layer = layer
        self._begins = [0, *accumulate(len(text) + 1 for text in texts)]

    def begin(self, index: int) -> int:
        return self._layer.index(self._begins[index])

    def locate(self, match: Finding) -> tuple[int, int, Finding]:
        # Indices of the strings of its first and last character, and the match with offsets in the first string.
        start, end = self._layer.offset(match.start), self._layer.offset(match.end)
        index, last = bisect_right(self._begins, start) - 1, bisect_right(self._begins, end - 1) - 1
        begin = self._begins[index]
        return index, last, Finding(start - begin, end - begin, match.rule, match.value)

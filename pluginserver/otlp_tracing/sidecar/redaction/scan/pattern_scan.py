"""A person's own patterns over the strings of a span: one search of all of them, joined, tells what each has.

A match that reaches over the end of a string is none: its strings are searched again, each alone. And each has an
allowance of its own, so that a string made to have a thousand matches hides nothing but itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain

from otlp_tracing.sidecar.redaction.cost import PATTERNS_BUDGET_PER_KIB, SEARCH, OverBudget, Work, budget
from otlp_tracing.sidecar.redaction.detectors.patterns import MATCH, Patterns
from otlp_tracing.sidecar.redaction.scan.finding import Finding, whole
from otlp_tracing.sidecar.redaction.scan.percent import Layer, layers

__all__ = ["PatternScan"]


class PatternScan:
    """The patterns of one plugin entry, for the strings of a span.

    Args:
        patterns: that look at a string when its encoding is undone.
    """

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns

    def find(self, texts: Sequence[str], joined: str, work: Work) -> dict[int, list[Finding]]:
        """Find all matches in the strings of a span.

        Args:
            texts: without lone surrogates.
            joined: the same, one character between one and the next.
            work: spent on the way; what comes when it is used up is covered whole.

        Returns:
            By the index of the string.
        """
        if not self._patterns:
            return {}
        layer = layers(joined)[-1]
        if self._patterns.cost(layer.text) > work.left:
            # The short ones first: what a gateway says of itself is short, what a client makes up can be long.
            by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
            return {
                index: self._alone(texts[index], budget(PATTERNS_BUDGET_PER_KIB, texts[index]), work)
                for index in by_length
            }
        work.spend(self._patterns.cost(layer.text))
        matches = self._patterns.matches(layer.text)
        match = next(matches, None)
        if match is None:
            return {}
        strings = _Strings(texts, layer)
        found: dict[int, list[Finding]] = {}
        at = self._take(chain((match,), matches), strings, found, work)
        while at < len(texts):
            if work.left < SEARCH:
                return found | {index: [whole(texts[index])] for index in range(at, len(texts)) if texts[index]}
            work.spend(SEARCH)
            at = self._take(self._patterns.matches(layer.text, strings.begin(at)), strings, found, work)
        return found

    def _take(self, matches: Iterator[Finding], strings: _Strings, found: dict[int, list[Finding]], work: Work) -> int:
        """Sort matches to their strings up to one that needs more; return the string to go on at."""
        current, allowed = -1, Work(0)
        for match in matches:
            index, last, finding = strings.placed(match)
            text = strings.texts[index]
            if finding.end > len(text):
                for touched in range(index, last + 1):
                    found[touched] = self._alone(strings.texts[touched], self._rest(strings.texts[touched]), work)
                return last + 1
            if index != current:
                current, allowed = index, Work(self._rest(text))
            if min(allowed.left, work.left) < MATCH:
                found[index] = [whole(text)]
                return index + 1
            allowed.spend(MATCH)
            work.spend(MATCH)
            if finding.end > finding.start:
                found.setdefault(index, []).append(finding)
        return len(strings.texts)

    def _rest(self, text: str) -> int:
        # What a string may cost, without its part of the search that all of them had.
        return max(0, budget(PATTERNS_BUDGET_PER_KIB, text) - self._patterns.cost(text))

    def _alone(self, text: str, units: int, work: Work) -> list[Finding]:
        allowed = Work(min(units, work.left))
        layer = layers(text)[-1]
        found = []
        try:
            allowed.spend(self._patterns.cost(layer.text))
            for match in self._patterns.matches(layer.text):
                allowed.spend(MATCH)
                if match.end > match.start:
                    found.append(Finding(layer.place(match.start), layer.place(match.end), match.rule, match.value))
            return found
        except OverBudget:
            return [whole(text)] if text else []
        finally:
            work.left -= allowed.spent


class _Strings:
    # Where each string is in all of them joined.

    def __init__(self, texts: Sequence[str], layer: Layer) -> None:
        self.texts = texts
        self._layer = layer
        self._begins = [0, *accumulate(len(text) + 1 for text in texts)]

    def begin(self, index: int) -> int:
        return self._layer.index(self._begins[index])

    def placed(self, match: Finding) -> tuple[int, int, Finding]:
        # The strings of its first and last character, and the match as the first one has it.
        start, end = self._layer.place(match.start), self._layer.place(match.end)
        index, last = bisect_right(self._begins, start) - 1, bisect_right(self._begins, end - 1) - 1
        begin = self._begins[index]
        return index, last, Finding(start - begin, end - begin, match.rule, match.value)

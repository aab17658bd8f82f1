"""All detectors of an entry over the strings of a span: one look at all of them tells whether there is anything.

Nearly all strings have nothing. So they are joined and shown to one automaton that knows what each detector
starts from; only if it sees something is each string looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2

from otlp_tracing.sidecar.redaction.finding import Detector, Finding
from otlp_tracing.sidecar.redaction.patterns import Patterns
from otlp_tracing.sidecar.redaction.percent import layers
from otlp_tracing.sidecar.redaction.work import (
    PATTERNS_BUDGET_PER_KIB,
    SEARCH,
    VALUE_BUDGET_PER_KIB,
    OverBudget,
    Work,
    budget,
)

__all__ = ["BUDGET_RULE", "Scan"]

_SEPARATOR = "\n"

BUDGET_RULE = "budget"
"""The rule of a finding that covers a whole string, since looking for more would cost too much."""


class Scan:
    """The detectors and patterns of one plugin entry.

    Args:
        detectors: in the order in which overlapping findings are named.
        patterns: the person's own.
    """

    def __init__(self, detectors: Sequence[Detector], patterns: Patterns) -> None:
        self._detectors = [detector for detector in detectors if detector.trigger]
        self._patterns = patterns
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        self._triggers = re2.Set.SearchSet(options)
        for detector in self._detectors:
            self._triggers.Add(detector.trigger)
        self._triggers.Compile()

    def find(self, texts: Sequence[str], work: Work) -> dict[int, list[Finding]]:
        """Find everything in the strings of a span.

        Args:
            texts: without lone surrogates.
            work: spent on the way; what comes when it is used up is covered whole.

        Returns:
            By the index of the string, its findings as they come: in no order, and one may overlap another.
        """
        joined = _SEPARATOR.join(texts)
        found = self._find_patterns(texts, joined, work)
        try:
            suspicious = self._is_suspicious(joined, work)
        except OverBudget:
            return {index: [_whole(text)] for index, text in enumerate(texts) if text}
        if suspicious:
            for index, text in enumerate(texts):
                if findings := self._find_in(text, work):
                    found.setdefault(index, []).extend(findings)
        return found

    def _is_suspicious(self, joined: str, work: Work) -> bool:
        return any(self._triggered(layer.text, work) for layer in layers(joined))

    def _triggered(self, text: str, work: Work) -> Sequence[int]:
        work.spend(SEARCH + len(text))
        return self._triggers.Match(text.encode()) or ()

    def _find_in(self, text: str, work: Work) -> list[Finding]:
        allowed = Work(min(budget(VALUE_BUDGET_PER_KIB, text), work.left))
        try:
            return list(self._of_all_layers(text, allowed))
        except OverBudget:
            return [_whole(text)] if text else []
        finally:
            work.left = max(0, work.left - allowed.spent)

    def _of_all_layers(self, text: str, work: Work) -> Iterable[Finding]:
        for layer in layers(text):
            for number in self._triggered(layer.text, work):
                for one in self._detectors[number].find(layer.text, work):
                    yield Finding(layer.place(one.start), layer.place(one.end), one.rule, one.value)

    def _find_patterns(self, texts: Sequence[str], joined: str, work: Work) -> dict[int, list[Finding]]:
        found: dict[int, list[Finding]] = {}
        if not self._patterns:
            return found
        layer = layers(joined)[-1]
        allowed = Work(min(budget(PATTERNS_BUDGET_PER_KIB, joined), work.left))
        end = 0
        try:
            for one in self._patterns.find(layer.text, allowed):
                end = layer.place(one.end)
                self._cover(texts, Finding(layer.place(one.start), end, one.rule, one.value), found)
        except OverBudget:
            # Whatever comes after the last match was not looked at.
            self._cover(texts, Finding(end, len(joined), BUDGET_RULE, joined[end:]), found)
        work.left = max(0, work.left - allowed.spent)
        return found

    @staticmethod
    def _cover(texts: Sequence[str], finding: Finding, found: dict[int, list[Finding]]) -> None:
        # A match can reach over the end of a string: then it covers something of each.
        at = 0
        for index, text in enumerate(texts):
            start, end = max(finding.start - at, 0), min(finding.end - at, len(text))
            if start < end:
                found.setdefault(index, []).append(Finding(start, end, finding.rule, finding.value))
            at += len(text) + len(_SEPARATOR)


def _whole(text: str) -> Finding:
    return Finding(0, len(text), BUDGET_RULE, text)

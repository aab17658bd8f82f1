"""All detectors of an entry over the strings of a span: one look at all of them tells whether there is anything.

Nearly all strings have nothing. So they are joined and shown to one automaton that knows what each detector
starts from; only if it sees something is each string looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2

from otlp_tracing.sidecar.redaction.cost import (
    SEARCH,
    VALUE_BUDGET_PER_KIB,
    OverBudget,
    Work,
    budget,
)
from otlp_tracing.sidecar.redaction.detectors.patterns import Patterns
from otlp_tracing.sidecar.redaction.scan.finding import Detector, Finding, whole
from otlp_tracing.sidecar.redaction.scan.pattern_scan import PatternScan
from otlp_tracing.sidecar.redaction.scan.percent import layers

__all__ = ["Scan"]

_SEPARATOR = "\n"


class Scan:
    """The detectors and patterns of one plugin entry.

    Args:
        detectors: in the order in which overlapping findings are named.
        patterns: the person's own.
    """

    def __init__(self, detectors: Sequence[Detector], patterns: Patterns) -> None:
        self._detectors = [detector for detector in detectors if detector.trigger]
        self._patterns = PatternScan(patterns)
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
        allowed = Work(work.left * 3 // 4)  # the rest is for the detectors, however much there is for patterns to find
        found = self._patterns.find(texts, joined, allowed)
        work.left -= allowed.spent
        try:
            suspicious = self._is_suspicious(joined, work)
        except OverBudget:
            return {index: [whole(text)] for index, text in enumerate(texts) if text}
        if suspicious:
            # The short ones first: what a client makes as long as can be shall not use up what the others cost.
            for index, text in sorted(enumerate(texts), key=lambda item: len(item[1])):
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
            return [whole(text)] if text else []
        finally:
            work.left = max(0, work.left - allowed.spent)

    def _of_all_layers(self, text: str, work: Work) -> Iterable[Finding]:
        for layer in layers(text):
            for number in self._triggered(layer.text, work):
                for one in self._detectors[number].find(layer.text, work):
                    yield Finding(layer.place(one.start), layer.place(one.end), one.rule, one.value)

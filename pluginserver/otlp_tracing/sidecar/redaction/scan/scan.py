"""Runs all detectors of a plugin entry over the strings of a span.

Nearly all strings have no finding. So they are joined and searched by one automaton for the triggers of all detectors;
only if one matches is each string scanned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import re2

from otlp_tracing.sidecar.redaction.cost import (
    ESCAPE,
    SEARCH,
    VALUE_BUDGET_PER_KIB,
    CostBudget,
    CostExceeded,
    units_of,
)
from otlp_tracing.sidecar.redaction.scan.base64_text import TRIGGER as BASE64
from otlp_tracing.sidecar.redaction.scan.base64_text import base64_texts
from otlp_tracing.sidecar.redaction.scan.finding import Detector, Finding, whole
from otlp_tracing.sidecar.redaction.scan.layers import TRIGGER as ESCAPES
from otlp_tracing.sidecar.redaction.scan.layers import layers
from otlp_tracing.sidecar.redaction.scan.pattern_scan import PatternScan
from otlp_tracing.sidecar.redaction.scan.patterns import Patterns

_SEPARATOR: Final = "\n"
# Kong's request id: 32 hexadecimal digits, in which no detector finds anything. Each id takes a new path through the
# automaton, and costs RE2 more than all other strings of a span.
_ID_LENGTH: Final = 32
# Most strings of a span repeat: names, ids of routes, user agents. Those without a finding are remembered, so that a
# span with one finding costs a scan of few strings. 1,024 of 128 characters take 200 KiB for each set of settings.
_MAX_CLEAN: Final = 1024
_LONGEST_CLEAN: Final = 128


class Scan:
    """The detectors and patterns of one plugin entry.

    Args:
        detectors: in the order in which overlapping findings are named.
        patterns: the user's.
    """

    def __init__(self, detectors: Sequence[Detector], patterns: Patterns) -> None:
        self._detectors = [detector for detector in detectors if detector.trigger]
        self._patterns = PatternScan(patterns) if patterns else None
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        self._triggers = re2.Set.SearchSet(options)
        for detector in self._detectors:
            self._triggers.Add(detector.trigger)
        for trigger in (ESCAPES, BASE64):
            self._triggers.Add(trigger)
        self._triggers.Compile()
        self._clean: dict[str, None] = {}

    def find(self, texts: list[str], budget: CostBudget) -> dict[int, list[Finding]]:
        """Find everything in the strings of a span.

        Args:
            texts: without lone surrogates.
            budget: is spent; strings that are left when it is used up are covered whole.

        Returns:
            Findings by the index of the string, unordered; one may overlap another.

        Raises:
            UnicodeEncodeError: for lone surrogates.
        """
        found: dict[int, list[Finding]] = {}
        if self._patterns is not None:
            # A quarter is left for the detectors, however much the patterns match.
            found = self._patterns.find(texts, _SEPARATOR.join(texts), budget.part(budget.left * 3 // 4))
        # Not the empty ones: two separators would look like the empty line between a name and its value in a form.
        joined = _SEPARATOR.join(
            [text for text in texts if text and (len(text) != _ID_LENGTH or not _is_hexadecimal(text))]
        )
        try:
            is_suspicious = bool(self._triggered(joined, budget)) or (
                "%" in joined and any(self._triggered(layer.text, budget) for layer in layers(joined)[1:])
            )
        except CostExceeded:
            return {index: [whole(text)] for index, text in enumerate(texts) if text}
        if is_suspicious:
            # Short strings first: a long one, which a client can send, must not use up the budget of the others.
            for index, text in sorted(enumerate(texts), key=lambda item: len(item[1])):
                if not text or text in self._clean:
                    continue
                if findings := self._find_in(text, budget):
                    found.setdefault(index, []).extend(findings)
                elif len(text) <= _LONGEST_CLEAN:
                    self._remember_clean(text)
        return found

    def _remember_clean(self, text: str) -> None:
        if len(self._clean) >= _MAX_CLEAN:
            del self._clean[next(iter(self._clean))]
        self._clean[text] = None

    def _triggered(self, text: str, budget: CostBudget) -> Sequence[int]:
        budget.spend(SEARCH + len(text))
        return self._triggers.Match(text.encode()) or ()

    def _find_in(self, text: str, budget: CostBudget) -> list[Finding]:
        try:
            return list(self._find_in_layers(text, budget.part(units_of(text, VALUE_BUDGET_PER_KIB))))
        except CostExceeded:
            return [whole(text)]

    def _find_in_layers(self, text: str, budget: CostBudget, *, is_decoded: bool = False) -> Iterator[Finding]:
        for layer in layers(text):
            budget.spend(ESCAPE * layer.escapes)
            triggered = self._triggered(layer.text, budget)
            for number in triggered:
                if number < len(self._detectors):
                    for one in self._detectors[number].find(layer.text, budget):
                        yield Finding(layer.offset(one.start), layer.offset(one.end), one.rule, one.value)
        if len(self._detectors) + 1 in triggered and not is_decoded:
            # A finding in base64 cannot be masked alone, so it covers all of the base64 text.
            for start, end, decoded in base64_texts(layer.text, budget):
                for one in self._find_in_layers(decoded, budget, is_decoded=True):
                    yield Finding(layer.offset(start), layer.offset(end), one.rule, one.value)


def _is_hexadecimal(text: str) -> bool:
    try:
        return text.isalnum() and bool(bytes.fromhex(text))
    except ValueError:
        return False

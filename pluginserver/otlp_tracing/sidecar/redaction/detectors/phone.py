"""Telephone numbers.

Source: ITU-T E.164 (digits); the North American Numbering Plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched


class Phone:
    """Finds a number in international form, or in the North American form with punctuation."""

    rule = "phone"
    trigger = r"\+[1-9][0-9 ()./\-]{6}|[2-9][0-9]{2}\)?[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}"
    _number = compiled(r"\+[1-9][0-9 ()./\-]{6,18}[0-9]|\(?\b[2-9][0-9]{2}\)?[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}\b")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find telephone numbers."""
        for start, end in searched(self._number, text, budget):
            digits = re.sub(r"\D", "", text[start:end])
            before, after = text[start - 1 : start], text[end : end + 1]
            if 8 <= len(digits) <= 15 and not before.isalnum() and not after.isdigit():
                yield Finding(start, end, self.rule, digits)

"""IP addresses, of both versions.

Source: RFC 4291 for the forms of version 6; Python's ipaddress verifies.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched


class IpAddress:
    """Finds an address outside longer words; the version in `Chrome/126.0.0.0` is not an address."""

    rule = "ip"
    trigger = r"[0-9]\.[0-9]+\.[0-9]+\.[0-9]|[0-9A-Fa-f:]:[0-9A-Fa-f:]*:[0-9A-Fa-f:]"
    _candidate = compiled(r"[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find IP addresses."""
        for start, stop in searched(self._candidate, text, budget):
            budget.spend(CANDIDATE)
            written = text[start:stop].rstrip(".")
            end = start + len(written)
            before, after = text[max(0, start - 2) : start], text[end : end + 2]
            if before[-1:].isalnum() or before[-1:] == "." or after.lstrip(".")[:1].isalnum():
                continue
            if before[-1:] == "/" and before[:1].isalnum():
                continue
            try:
                address = ipaddress.ip_address(written)
            except ValueError:
                continue
            yield Finding(start, end, self.rule, address.compressed)

"""The redaction report: findings by route, attribute and rule, with counts and fingerprints, never with a value.

A fingerprint distinguishes two values and reveals neither: it is keyed with a random salt that never leaves this
process.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from otlp_tracing.metrics import REDACTION_ROWS_REFUSED, REDACTIONS
from otlp_tracing.sidecar.redaction.redactor import OWN_RULES, Action
from otlp_tracing.sidecar.redaction.string_kinds import SPAN_NAME
from otlp_tracing.sidecar.telemetry.registry import Metrics

# The routes of a large gateway times the few attributes with findings: about 1 MiB.
MAX_ROWS = 4_096
# Enough to distinguish one repeated value from a new value each time.
MAX_FINGERPRINTS = 8


@dataclass(slots=True)
class _Row:
    count: int = 0
    fingerprints: dict[str, int] = field(default_factory=dict)
    has_more: bool = False

    def add(self, fingerprint: str) -> None:
        self.count += 1
        if fingerprint in self.fingerprints or len(self.fingerprints) < MAX_FINGERPRINTS:
            self.fingerprints[fingerprint] = self.fingerprints.get(fingerprint, 0) + 1
        else:
            self.has_more = True


class RedactionReport:
    """Counts the findings of a sidecar; past the bound on rows, further ones are counted on /metrics only.

    Args:
        metrics: counts by rule.
        clock: seconds since 1970.
        max_rows: bound on rows.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._metrics = metrics
        # Copied for each value: a new keyed hash costs five times as much.
        self._keyed = hashlib.blake2b(digest_size=6, key=os.urandom(16))
        self._since = clock()
        self._max_rows = max_rows
        self._rows: dict[tuple[str, str, str, Action], _Row] = {}

    def record(self, route: str, attribute: str, rule: str, action: Action, value: str) -> None:
        """Count one finding.

        Args:
            route: name or id of the route; empty without one.
            attribute: empty for the span's name.
            rule: that found it.
            action: redacted or reported.
            value: the secret; only its fingerprint is stored.
        """
        # On /metrics all patterns of users share one series, because users choose their names.
        self._metrics.add(REDACTIONS, rule if rule in OWN_RULES else "pattern", action)
        row = self._rows.get((route, attribute, rule, action))
        if row is None:
            if len(self._rows) >= self._max_rows:
                self._metrics.add(REDACTION_ROWS_REFUSED)
                return
            row = self._rows[route, attribute, rule, action] = _Row()
        fingerprint = self._keyed.copy()
        fingerprint.update(value.encode("utf-8", "surrogatepass"))
        row.add(fingerprint.hexdigest())

    def as_json(self) -> dict[str, Any]:
        """Return all rows, the most frequent first."""
        rows = sorted(self._rows.items(), key=lambda item: (-item[1].count, item[0]))
        return {
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since)),
            "findings": [
                {
                    "route": route,
                    "attribute": attribute if attribute != SPAN_NAME else "(span name)",
                    "rule": rule,
                    "action": action,
                    "count": row.count,
                    "fingerprints": row.fingerprints,
                    "more_values": row.has_more,
                }
                for (route, attribute, rule, action), row in rows
            ],
        }

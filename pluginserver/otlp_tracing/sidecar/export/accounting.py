"""The counts of a destination's spans, or log records. At every moment each one is in exactly one of them.

received + restored = exported + rejected + dropped + spooled + in flight. Every change is made in the event loop,
within one call, so the sum is right whenever it is read.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from otlp_tracing.metrics import DESTINATION_HELD, EXPORT_DURATION, SPANS, DeliveryMetrics
from otlp_tracing.sidecar.telemetry.registry import Metrics

_DROP_REASONS = ("spool_full", "memory_full", "retry_expired", "too_large", "corrupt")


class SpanAccounting:
    """The counts of one destination, here and on /metrics.

    Args:
        label: of the destination on /metrics.
        metrics: where the counts are published.
        counted: spans or log records; below, a span can be a log record.
    """

    def __init__(self, label: str, metrics: Metrics, counted: DeliveryMetrics = SPANS) -> None:
        self._label = label
        self._metrics = metrics
        self._counted = counted
        self.noun, self._not_encoded = ("span", "bad_span") if counted is SPANS else ("log record", "bad_record")
        self.received = self.restored = self.exported = self.rejected = 0
        self.spooled = self.in_flight = 0
        self.dropped: Counter[str] = Counter()
        self._held = ""
        for metric in (counted.received, counted.restored, counted.exported, counted.rejected):
            metrics.add(metric, label, amount=0)
        for reason in (*_DROP_REASONS, self._not_encoded):
            metrics.add(self._counted.dropped, label, reason, amount=0)
        self._gauges = (
            metrics.gauge(self._counted.spooled, label, lambda: self.spooled),
            metrics.gauge(self._counted.in_flight, label, lambda: self.in_flight),
        )

    @property
    def nouns(self) -> str:
        """The word for several of the counted things, in log lines; `noun` is that for one."""
        return f"{self.noun}s"

    @property
    def discrepancy(self) -> int:
        """Spans that came, less spans that are accounted for: 0, or there is an internal error."""
        gone = self.exported + self.rejected + sum(self.dropped.values())
        return self.received + self.restored - gone - self.spooled - self.in_flight

    def receive(self, spans: int) -> None:
        """Count spans that came from the gateway."""
        self.received += spans
        self.spooled += spans
        self._metrics.add(self._counted.received, self._label, amount=spans)

    def receive_not_encoded(self, spans: int) -> None:
        """Count spans that came from the gateway and could not be encoded."""
        self.receive(spans)
        self.drop(spans, self._not_encoded)

    def restore(self, spans: int) -> None:
        """Count spans that were found in the spool."""
        self.restored += spans
        self.spooled += spans
        self._metrics.add(self._counted.restored, self._label, amount=spans)

    def send(self, spans: int) -> None:
        """Move waiting spans to those in flight."""
        self.spooled -= spans
        self.in_flight += spans

    def put_back(self, spans: int) -> None:
        """Move spans in flight back to those that wait."""
        self.in_flight -= spans
        self.spooled += spans

    def export(self, spans: int, rejected: int = 0) -> None:
        """Count spans in flight that the collector accepted, except `rejected` of them."""
        rejected = min(rejected, spans)
        exported = spans - rejected
        self.in_flight -= exported
        self.exported += exported
        self._metrics.add(self._counted.exported, self._label, amount=exported)
        if rejected:
            self.reject(rejected)

    def reject(self, spans: int) -> None:
        """Count spans in flight that the collector refused."""
        self.in_flight -= spans
        self.rejected += spans
        self._metrics.add(self._counted.rejected, self._label, amount=spans)

    def drop(self, spans: int, reason: str) -> None:
        """Count waiting spans that are given up."""
        self.spooled -= spans
        self._count_dropped(spans, reason)

    def drop_sent(self, spans: int, reason: str) -> None:
        """Count spans in flight that are given up."""
        self.in_flight -= spans
        self._count_dropped(spans, reason)

    def record_export_duration(self, component: str, seconds: float, error_type: str) -> None:
        """Record how long a request took until its answer, or until it failed."""
        self._metrics.series(EXPORT_DURATION, component, self._label, error_type).observe(seconds)

    def set_held(self, reason: str) -> None:
        """Show why the destination's spans are held; an empty text shows that they are not."""
        if reason != self._held:
            if self._held:
                self._metrics.forget(DESTINATION_HELD, self._label, self._held)
            if reason:
                self._metrics.set(DESTINATION_HELD, 1, self._label, reason)
            self._held = reason

    def close(self, *, is_last: bool) -> None:
        """End the counts, with nothing spooled and nothing in flight.

        Args:
            is_last: no other destination has the label, so its series are removed. Otherwise the sum keeps them.
        """
        self.set_held("")
        for end in self._gauges:
            end()
        if is_last:
            self._metrics.forget_all("destination", self._label)

    def status(self) -> dict[str, Any]:
        """Return every count by its name."""
        return {
            "received": self.received,
            "restored": self.restored,
            "exported": self.exported,
            "rejected": self.rejected,
            "dropped": dict(self.dropped),
            "spooled": self.spooled,
            "in_flight": self.in_flight,
            "balance": self.discrepancy,
        }

    def _count_dropped(self, spans: int, reason: str) -> None:
        if spans:
            self.dropped[reason] += spans
            self._metrics.add(self._counted.dropped, self._label, reason, amount=spans)

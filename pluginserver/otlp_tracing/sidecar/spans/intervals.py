"""Parts of a request that become INTERNAL spans where they are long.

Kong's phases and the connection of a try to its upstream, as far as nginx's facts (nginx_facts.py) tell of them.
"""

from __future__ import annotations

from typing import Final

from otlp_tracing.sidecar.ingest.nginx_facts import NginxFacts
from otlp_tracing.sidecar.spans.model import Attributes
from otlp_tracing.sidecar.spans.timing import SpanTimes

# A part takes some milliseconds, and an attribute has its duration. From a tenth of a second on, a reader of the trace
# looks for the gap.
LONG_NS = 100_000_000
"""The duration from which a part is a span of its own, in nanoseconds."""

_MS = 1_000_000
_SECOND = 1_000_000_000


class Interval:
    """One part of a request.

    Args:
        name: of its span.
        start_ns: nanoseconds since 1970.
        end_ns: nanoseconds since 1970, never before the start.
        attributes: of its span.
        attempt: number of the try that it belongs to, from 0; None if it belongs to the request.
        within: the index of the interval that it is a part of, in the same list; None for none.
    """

    __slots__ = ("attempt", "attributes", "end_ns", "name", "start_ns", "within")
    attributes: Final[Attributes]

    def __init__(
        self,
        name: str,
        start_ns: int,
        end_ns: int,
        *,
        attributes: Attributes | None = None,
        attempt: int | None = None,
        within: int | None = None,
    ) -> None:
        self.name: Final = name
        self.start_ns: Final = start_ns
        self.end_ns: Final = end_ns
        self.attributes = attributes or {}
        self.attempt: Final = attempt
        self.within: Final = within


def long_phases(facts: NginxFacts, times: SpanTimes) -> list[Interval]:
    """Return Kong's phases that were long, each inside its request."""
    found = []
    for phase, start_ms in facts.phase_starts.items():
        start_ns = min(max(int(start_ms * _MS), times.start_ns), times.end_ns)
        end_ns = min(start_ns + int(facts.phase_ms[phase] * _MS), times.end_ns)
        if end_ns - start_ns >= LONG_NS:
            found.append(Interval(f"kong.{phase}", start_ns, end_ns))
    return found


def long_connects(facts: NginxFacts, times: SpanTimes) -> list[Interval]:
    """Return the connections to an upstream that took long, TLS handshake included, each inside its try."""
    found = []
    for number, (start_ns, end_ns) in enumerate(times.tries[: len(facts.tries)]):
        connected_ns = min(start_ns + int(facts.tries[number].get("connect", 0.0) * _SECOND), end_ns)
        if connected_ns - start_ns >= LONG_NS:
            found.append(Interval("nginx.upstream_connect", start_ns, connected_ns, attempt=number))
    return found

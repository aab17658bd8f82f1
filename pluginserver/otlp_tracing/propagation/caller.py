"""The caller's statements about its trace, in one form for all formats.

Every format reads into this. No other part of a request's trace headers leaves the formats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otlp_tracing.context import FLAG_RANDOM, FLAG_SAMPLED, SpanContext
from otlp_tracing.propagation import tracestate as trace_state

Headers = Mapping[str, Sequence[str]]
"""Lower-case names to every value received, in order."""


@dataclass(slots=True, init=False)
class Caller:
    """The caller's context.

    Args:
        trace_id: 16 bytes, not all zero; ids of 64 bits are padded on the left. Empty if the caller only decides: the
            trace starts here, with its decision.
        span_id: 8 bytes, not all zero; None if the caller names a trace and no span of it, as a load balancer does.
        sampled: the caller's decision; None if it leaves the decision to the receiver.
        random: the trace id is said to be random (W3C level 2).
        members: the tracestate.
    """

    trace_id: Final[bytes]
    span_id: Final[bytes | None]
    sampled: Final[bool | None]
    random: Final[bool]
    members: Final[trace_state.Members]

    # Written out, since most requests bring one: compiled, a dataclass's own would stay Python.
    def __init__(
        self,
        trace_id: bytes,
        span_id: bytes | None,
        sampled: bool | None,
        random: bool = False,
        members: trace_state.Members = (),
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.random = random
        self.members = members

    @property
    def flags(self) -> int:
        """W3C trace flags; no decision counts as not sampled."""
        return (FLAG_SAMPLED if self.sampled else 0) | (FLAG_RANDOM if self.random else 0)

    def span_context(self) -> SpanContext | None:
        """Return the caller's span; None where it named none."""
        if self.span_id is None:
            return None
        return SpanContext(self.trace_id, self.span_id, self.flags, trace_state.render(self.members))


def decision(sampled: bool) -> Caller:
    """Return a caller that decides about a trace and names none; the id of the new trace is random."""
    return Caller(b"", None, sampled, random=True)

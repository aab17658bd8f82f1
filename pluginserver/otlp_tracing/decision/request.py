"""The beginning of a request's trace: continue the caller's or start one, decide, choose the ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otlp_tracing.contract.settings import Sampling
from otlp_tracing.contract.trace_context import FLAG_RANDOM, FLAG_SAMPLED, RequestContext, SpanContext
from otlp_tracing.decision import head_sampling, threshold
from otlp_tracing.decision.propagation import Headers, extract, inject, trace_state

__all__ = ["RequestTracer"]

_FORMATS = ("w3c",)


@dataclass(frozen=True, slots=True)
class RequestTracer:
    """Begins the traces of one plugin entry.

    Args:
        threshold_: of the entry's rate.
        follow_parent: obey a caller's sampled flag.
        random_bytes: a source of that many random bytes, `os.urandom` outside of tests.
    """

    threshold_: int
    follow_parent: bool
    random_bytes: Callable[[int], bytes]

    @classmethod
    def of(cls, sampling: Sampling, random_bytes: Callable[[int], bytes]) -> RequestTracer:
        """Make one from an entry's settings."""
        return cls(threshold.from_rate(sampling.rate), sampling.parent == "follow", random_bytes)

    def begin(self, headers: Headers) -> RequestContext:
        """Decide about one request.

        Raises:
            Nothing, whatever the headers: what is malformed starts a new trace.
        """
        # One call for all ids: every call is a system call, 32 bytes cost what 8 do.
        random = self.random_bytes(32)
        parent = extract(headers, _FORMATS)
        trace_id = parent.trace_id if parent else _not_zero(random[:16])
        members = trace_state.parse([parent.trace_state]) if parent else ()
        if parent and self.follow_parent:
            sampled, members = head_sampling.follow_parent(parent, members)
        else:
            sampled, members = head_sampling.decide(trace_id, members, self.threshold_)
        random_flag = parent.flags & FLAG_RANDOM if parent else FLAG_RANDOM
        return RequestContext(
            trace_id=trace_id,
            span_id=_not_zero(random[16:24]),
            upstream_span_id=_not_zero(random[24:32]),
            parent_span_id=parent.span_id if parent else None,
            flags=random_flag | (FLAG_SAMPLED if sampled else 0),
            trace_state=trace_state.render(members),
        )

    @staticmethod
    def upstream_headers(context: RequestContext) -> dict[str, list[str]]:
        """Return what the upstream request must carry; an empty list means that the header must go."""
        span = SpanContext(context.trace_id, context.upstream_span_id, context.flags, context.trace_state)
        return inject(span, _FORMATS)


def _not_zero(identifier: bytes) -> bytes:
    # An id of zeros is invalid by every format; one in 2^64 draws would be.
    return identifier if any(identifier) else identifier[:-1] + b"\x01"

"""The beginning of a request's trace: continue the caller's or start one, decide, choose the ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otlp_tracing.config.settings import Settings
from otlp_tracing.context import FLAG_RANDOM, FLAG_SAMPLED, RequestContext, SpanContext
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.propagation.caller import Caller, Headers
from otlp_tracing.propagation.trust_boundary import Extracted, TrustBoundary
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sampling import threshold
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sampling.rules import RequestLine, Rules
from otlp_tracing.sampling.token_bucket import Allowance

_NO_HEADERS: Headers = {}
_NO_RULES = Rules()


def _no_line() -> RequestLine:
    return RequestLine("", "")


@dataclass(frozen=True, slots=True)
class RequestTracer:
    """Begins the traces of one plugin entry.

    Args:
        rate: the entry's, 0 to 1.
        threshold_: of the entry's rate.
        follow_parent: obey a caller's sampled flag.
        random_bytes: a source of that many random bytes, `os.urandom` outside of tests.
        boundary: trusted callers, and headers to write.
        rules: asked before the entry's own rate.
        allowance: lowers the rates for the time being; None without a budget and a load.
        policy: rules of the policy file, asked before those of the entry; None without a sidecar.
    """

    rate: float
    threshold_: int
    follow_parent: bool
    random_bytes: Callable[[int], bytes]
    boundary: TrustBoundary
    rules: Rules
    allowance: Allowance | None = None
    policy: HeadPolicy | None = None

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        random_bytes: Callable[[int], bytes],
        allowance: Allowance | None = None,
        policy: HeadPolicy | None = None,
    ) -> RequestTracer:
        """Make the tracer of an entry; the other arguments are those of the class.

        Raises:
            ConfigError: for a sampling rule that cannot work.
        """
        sampling = settings.sampling
        boundary = TrustBoundary.of(settings.propagation, settings.capture, settings.redaction)
        rules = Rules.of(sampling.rules)
        threshold_ = threshold.from_rate(sampling.rate)
        is_following = sampling.parent == "follow"
        return cls(sampling.rate, threshold_, is_following, random_bytes, boundary, rules, allowance, policy)

    def asks_for_line(self, headers: Headers, extracted: Extracted) -> bool:
        """Tell whether `begin` needs the method and path of a request; arguments as of `begin`."""
        policies = _NO_RULES if self.policy is None else self.policy.rules
        if not policies.rules and not self.rules.rules:
            return False
        caller, _ = extracted
        if self.follow_parent and caller is not None and caller.sampled is not None:
            return False
        return policies.asks_for_line(headers) or self.rules.asks_for_line(headers)

    def begin(
        self,
        headers: Headers,
        ask_line: Callable[[], RequestLine] = _no_line,
        seed: bytes | None = None,
        extracted: Extracted | None = None,
    ) -> RequestContext:
        """Decide about one request.

        Args:
            headers: the request's.
            ask_line: tells its method and path; called only if a rule needs them, since Kong has to be asked.
            seed: 32 bytes for the ids, of a request that may come again; None draws them.
            extracted: the result of `boundary.extract`, if it is there already.

        Raises:
            Nothing of its own, whatever the headers: a malformed header starts a new trace.
        """
        # One call for all ids: every call is a system call, and 32 bytes cost the same as 8.
        random = self.random_bytes(32) if seed is None else seed
        caller, link = self.boundary.extract(headers) if extracted is None else extracted
        trace_id = (caller.trace_id if caller else b"") or _not_zero(random[:16])
        threshold_, decided_by, rule = self._choose(caller, headers, ask_line)
        sampled, members = self._decide(trace_id, caller, threshold_)
        random_flag = FLAG_RANDOM if caller is None or caller.random else 0
        return RequestContext(
            trace_id=trace_id,
            span_id=_not_zero(random[16:24]),
            upstream_span_id=_not_zero(random[24:32]),
            parent_span_id=caller.span_id if caller else None,
            flags=random_flag | (FLAG_SAMPLED if sampled else 0),
            trace_state=trace_state.render(members),
            link=link,
            baggage=self.boundary.capture(headers),
            decided_by=decided_by,
            rule=rule,
            probability=None if threshold_ is None else threshold.probability(threshold_),
        )

    def upstream_headers(self, context: RequestContext, received: Headers = _NO_HEADERS) -> dict[str, list[str]]:
        """Return the headers of the upstream request; an empty list means that a received header must be removed."""
        span = SpanContext(context.trace_id, context.upstream_span_id, context.flags, context.trace_state)
        return self.boundary.inject(span, received)

    def _choose(
        self, caller: Caller | None, headers: Headers, ask_line: Callable[[], RequestLine]
    ) -> tuple[int | None, str, str]:
        """Return the deciding threshold (None for the caller's decision), the kind of decision, and the rule's name."""
        # A caller that left the decision open gets it by rate, in its own trace.
        if self.follow_parent and caller is not None and caller.sampled is not None:
            return None, "parent", ""
        if self.policy is not None and self.policy.rules.rules:
            rule = self.policy.rules.match(ask_line, headers)
            if rule is not None:
                return *self._lowered(rule.rate, rule.threshold_, "policy", rule.name), rule.name
        if self.rules.rules:
            rule = self.rules.match(ask_line, headers)
            if rule is not None:
                return *self._lowered(rule.rate, rule.threshold_, "rule", rule.name), rule.name
        return *self._lowered(self.rate, self.threshold_, "rate", ""), ""

    def _lowered(self, rate: float, threshold_: int, decided_by: str, stream: str) -> tuple[int, str]:
        """Return the lowered rate as a threshold, and the kind of the final decision."""
        if self.allowance is None:
            return threshold_, decided_by
        left, cause = self.allowance.take(stream, rate)
        return (threshold.from_rate(left), cause) if cause else (threshold_, decided_by)

    @staticmethod
    def _decide(trace_id: bytes, caller: Caller | None, threshold_: int | None) -> tuple[bool, trace_state.Members]:
        members = caller.members if caller else ()
        if threshold_ is None:
            assert caller is not None
            assert caller.sampled is not None
            return head_sampling.follow_parent(trace_id, caller.sampled, members)
        return head_sampling.decide(trace_id, members, threshold_)


def _not_zero(identifier: bytes) -> bytes:
    # An id of zeros is invalid by every format; one in 2^64 draws would be.
    return identifier if any(identifier) else identifier[:-1] + b"\x01"

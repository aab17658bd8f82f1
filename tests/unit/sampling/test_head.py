"""Promises of sampling/head.py."""

from __future__ import annotations

import dataclasses
import os

import pytest

from otlp_tracing.config.sensitive_names import MASK
from otlp_tracing.config.settings import Budget, Capture, Load, Propagation, Sampling, SamplingRule, Settings
from otlp_tracing.context import SpanContext
from otlp_tracing.sampling import threshold
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.token_bucket import Allowance

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
CALLER = {"traceparent": [f"00-{TRACE}-{SPAN}-01"], "tracestate": ["v=1"]}


def tracer(rate: float = 1.0, parent: str = "follow") -> RequestTracer:
    settings = Settings(sampling=Sampling(rate, parent))  # type: ignore[arg-type]
    return RequestTracer.from_settings(settings, lambda size: bytes(range(1, size + 1)))


def test_a_callers_trace_is_continued() -> None:
    """Trace id and flags stay, the caller's span becomes the parent, new ids are drawn for ours."""
    context = tracer().begin(CALLER)

    assert context.trace_id.hex() == TRACE
    assert context.parent_span_id == bytes.fromhex(SPAN)
    assert context.flags == 1
    assert len({context.span_id, context.upstream_span_id, context.parent_span_id}) == 3


def test_the_upstream_sees_the_client_span() -> None:
    """The parent-id that is sent upstream is the id of the last try's span."""
    context = tracer().begin(CALLER)

    assert tracer().upstream_headers(context) == {
        "traceparent": [f"00-{TRACE}-{context.upstream_span_id.hex()}-01"],
        "tracestate": ["v=1"],
    }


def test_a_new_trace_says_that_its_id_is_random() -> None:
    """Level 2: flag 02 with a trace id that is random; and the rate it was kept at."""
    context = tracer().begin({"tracestate": ["v=1"]})

    assert context.parent_span_id is None
    assert context.flags == 0b11
    assert context.trace_state == "ot=th:0"


def test_a_trace_that_is_not_kept_is_propagated() -> None:
    """The upstream learns the trace id and that it is not sampled."""
    context = tracer(rate=0).begin({})

    assert not context.sampled
    assert tracer().upstream_headers(context)["traceparent"][0].endswith("-02")
    assert context.trace_state == ""


def test_a_callers_flag_can_be_ignored() -> None:
    """With `parent: ignore` the rate decides, in the caller's trace."""
    context = tracer(rate=0, parent="ignore").begin(CALLER)

    assert context.trace_id.hex() == TRACE
    assert not context.sampled
    assert context.trace_state == "v=1"


def test_an_id_is_never_zero() -> None:
    """Zeros are no id in any format, whatever the source of randomness gives."""
    zeros = dataclasses.replace(tracer(), random_bytes=bytes)
    context = zeros.begin({})

    assert any(context.trace_id)
    assert any(context.span_id)
    assert any(context.upstream_span_id)


def test_a_decision_left_open_is_made_by_rate() -> None:
    """In the caller's trace; a decision that was made is followed, whatever format said it."""
    open_, kept = {"b3": [f"{TRACE}-{SPAN}"]}, {"b3": [f"{TRACE}-{SPAN}-d"]}

    assert tracer(rate=1).begin(open_).sampled
    assert tracer(rate=1).begin(open_).trace_state == "ot=th:0"
    assert tracer(rate=1).begin(open_).trace_id.hex() == TRACE
    assert not tracer(rate=0).begin(open_).sampled
    assert tracer(rate=0).begin(kept).sampled


@pytest.mark.parametrize(
    ("received", "sampled"),
    [
        ({"b3": ["0"]}, False),
        ({"b3": ["1"]}, True),
        ({"b3": ["d"]}, True),
        ({"x-b3-sampled": ["0"]}, False),
        ({"x-b3-sampled": ["1"]}, True),
        ({"x-b3-flags": ["1"]}, True),
    ],
)
def test_a_decision_alone_starts_a_trace_with_it(received: dict[str, list[str]], sampled: bool) -> None:
    """Whatever the rate, and the upstream is told the same in the caller's format and in ours."""
    context = tracer(rate=0 if sampled else 1).begin(received)
    sent = tracer().upstream_headers(context, received)
    said = sent["b3"][0][-1] if "b3" in received else sent["x-b3-sampled"][0]

    assert (context.sampled, context.parent_span_id, context.decided_by) == (sampled, None, "parent")
    assert any(context.trace_id)
    assert context.trace_state == ""
    assert said == str(int(sampled))
    assert sent["traceparent"][0] == f"00-{context.trace_id.hex()}-{context.upstream_span_id.hex()}-0{2 + sampled}"


def test_a_decision_alone_can_be_ignored() -> None:
    """With `parent: ignore`, or at an untrusted edge, the rate decides; no link to a trace that was not named."""
    edge = RequestTracer.from_settings(Settings(propagation=Propagation(incoming="restart_and_link")), os.urandom)
    context = edge.begin({"b3": ["0"]})

    assert tracer(parent="ignore").begin({"b3": ["0"]}).sampled
    assert context.sampled
    assert context.link is None
    assert edge.upstream_headers(context, {"b3": ["0"]})["b3"] == []


def test_a_trace_without_a_span_has_no_parent() -> None:
    """A load balancer's trace is continued by a SERVER span that is its root."""
    balanced = RequestTracer.from_settings(Settings(propagation=Propagation(extract=("aws",))), os.urandom)
    context = balanced.begin({"x-amzn-trace-id": ["Root=1-67891233-abcdef012345678912345678"]})

    assert context.trace_id.hex() == "67891233abcdef012345678912345678"
    assert context.parent_span_id is None


def test_a_restarted_trace_is_new_and_linked() -> None:
    """Own id, own decision, the caller's span as a link, named baggage kept and none sent on."""
    settings = Settings(
        sampling=Sampling(0.0, "follow"),
        propagation=Propagation(incoming="restart_and_link"),
        capture=Capture(("tenant",)),
    )
    restarting = RequestTracer.from_settings(settings, os.urandom)
    received = {**CALLER, "baggage": ["tenant=7,other=8"]}
    context = restarting.begin(received)

    assert context.trace_id.hex() != TRACE
    assert (context.parent_span_id, context.sampled, context.trace_state) == (None, False, "")
    assert context.link == SpanContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), 1, "v=1")
    assert context.baggage == (("tenant", "7"),)
    assert restarting.upstream_headers(context, received)["baggage"] == []
    assert restarting.upstream_headers(context, received)["tracestate"] == []


def test_baggage_with_a_sensitive_name_is_masked() -> None:
    """Kong's log plugins read the context too, before any redaction of spans."""
    settings = Settings(capture=Capture(("tenant", "password")))
    masking = RequestTracer.from_settings(settings, os.urandom)

    assert masking.begin({"baggage": ["tenant=7,password=x1"]}).baggage == (("tenant", "7"), ("password", MASK))


def test_a_lowered_rate_says_so() -> None:
    """The lowered rate decides, is stated as `th`, and names its cause beside the rule's name."""
    rule = SamplingRule("api", (), (), (), ("x-api: *",), 0.5)
    settings = Sampling(1.0, "follow", (rule,), budget=Budget(1), load=Load(0.9))
    allowance = Allowance(settings, lambda: 0.0, processes=1)
    lowered = RequestTracer.from_settings(Settings(sampling=settings), lambda size: b"\xff" * size, allowance)
    unbound = lowered.begin({"x-api": ["1"]})
    allowance.set(0.5, [1.0, 1.0])
    by_load = lowered.begin({"x-api": ["1"]})
    by_budget = [lowered.begin({}) for _ in range(20)][-1]

    assert (unbound.decided_by, unbound.rule, unbound.probability, unbound.trace_state) == (
        "rule",
        "api",
        0.5,
        "ot=th:8",
    )
    assert (by_load.decided_by, by_load.rule, by_load.probability, by_load.trace_state) == (
        "load",
        "api",
        0.25,
        "ot=th:c",
    )
    assert (by_budget.decided_by, by_budget.rule, by_budget.sampled) == ("budget", "", True)
    stated = threshold.decode(by_budget.trace_state.removeprefix("ot=th:"))
    assert stated is not None
    assert by_budget.probability == threshold.probability(stated)
    assert 0 < by_budget.probability < 0.1


def test_a_callers_decision_costs_no_allowance() -> None:
    """It is obeyed whatever is left of the budget, and has no probability of this gateway."""
    settings = Sampling(1.0, "follow", budget=Budget(1))
    allowance = Allowance(settings, lambda: 0.0, processes=1)
    followed = RequestTracer.from_settings(Settings(sampling=settings), os.urandom, allowance)
    contexts = [followed.begin(CALLER) for _ in range(100)]

    assert {(one.sampled, one.decided_by, one.probability) for one in contexts} == {(True, "parent", None)}
    assert followed.begin({}).decided_by == "rate"


def test_a_tracestate_is_removed_where_there_is_one() -> None:
    """A header that must be removed is named, an absent one is left alone."""
    context = tracer(rate=0).begin({})

    assert tracer().upstream_headers(context, {"tracestate": ["broken"]})["tracestate"] == []
    assert "tracestate" not in tracer().upstream_headers(context, {})

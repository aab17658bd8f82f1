"""Promises of sidecar/live/what_if.py."""

from __future__ import annotations

import random
from typing import Any

import pytest

from otlp_tracing.config.settings import Sampling, Settings
from otlp_tracing.errors import ConfigError
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sampling import threshold
from otlp_tracing.sidecar.live.requests import RecentRequest
from otlp_tracing.sidecar.live.what_if import Decider, RouteOutcome, WhatIfRedaction, evaluate_rules
from otlp_tracing.sidecar.redaction.redactor import Redactor

_BASIS: dict[str, Any] = {
    "arrived": 0.0,
    "weight": 1,
    "service": "s",
    "route": "r",
    "method": "GET",
    "path": "/a",
    "host": "gw",
    "headers": {},
    "status": 200,
    "duration_ms": 10.0,
    "tries": 1,
    "has_failed_try": False,
    "consumer": (),
    "tags": (),
    "request_bytes": 100,
    "response_bytes": 100,
    "grpc_status": None,
    "trace_id": b"\xff" * 16,
    "randomness": None,
    "has_caller": False,
    "caller_sampled": None,
    "kept": False,
    "redact": str,
}


def request(**fields: Any) -> RecentRequest:
    return RecentRequest(**{**_BASIS, **fields})


def sampling(**fields: Any) -> Sampling:
    return Settings.from_config({"sampling": fields}).sampling


def test_the_rate_keeps_the_same_traces_as_the_gateway() -> None:
    """The threshold is applied to the real trace ids."""
    chance = random.Random(5)
    requests = [request(trace_id=chance.randbytes(16)) for _ in range(500)]
    limit = threshold.from_rate(0.3)

    outcome = evaluate_rules(sampling(rate=0.3), requests)

    assert outcome.kept == sum(head_sampling.decide(one.trace_id, (), limit)[0] for one in requests)
    assert outcome.requests == 500
    assert outcome.deciders == (Decider("rate", "", 500, outcome.kept),)


def test_an_explicit_randomness_wins_over_the_id() -> None:
    """The tracestate's rv decides, as on the request path."""
    assert evaluate_rules(sampling(rate=0.5), [request(randomness="0" * 14)]).kept == 0
    assert evaluate_rules(sampling(rate=0.5), [request(trace_id=b"\x01" + bytes(15), randomness="f" * 14)]).kept == 1


def test_rules_are_evaluated_in_their_order() -> None:
    """The first match by method, path, host or header decides; the result has all rules."""
    rules = [
        {"name": "health", "paths": ["/health*"], "rate": 0},
        {"name": "posts", "methods": ["POST"], "rate": 1},
        {"name": "tenant", "hosts": ["*.acme.test"], "headers": ["x-tier: gold*"], "rate": 1},
        {"name": "unused", "paths": ["/nowhere"], "rate": 1},
    ]
    requests = [
        request(path="/healthz", method="POST"),
        request(method="POST"),
        request(host="a.acme.test:8443", headers={"x-tier": ["golden"]}),
        request(host="a.acme.test", headers={"x-tier": []}),
    ]

    outcome = evaluate_rules(sampling(rate=0, rules=rules), requests)

    assert outcome.deciders == (
        Decider("rule", "health", 1, 0),
        Decider("rule", "posts", 1, 1),
        Decider("rule", "tenant", 1, 1),
        Decider("rule", "unused", 0, 0),
        Decider("rate", "", 1, 0),
    )
    assert outcome.headers_unknown == ()


def test_the_caller_is_followed_if_the_rules_follow_it() -> None:
    """Its decision wins over rules and rate, except with `ignore`."""
    requests = [
        request(has_caller=True, caller_sampled=True),
        request(has_caller=True, caller_sampled=False),
        request(has_caller=True),
    ]

    followed = evaluate_rules(sampling(rate=0), requests)
    ignored = evaluate_rules(sampling(rate=0, parent="ignore"), requests)

    assert (followed.kept, followed.callers_unknown) == (1, 1)
    assert (ignored.kept, ignored.callers_unknown) == (0, 0)


def test_the_tail_decision_is_applied() -> None:
    """Errors, retries, slow requests and statuses are kept by the code of the tail decision."""
    requests = [
        request(status=503),
        request(has_failed_try=True, tries=2),
        request(duration_ms=900),
        request(status=429),
        request(),
    ]
    keep = {"errors": True, "slower_than_ms": 500, "statuses": [429]}

    outcome = evaluate_rules(sampling(rate=0, keep=keep), requests)

    assert outcome.kept == 4
    assert outcome.spans == 2 + 3 + 2 + 2
    assert [(one.kind, one.kept) for one in outcome.deciders] == [
        ("rate", 0),
        ("error", 1),
        ("retry", 1),
        ("slow", 1),
        ("status", 1),
    ]


def test_lost_errors_are_counted() -> None:
    """The result has them for the active and for the tried rules."""
    requests = [request(status=500, kept=True), request(status=502)]

    outcome = evaluate_rules(sampling(rate=0, keep={"errors": False}), requests)

    assert (outcome.errors, outcome.errors_lost_live, outcome.errors_lost) == (2, 1, 2)


def test_each_route_is_compared() -> None:
    """The busiest is first, with the requests kept by both sets of rules."""
    requests = [request(route="a", kept=True), request(route="b"), request(route="b", path="/x")]

    outcome = evaluate_rules(sampling(rate=0, rules=[{"name": "x", "paths": ["/x"], "rate": 1}]), requests)

    assert outcome.routes == (RouteOutcome("s", "b", 2, 0, 1), RouteOutcome("s", "a", 1, 1, 0))


def test_an_unrecorded_header_is_named() -> None:
    """A rule that matches it keeps no request."""
    rules = [{"name": "debug", "headers": ["X-Debug: 1"], "rate": 1}]

    outcome = evaluate_rules(sampling(rate=0, rules=rules), [request()])

    assert outcome.kept == 0
    assert outcome.headers_unknown == ("x-debug",)


def test_numbers_are_weighted() -> None:
    """A sampled request counts with its weight."""
    requests = [request(weight=10, tries=2), request(weight=10, status=500), request(kept=True)]

    outcome = evaluate_rules(sampling(rate=1, keep={"errors": False}), requests)

    assert (outcome.requests, outcome.sample, outcome.kept, outcome.kept_live) == (21, 3, 21, 1)
    assert (outcome.spans, outcome.errors, outcome.errors_lost_live) == (30 + 20 + 2, 10, 10)
    assert outcome.routes == (RouteOutcome("s", "r", 21, 1, 21),)
    assert outcome.deciders == (Decider("rate", "", 21, 21),)


def test_rules_see_redacted_values() -> None:
    """A pattern cannot test a secret letter by letter."""
    hidden = request(
        path="/reset/s3cret", headers={"x-tier": ["s3cret"]}, redact=lambda text: text.replace("s3cret", "*")
    )
    by_path = {"name": "p", "paths": ["/reset/s*"], "rate": 1}
    by_header = {"name": "h", "headers": ["x-tier: s*"], "rate": 1}

    assert evaluate_rules(sampling(rate=0, rules=[by_path, by_header]), [hidden]).kept == 0


def test_a_budget_lowers_the_rates_of_the_seconds_that_need_it() -> None:
    """Traces kept by callers are subtracted first; the load is not simulated."""
    chance = random.Random(3)
    busy = [request(arrived=1.5, trace_id=chance.randbytes(16)) for _ in range(1000)]
    calm = [request(arrived=2.5, trace_id=chance.randbytes(16)) for _ in range(5)]
    callers = [request(arrived=1.2, has_caller=True, caller_sampled=True) for _ in range(40)]

    outcome = evaluate_rules(
        sampling(rate=1, budget={"traces_per_second": 100}, load={"high": 0.8}), callers + busy + calm
    )

    assert outcome.lowered == 1000
    assert outcome.kept == pytest.approx(100 + 5, abs=25)
    assert outcome.has_load
    assert not evaluate_rules(sampling(rate=1), busy).has_load


def test_no_request_is_a_result() -> None:
    """All numbers are 0."""
    outcome = evaluate_rules(sampling(), [])

    assert (outcome.requests, outcome.kept, outcome.seconds) == (0, 0, 0.0)


def test_an_invalid_pattern_is_refused() -> None:
    """The error names the rule."""
    with pytest.raises(ConfigError, match=r"sampling\.rules\[1\]\.paths"):
        evaluate_rules(sampling(rules=[{"name": "x", "paths": ["~("], "rate": 1}]), [request()])


def redaction_of(**config: object) -> WhatIfRedaction:
    settings = Settings.from_config(config)
    return WhatIfRedaction.from_settings(settings, Redactor(settings.redaction))


def test_recorded_headers_are_those_that_rules_match() -> None:
    """Names are in lower case; sensitive headers are not recorded, even if a rule matches them."""
    rule = {"name": "x", "headers": ["X-Tier: gold", "X-Api-Key: *", "Cookie: a"], "rate": 1}

    assert redaction_of(sampling={"rules": [rule]}).headers == ("x-tier",)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/users/7", "/users/7"),
        ("/users/jane.roe@example.com/orders", "/users/REDACTED/orders"),
        ("", ""),
    ],
)
def test_a_path_is_redacted_before_a_rule_sees_it(path: str, seen: str) -> None:
    """It is redacted as for export."""
    assert redaction_of().redact(path) == seen


def test_tail_rules_decide_after_the_head() -> None:
    """By the recorded facts, redacted; a rule on another fact is named and passed over."""
    facts: dict[str, Any] = {"consumer": ("gold@shop", "c-1"), "tags": ("core",), "response_bytes": 5000}
    requests = [
        request(**facts, redact=lambda text: text.replace("@", "#")),
        request(status=404, grpc_status="UNAVAILABLE"),
        request(status=500),
        request(),
    ]
    tried = sampling(
        rate=1,
        tail_rules=[
            {"name": "cached", "response_headers": ["x-cache: hit"], "rate": 0},
            {"name": "gold", "consumers": ["gold#*"], "tags": ["core"], "larger_than_bytes": 4000, "rate": 1},
            {"name": "calls", "grpc_statuses": ["UNAVAILABLE"], "headers": ["x-plan: *"], "rate": 1},
            {"name": "rest", "rate": 0},
        ],
    )
    outcome = evaluate_rules(tried, requests)

    assert outcome.kept == 2
    assert outcome.errors_lost == 0
    assert outcome.rules_unknown == ("cached",)
    assert outcome.headers_unknown == ("x-plan",)
    assert [one for one in outcome.deciders if one.kind == "tail_rule"] == [
        Decider("tail_rule", "cached", 0, 0),
        Decider("tail_rule", "gold", 1, 1),
        Decider("tail_rule", "calls", 0, 0),
        Decider("tail_rule", "rest", 2, 0),
    ]

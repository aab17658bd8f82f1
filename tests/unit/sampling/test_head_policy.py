"""Promises of sampling/head_policy.py."""

from __future__ import annotations

import pytest

from otlp_tracing.config.settings import Sampling, SamplingRule, Settings
from otlp_tracing.errors import ConfigError
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sampling.rules import RequestLine

RULE = SamplingRule("all", (), ("*",), (), (), 1.0)
CALLER = {"traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]}


def random_bytes(count: int) -> bytes:
    return b"\x01" * count


def test_a_policy_is_asked_before_the_rules_of_an_entry() -> None:
    """From one request to the next, in tracers that were made before it came."""
    policy = HeadPolicy()
    own = SamplingRule("own", (), (), (), (), 0.0)
    tracer = RequestTracer.from_settings(Settings(sampling=Sampling(0.0, rules=(own,))), random_bytes, policy=policy)

    def decided() -> tuple[str, str, bool]:
        assert tracer.asks_for_line({}, (None, None)) is bool(policy.rules.rules)
        context = tracer.begin({}, lambda: RequestLine("GET", "/a"))
        return context.decided_by, context.rule, context.sampled

    assert decided() == ("rule", "own", False)
    policy.set([RULE])
    assert decided() == ("policy", "all", True)
    policy.set([])
    assert decided() == ("rule", "own", False)


def test_a_callers_decision_is_obeyed_as_before() -> None:
    """As with the rules of an entry."""
    policy = HeadPolicy()
    policy.set([RULE])

    tracer = RequestTracer.from_settings(Settings(sampling=Sampling(0.0)), random_bytes, policy=policy)

    assert not tracer.begin(CALLER).sampled


@pytest.mark.parametrize("rules", [b"", b"5", b"{}", b'[{"name":"a"}]', b'[{"name":"a","paths":["~("],"rate":1}]'])
def test_rules_that_cannot_work_leave_those_before(rules: bytes) -> None:
    """One kind of error for JSON, one for rules."""
    policy = HeadPolicy()
    policy.set([RULE])
    if rules == b"{}":
        policy.set_json(rules)  # Lua's empty table is a list too
        return
    with pytest.raises((ConfigError, ValueError)):
        policy.set_json(rules)

    assert [rule.name for rule in policy.rules.rules] == ["all"]

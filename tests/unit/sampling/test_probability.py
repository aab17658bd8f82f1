"""Promises of sampling/probability.py."""

from __future__ import annotations

import pytest

from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import probability as head_sampling
from otlp_tracing.sampling import threshold

HIGH = b"\x01" * 9 + b"\xff" * 7
LOW = b"\x01" * 9 + b"\x00" * 7
HALF = threshold.from_rate(0.5)


def test_a_trace_is_kept_by_its_randomness() -> None:
    """At the threshold and above it is kept, and the tracestate says at which rate."""
    assert head_sampling.decide(HIGH, (), HALF) == (True, (("ot", "th:8"),))
    assert head_sampling.decide(LOW, (("ot", "th:4;rv:00000000000000"),), HALF) == (
        False,
        (("ot", "rv:00000000000000"),),
    )
    assert head_sampling.decide(b"\x01" * 9 + b"\x80" + b"\x00" * 6, (), HALF)[0]


def test_stated_randomness_goes_before_the_id() -> None:
    """A present `rv` decides, and is never rewritten."""
    kept, members = head_sampling.decide(LOW, (("ot", "rv:ffffffffffffff"),), HALF)

    assert kept
    assert members == (("ot", "th:8;rv:ffffffffffffff"),)


@pytest.mark.parametrize(
    ("flags", "received", "sent"),
    [
        (1, "ot=th:8", "ot=th:8"),  # sampled, and the threshold agrees
        (1, "ot=th:8;rv:00000000000000", "ot=rv:00000000000000"),  # sampled against its own threshold
        (1, "v=1", "v=1"),  # sampled without one: none is made up
        (0, "ot=th:8", ""),  # not sampled: no threshold
        (1, "ot=th:zz", ""),  # malformed
    ],
)
def test_a_callers_decision_is_followed(flags: int, received: str, sent: str) -> None:
    """The flag decides; a threshold that contradicts it is taken out."""
    sampled, members = head_sampling.follow_parent(HIGH, bool(flags), trace_state.parse([received]))

    assert sampled == bool(flags)
    assert trace_state.render(members) == sent

"""Promises of sampling/ot_tracestate.py."""

from __future__ import annotations

from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state


def test_the_threshold_is_set_beside_what_stands_there() -> None:
    """Other sub-keys and other vendors' members stay."""
    members = trace_state.parse(["v=1,ot=rv:11111111111111;x:y"])

    assert trace_state.render(ot_state.with_threshold(members, "8")) == "ot=th:8;rv:11111111111111;x:y,v=1"


def test_the_threshold_is_taken_out_alone() -> None:
    """Without a threshold the member stays if it says anything else, and is removed otherwise."""
    assert trace_state.render(ot_state.without_threshold((("ot", "th:8;rv:1"), ("v", "1")))) == "ot=rv:1,v=1"
    assert trace_state.render(ot_state.without_threshold((("ot", "th:8"), ("v", "1")))) == "v=1"
    assert ot_state.without_threshold((("v", "1"), ("ot", "rv:1"))) == (("v", "1"), ("ot", "rv:1"))


def test_a_member_that_is_too_long_says_nothing() -> None:
    """256 characters are the specification's limit."""
    assert ot_state.read((("ot", "x:" + "y" * 255),)) == {}

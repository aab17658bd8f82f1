"""Promises of contract/trace_context.py."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.contract.trace_context import RequestContext

contexts = st.builds(
    RequestContext,
    trace_id=st.binary(min_size=16, max_size=16).filter(any),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    upstream_span_id=st.binary(min_size=8, max_size=8).filter(any),
    parent_span_id=st.none() | st.binary(min_size=8, max_size=8).filter(any),
    flags=st.integers(0, 255),
    trace_state=st.text("abc=,", max_size=20),
)


@given(contexts)
def test_a_context_survives_kongs_log(context: RequestContext) -> None:
    """What access remembers is what the sidecar reads, after Kong has written it as JSON."""
    assert RequestContext.from_log_field(json.loads(json.dumps(context.to_log_field()))) == context


@given(
    st.dictionaries(
        st.sampled_from(["trace_id", "span_id", "upstream_span_id", "flags", "parent_span_id", "trace_state"]),
        st.none() | st.text() | st.floats() | st.just("0" * 32) | st.just("ab" * 8) | st.just("ab" * 16),
    )
    | st.text()
    | st.none()
)
def test_anything_else_is_no_context(field: object) -> None:
    """A field that another plugin wrote gives a sound context or none, never an exception."""
    context = RequestContext.from_log_field(field)

    assert context is None or (any(context.trace_id) and 0 <= context.flags <= 255)


def test_the_log_line_speaks() -> None:
    """Every other log plugin shows hexadecimal ids, and nothing that is unset."""
    context = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, None, 3, "")

    assert context.to_log_field() == {
        "trace_id": "01" * 16,
        "span_id": "02" * 8,
        "upstream_span_id": "03" * 8,
        "flags": 3,
        "sampled": True,
    }

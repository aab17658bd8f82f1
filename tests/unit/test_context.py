"""Promises of context.py."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.context import RequestContext, RequestNotes, SpanContext

spans = st.builds(
    SpanContext,
    trace_id=st.binary(min_size=16, max_size=16).filter(any),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    flags=st.integers(0, 255),
    trace_state=st.text("abc=,", max_size=20),
)
contexts = st.builds(
    RequestContext,
    trace_id=st.binary(min_size=16, max_size=16).filter(any),
    span_id=st.binary(min_size=8, max_size=8).filter(any),
    upstream_span_id=st.binary(min_size=8, max_size=8).filter(any),
    parent_span_id=st.none() | st.binary(min_size=8, max_size=8).filter(any),
    flags=st.integers(0, 255),
    trace_state=st.text("abc=,", max_size=20),
    link=st.none() | spans,
    baggage=st.dictionaries(st.text(), st.text(), max_size=3).map(lambda members: tuple(members.items())),
    decided_by=st.sampled_from(["", "parent", "rule", "rate", "budget", "load"]),
    rule=st.text(max_size=128),
    probability=st.none() | st.floats(0, 1),
)


@given(contexts)
def test_a_context_survives_kongs_log(context: RequestContext) -> None:
    """The sidecar reads the same context that access wrote, after Kong has written it as JSON."""
    assert RequestContext.from_log_field(json.loads(json.dumps(context.to_log_field()))) == context


@given(
    st.dictionaries(
        st.sampled_from(
            ["trace_id", "span_id", "upstream_span_id", "flags", "parent_span_id", "trace_state", "probability"]
        ),
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


def test_link_and_baggage_speak_too() -> None:
    """The link in hexadecimal, baggage as names to values."""
    link = SpanContext(b"\x05" * 16, b"\x06" * 8, 1, "v=1")
    context = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, None, 3, "", link, (("tenant", "7"),))
    field = context.to_log_field()

    assert field["link"] == {"trace_id": "05" * 16, "span_id": "06" * 8, "flags": 1, "trace_state": "v=1"}
    assert field["baggage"] == {"tenant": "7"}


@given(
    st.recursive(st.none() | st.text() | st.floats(), lambda some: st.lists(some) | st.dictionaries(st.text(), some))
)
def test_what_is_no_link_and_no_baggage_is_left_out(anything: object) -> None:
    """A broken addition does not cost the context."""
    plain = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, None, 3, "")
    read = RequestContext.from_log_field({**plain.to_log_field(), "link": anything, "baggage": anything})

    assert read is not None
    assert dataclasses.replace(read, baggage=()) == plain
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in read.baggage)


def test_what_is_read_back_is_bounded() -> None:
    """No other log plugin can hand over a megabyte in our field."""
    plain = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, None, 3, "").to_log_field()
    read = RequestContext.from_log_field(
        {**plain, "baggage": {str(n): "v" * (9000 if n == 5 else 1) for n in range(300)}}
    )

    assert RequestContext.from_log_field({**plain, "trace_state": "a=" + "1" * 20_000}) is None
    assert RequestContext.from_log_field({**plain, "trace_state": "a=1\n"}) is None
    assert read is not None
    assert len(read.baggage) == 180
    assert "5" not in dict(read.baggage)


@pytest.mark.parametrize(
    "notes", [RequestNotes(), RequestNotes("PATCH"), RequestNotes(is_grpc=True), RequestNotes(has_body=True)]
)
def test_notes_are_read_as_they_were_written(notes: RequestNotes) -> None:
    """They are in the field of the context."""
    assert RequestNotes.from_log_field(notes.to_log_field()) == notes


@pytest.mark.parametrize("field", [None, "method", 3, ["method"]])
def test_without_a_field_there_are_no_notes(field: object) -> None:
    """`access` did not run."""
    assert RequestNotes.from_log_field(field) is None
    assert RequestNotes.from_log_field({"method": 3, "grpc": "yes", "body": 1}) == RequestNotes()

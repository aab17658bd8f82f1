"""Promises of sidecar/otlp/encoder.py; the SDK's own encoder is the oracle."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otlp_tracing import __version__
from otlp_tracing import context as trace_context
from otlp_tracing.sidecar.otlp import encoder as otlp
from otlp_tracing.sidecar.spans.model import SharedAttributes, SpanRecord
from otlp_tracing_devtools.fake_collector import attribute_values

SPAN = SpanRecord(
    trace_id=bytes(range(16)),
    span_id=bytes(range(1, 9)),
    parent_span_id=bytes(range(2, 10)),
    name="GET /users",
    kind="server",
    start_unix_ns=1_795_327_875_925_000_000,
    end_unix_ns=1_795_327_875_932_000_000,
    attributes={"text": "é", "int": 200, "float": 0.5, "flag": True, "list": ["a", "b"]},
    flags=3,
    trace_state="ot=th:8,v=1",
    is_error=True,
)

LINK = trace_context.SpanContext(b"\x0a" * 16, b"\x0b" * 8, 3, "v=1")


def sdk_span(span: SpanRecord) -> ReadableSpan:
    def context(span_id: bytes, is_remote: bool) -> SpanContext:
        state = TraceState.from_header([span.trace_state])
        trace_id = int.from_bytes(span.trace_id, "big")
        return SpanContext(trace_id, int.from_bytes(span_id, "big"), is_remote, TraceFlags(span.flags), state)

    def link(linked: trace_context.SpanContext) -> Link:
        state = TraceState.from_header([linked.trace_state])
        ids = (int.from_bytes(linked.trace_id, "big"), int.from_bytes(linked.span_id, "big"))
        return Link(SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(linked.flags), trace_state=state))

    kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
    return ReadableSpan(
        name=span.name,
        context=context(span.span_id, is_remote=False),
        parent=context(span.parent_span_id, is_remote=span.kind == "server") if span.parent_span_id else None,
        resource=Resource({"service.name": "kong"}),
        attributes=dict(span.attributes),
        kind=kinds[span.kind],
        links=[link(linked) for linked in span.links],
        status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
        start_time=span.start_unix_ns,
        end_time=span.end_unix_ns,
        instrumentation_scope=InstrumentationScope("otlp_tracing", __version__, otlp.SCHEMA_URL),
    )


@pytest.mark.parametrize(
    "span",
    [
        SPAN,
        dataclasses.replace(SPAN, kind="client", is_error=False),
        dataclasses.replace(SPAN, parent_span_id=None, trace_state="", flags=1, attributes={}),
        dataclasses.replace(SPAN, kind="internal"),
        dataclasses.replace(SPAN, attributes={str(n): n for n in (0, 1, 127, 128, 16383, 16384, -1, (1 << 63) - 1)}),
        dataclasses.replace(SPAN, links=(LINK, dataclasses.replace(LINK, flags=0, trace_state=""))),
    ],
)
def test_our_bytes_are_the_official_encoders(span: SpanRecord) -> None:
    """Field by field the message that opentelemetry-python makes of the same span."""
    expected = encode_spans([sdk_span(span)])
    ours = decoded(otlp.encode_span(span))
    encoded = expected.resource_spans[0].scope_spans[0].spans[0]
    # opentelemetry-python 1.45 leaves out the W3C flags, bits 0 to 7 by trace.proto.
    encoded.flags |= span.flags
    for encoded_link, link in zip(encoded.links, span.links, strict=True):
        encoded_link.flags |= link.flags
        encoded_link.trace_state = link.trace_state  # left out there too, a field of trace.proto
    if not span.is_error:
        encoded.ClearField("status")

    assert ours == expected


def decoded(*spans: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(otlp.request(otlp.encode_resource({"service.name": "kong"}), spans))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "\ud800"},
        {"attributes": {"a": "\udcff"}},
        {"attributes": {"a": 1 << 63}},
        {"attributes": {"a": None}},
        {"start_unix_ns": -1},
        {"end_unix_ns": 1 << 64},
        {"end_unix_ns": 1.5},
    ],
)
def test_a_value_that_the_message_cannot_hold_is_an_error(fields: dict[str, Any]) -> None:
    """It is raised for the one span, before it can spoil a batch."""
    with pytest.raises((ValueError, TypeError)):
        otlp.encode_span(dataclasses.replace(SPAN, **fields))


values = st.text(max_size=300) | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False)


@given(st.dictionaries(st.text(max_size=200), values | st.lists(st.text(max_size=20), max_size=4), max_size=8))
def test_any_attribute_is_read_as_it_was_written(attributes: dict[str, Any]) -> None:
    """Whatever the text, the number or the size: the generated classes read the written bytes."""
    span = otlp.encode_span(dataclasses.replace(SPAN, attributes=attributes))
    (read,) = decoded(span).resource_spans[0].scope_spans[0].spans

    assert attribute_values(read.attributes) == attributes


def test_a_batch_is_its_spans_in_order() -> None:
    """Pieces that were encoded apart make one request."""
    spans = [otlp.encode_span(dataclasses.replace(SPAN, name=f"span {number}")) for number in range(300)]

    names = [span.name for span in decoded(*spans).resource_spans[0].scope_spans[0].spans]
    assert names == [f"span {number}" for number in range(300)]


def test_shared_attributes_are_the_same_bytes() -> None:
    """A span with shared attributes is encoded to the bytes of one without, the first time and later."""
    shared = SharedAttributes({"text": "é", "int": 200})
    alone = dataclasses.replace(SPAN, attributes={**shared.attributes, "path": "/a"}, shared=None)
    others = dataclasses.replace(SPAN, attributes={**shared.attributes, "path": "/b", "size": 1}, shared=None)

    for span in (alone, others):
        assert otlp.encode_span(dataclasses.replace(span, shared=shared)) == otlp.encode_span(span)

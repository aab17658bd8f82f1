"""Our formats beside opentelemetry-python's propagators: one context from the same headers, and back.

Where both follow a format they must agree. Where they do not, DIFFERENCES has both readings of a header and the
reason, and a test holds both to it: a peer that changes is noticed. Datadog's format has no peer here, because its
library instruments the process that imports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from opentelemetry import baggage as peer_baggage
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.cloud_trace_propagator import CloudTraceFormatPropagator
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.propagators.ot_trace import OTTracePropagator
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation import baggage
from otlp_tracing.propagation.formats import FORMATS

PEERS: Mapping[str, TextMapPropagator] = {
    "w3c": TraceContextTextMapPropagator(),
    "b3": B3MultiFormat(),
    "b3-single": B3SingleFormat(),
    "jaeger": JaegerPropagator(),
    "ot": OTTracePropagator(),
    "aws": AwsXRayPropagator(),
    "gcp": CloudTraceFormatPropagator(),
}
T, S = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
SHORT = "463ac35c9f6413ad"
Headers = dict[str, list[str]]
Read = tuple[str, str | None, bool | None] | None
"""Trace id, span id, decision."""


class HeaderGetter(Getter[Headers]):
    """Reads headers as an HTTP server has them: names in any case."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        return carrier.get(key.lower())

    def keys(self, carrier: Headers) -> list[str]:
        return list(carrier)


def ours(name: str, headers: Mapping[str, Sequence[str]]) -> Read:
    caller = FORMATS[name].extract(headers)
    return caller and (caller.trace_id.hex(), caller.span_id and caller.span_id.hex(), caller.sampled)  # type: ignore[return-value]


def theirs(name: str, headers: Headers) -> Read:
    span = trace.get_current_span(PEERS[name].extract(headers, Context(), HeaderGetter())).get_span_context()
    if not span.is_valid:
        return None
    return f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags.sampled


ALIKE: list[tuple[str, Headers]] = [
    ("w3c", {"traceparent": [f"00-{T}-{S}-01"]}),
    ("w3c", {"traceparent": [f"00-{T}-{S}-00"], "tracestate": ["a=1"]}),
    ("w3c", {"traceparent": [f"cc-{T}-{S}-01-more"]}),
    ("w3c", {"traceparent": [f"ff-{T}-{S}-01"]}),
    ("w3c", {"traceparent": [f"00-{T}-{S}-01-more"]}),
    ("w3c", {"traceparent": [f"00-{T.upper()}-{S}-01"]}),
    ("w3c", {"traceparent": [f"00-{'0' * 32}-{S}-01"]}),
    ("b3", {"x-b3-traceid": [T], "x-b3-spanid": [S], "x-b3-sampled": ["1"]}),
    ("b3", {"x-b3-traceid": [T], "x-b3-spanid": [S], "x-b3-sampled": ["0"]}),
    ("b3", {"x-b3-traceid": [SHORT], "x-b3-spanid": [S], "x-b3-sampled": ["true"]}),
    ("b3", {"x-b3-traceid": [T], "x-b3-spanid": [S], "x-b3-flags": ["1"]}),
    ("b3", {"x-b3-traceid": [T]}),
    ("b3", {"x-b3-traceid": [T[1:]], "x-b3-spanid": [S], "x-b3-sampled": ["1"]}),
    ("b3", {"x-b3-traceid": [T.upper()], "x-b3-spanid": [S.upper()], "x-b3-sampled": ["1"]}),
    ("b3", {"b3": [f"{T}-{S}-1"]}),
    ("b3-single", {"b3": [f"{T}-{S}-1"]}),
    ("b3-single", {"b3": [f"{T}-{S}-0"]}),
    ("b3-single", {"b3": [f"{T}-{S}-d"]}),
    ("b3-single", {"b3": [f"{SHORT}-{S}-1-05e3ac9a4f6e3b90"]}),
    ("b3-single", {"b3": [T]}),
    ("jaeger", {"uber-trace-id": [f"{T}:{S}:0:1"]}),
    ("jaeger", {"uber-trace-id": [f"{T}:{S}:{S}:0"]}),
    ("jaeger", {"uber-trace-id": [f"{SHORT}:1f:0:01"]}),
    ("jaeger", {"uber-trace-id": [f"{T}:{S}:0:3"]}),
    ("jaeger", {"uber-trace-id": [f"{T}:{S}:1"]}),
    ("jaeger", {"uber-trace-id": [f"0:{S}:0:1"]}),
    ("jaeger", {"uber-trace-id": ["x:y:z:1"]}),
    ("ot", {"ot-tracer-traceid": [SHORT], "ot-tracer-spanid": [S], "ot-tracer-sampled": ["true"]}),
    ("ot", {"ot-tracer-traceid": [SHORT], "ot-tracer-spanid": [S], "ot-tracer-sampled": ["false"]}),
    ("ot", {"ot-tracer-traceid": [T], "ot-tracer-spanid": ["1"], "ot-tracer-sampled": ["true"]}),
    ("ot", {"ot-tracer-traceid": [SHORT], "ot-tracer-sampled": ["true"]}),
    ("ot", {"ot-tracer-traceid": ["0"], "ot-tracer-spanid": [S], "ot-tracer-sampled": ["true"]}),
    ("aws", {"x-amzn-trace-id": [f"Root=1-{T[:8]}-{T[8:]};Parent={S};Sampled=1"]}),
    ("aws", {"x-amzn-trace-id": [f"Sampled=0;Parent={S};Root=1-{T[:8]}-{T[8:]}"]}),
    ("aws", {"x-amzn-trace-id": [f"Root=1-{T[:8]}-{T[8:]}; Parent={S}; Sampled=1; Lineage=25:a:1"]}),
    ("aws", {"x-amzn-trace-id": [f"Root=2-{T[:8]}-{T[8:]};Parent={S};Sampled=1"]}),
    ("aws", {"x-amzn-trace-id": [f"Root=1-{T[:8]}-{T[8:]};Parent={S[1:]};Sampled=1"]}),
    ("gcp", {"x-cloud-trace-context": [f"{T}/1;o=1"]}),
    ("gcp", {"x-cloud-trace-context": [f"{T}/{2**64 - 1};o=0"]}),
    ("gcp", {"x-cloud-trace-context": [f"{'0' * 32}/1;o=1"]}),
    ("gcp", {"x-cloud-trace-context": [f"{T[1:]}/1;o=1"]}),
]

DIFFERENCES: list[tuple[str, str, Headers, Read, Read]] = [
    # why; format; headers; ours; theirs
    ("b3: an absent decision defers it to the receiver; the peer has no word for that and drops",
     "b3", {"x-b3-traceid": [T], "x-b3-spanid": [S]}, (T, S, None), (T, S, False)),
    ("b3: the same in the single header, where the peer keeps",
     "b3-single", {"b3": [f"{T}-{S}"]}, (T, S, None), (T, S, True)),
    ("b3: an unknown decision breaks the single header's grammar; the peer drops the trace",
     "b3-single", {"b3": [f"{T}-{S}-x"]}, None, (T, S, False)),
    ("b3: OpenTelemetry's specification has the many headers tried where the single one is broken",
     "b3", {"b3": ["broken"], "x-b3-traceid": [T], "x-b3-spanid": [S], "x-b3-sampled": ["1"]}, (T, S, True), None),
    ("b3: a decision alone is a new trace with that decision; the peer ignores it",
     "b3-single", {"b3": ["0"]}, ("", None, False), None),
    ("b3: the same in the many headers, where the specification calls debug an accepted decision",
     "b3", {"x-b3-flags": ["1"]}, ("", None, True), None),
    ("two values are two callers; the peer takes the first",
     "b3", {"x-b3-traceid": [T, T], "x-b3-spanid": [S], "x-b3-sampled": ["1"]}, None, (T, S, True)),
    ("jaeger: debug implies sampled, also alone",
     "jaeger", {"uber-trace-id": [f"{T}:{S}:0:2"]}, (T, S, True), (T, S, False)),
    ("jaeger: hexadecimal digits; the peer's int() takes prefixes, underscores and spaces as well",
     "jaeger", {"uber-trace-id": [f"0x{SHORT}:1_f: 0:1"]}, None, ("0" * 16 + SHORT, "0" * 14 + "1f", True)),
    ("jaeger: clients that encode the colons are read",
     "jaeger", {"uber-trace-id": [f"{T}%3A{S}%3A0%3A1"]}, (T, S, True), None),
    ("ot: an absent decision is left to us",
     "ot", {"ot-tracer-traceid": [SHORT], "ot-tracer-spanid": [S]}, ("0" * 16 + SHORT, S, None),
     ("0" * 16 + SHORT, S, False)),
    ("ot: the reference tracers' parser of booleans takes 1 as well",
     "ot", {"ot-tracer-traceid": [SHORT], "ot-tracer-spanid": [S], "ot-tracer-sampled": ["1"]},
     ("0" * 16 + SHORT, S, True), ("0" * 16 + SHORT, S, False)),
    ("aws: a load balancer names a trace and no span; the peer starts another trace",
     "aws", {"x-amzn-trace-id": [f"Root=1-{T[:8]}-{T[8:]}"]}, (T, None, None), None),
    ("aws: a decision that is asked for is left to us; the peer refuses the header",
     "aws", {"x-amzn-trace-id": [f"Root=1-{T[:8]}-{T[8:]};Parent={S};Sampled=?"]}, (T, S, None), None),
    ("aws: the same for none at all, where the peer drops",
     "aws", {"x-amzn-trace-id": [f"Root=1-{T[:8]}-{T[8:]};Parent={S}"]}, (T, S, None), (T, S, False)),
    ("gcp: options may be left out, and leave the decision to us",
     "gcp", {"x-cloud-trace-context": [f"{T}/1"]}, (T, "0" * 15 + "1", None), (T, "0" * 15 + "1", False)),
    ("gcp: the span may be left out",
     "gcp", {"x-cloud-trace-context": [f"{T};o=1"]}, (T, None, True), None),
    ("gcp: a span id of 0 is none, and no reason to lose the trace",
     "gcp", {"x-cloud-trace-context": [f"{T}/0;o=1"]}, (T, None, True), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "headers"), ALIKE)
def test_the_same_headers_are_the_same_context(name: str, headers: Headers) -> None:
    """Where both follow the format, both read one trace, one span and one decision, or nothing."""
    assert ours(name, headers) == theirs(name, headers)


@pytest.mark.parametrize(("why", "name", "headers", "we_read", "they_read"), DIFFERENCES)
def test_where_we_differ_there_is_a_reason(
    why: str, name: str, headers: Headers, we_read: Read, they_read: Read
) -> None:
    """A difference is known, has a reason, and is still there."""
    assert why
    assert ours(name, headers) == we_read
    assert theirs(name, headers) == they_read


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", PEERS)
def test_what_we_write_they_read(name: str, sampled: bool) -> None:
    """Every format that the plugin writes has the same meaning for its peer."""
    context = SpanContext(bytes.fromhex(T), bytes.fromhex(S), int(sampled))
    trace_id = "0" * 16 + T[16:] if name == "ot" else T

    assert theirs(name, FORMATS[name].inject(context)) == (trace_id, S, sampled)


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("name", PEERS)
def test_what_they_write_we_read(name: str, sampled: bool) -> None:
    """And the other way round."""
    span = trace.SpanContext(int(T, 16), int(S, 16), is_remote=True, trace_flags=trace.TraceFlags(int(sampled)))
    written: dict[str, str] = {}
    PEERS[name].inject(written, trace.set_span_in_context(trace.NonRecordingSpan(span), Context()))
    trace_id = "0" * 16 + T[16:] if name == "ot" else T

    assert ours(name, {header.lower(): [value] for header, value in written.items()}) == (trace_id, S, sampled)


@pytest.mark.parametrize(
    "line", ["a=1,b=2", "a=1;p=2, b = 3", "userId=Am%C3%A9lie,serverNode=DF%2028", "a=1=2", "a=", "a=1,a=2"]
)
def test_baggage_is_read_alike(line: str) -> None:
    """The same members with the same decoded values; properties are no part of a value."""
    read = peer_baggage.get_all(W3CBaggagePropagator().extract({"baggage": [line]}, Context(), HeaderGetter()))
    names = list(baggage.parse([line]))

    # The peer keeps properties in the value.
    assert dict(baggage.captured({"baggage": [line]}, names)) == {
        name: str(value).partition(";")[0] for name, value in read.items()
    }

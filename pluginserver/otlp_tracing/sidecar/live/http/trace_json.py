"""Kept traces as JSON for the page, decoded from the exported bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from otlp_tracing.sidecar.live.http.curl import curl_command
from otlp_tracing.sidecar.live.traces import RecentTrace
from otlp_tracing.sidecar.redaction.detectors.credentials import URL_MASK
from otlp_tracing.sidecar.redaction.pseudonyms import PSEUDONYM

_KINDS = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client"}
_FLAGS = 0xFF  # the W3C part of Span.flags
_LONGEST = 512  # characters of a value in the list; the waterfall shows all


def row(trace: RecentTrace) -> dict[str, Any]:
    """Return a request's row of the list."""
    spans = _spans(trace)
    server = spans[0]
    attributes = _attributes(server.attributes)
    path, query = str(attributes.get("url.path", "")), attributes.get("url.query")
    return {
        "number": trace.number,
        "trace_id": trace.trace_id.hex(),
        "start_ms": server.start_time_unix_nano / 1e6,
        "duration_ms": trace.duration_ms,
        "name": server.name[:_LONGEST],
        "method": str(attributes.get("http.request.method_original") or attributes.get("http.request.method", "")),
        "target": (f"{path}?{query}" if query else path)[:_LONGEST],
        "host": str(attributes.get("server.address", ""))[:_LONGEST],
        "service": trace.service,
        "route": trace.route,
        "status": trace.status,
        "is_error": server.status.code == Status.STATUS_CODE_ERROR,
        "why": str(attributes.get("otlp_tracing.sampling.reason", "")),
        "rule": str(attributes.get("otlp_tracing.sampling.rule", "")),
        "spans": len(spans),
        "has_redacted": any(_is_redacted(value) for span in spans for value in _attributes(span.attributes).values()),
    }


def trace(requests: Sequence[RecentTrace]) -> dict[str, Any]:
    """Return one trace in full.

    Args:
        requests: all of the trace, one or more, oldest first.
    """
    spans = [(request, span) for request in requests for span in _spans(request)]
    start_ns = min(span.start_time_unix_nano for _, span in spans)
    return {
        "trace_id": requests[0].trace_id.hex(),
        "start_ms": start_ns / 1e6,
        "requests": [{**row(request), **_to_copy(_spans(request))} for request in requests],
        "spans": [{**_span(span, start_ns), "number": request.number} for request, span in spans],
        "log_records": [_log_record(one) for request in requests for one in _log_records(request)],
    }


def _spans(trace: RecentTrace) -> list[Span]:
    return list(ScopeSpans.FromString(b"".join(trace.spans)).spans)


def _log_records(trace: RecentTrace) -> list[LogRecord]:
    return list(ScopeLogs.FromString(trace.log_record).log_records)


def _log_record(record: LogRecord) -> dict[str, Any]:
    return {
        "span_id": record.span_id.hex(),
        "at_ms": record.time_unix_nano / 1e6,
        "severity": record.severity_text,
        "body": record.body.string_value,
        "attributes": list(_attributes(record.attributes).items()),
    }


def _to_copy(spans: Sequence[Span]) -> dict[str, str]:
    # The upstream got the last try's span as its parent; without a try the SERVER span is shown.
    tries = [span for span in spans if span.kind == Span.SPAN_KIND_CLIENT]
    seen = tries[-1] if tries else spans[0]
    return {
        "curl": curl_command(_attributes(spans[0].attributes)),
        "traceparent": f"00-{seen.trace_id.hex()}-{seen.span_id.hex()}-{seen.flags & _FLAGS:02x}",
    }


def _span(span: Span, start_ns: int) -> dict[str, Any]:
    return {
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": _KINDS.get(span.kind, "internal"),
        "offset_ms": (span.start_time_unix_nano - start_ns) / 1e6,
        "duration_ms": max(span.end_time_unix_nano - span.start_time_unix_nano, 0) / 1e6,
        "is_error": span.status.code == Status.STATUS_CODE_ERROR,
        "trace_state": span.trace_state,
        "flags": span.flags & _FLAGS,
        "attributes": list(_attributes(span.attributes).items()),
        "links": [{"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links],
    }


def _attributes(pairs: Sequence[KeyValue]) -> Mapping[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


def _is_redacted(value: Any) -> bool:
    return any(URL_MASK in text or PSEUDONYM.search(text) for text in _texts(value))


def _texts(value: Any) -> Iterator[str]:
    yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str))

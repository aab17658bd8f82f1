"""Spans of invented records, for the tests of assembly.

Every span that is made here is held against the semantic conventions (semconv.py), because a span of a unit test is a
span that the product can make.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from otlp_tracing.config.settings import Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, decode
from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.spans.assemble import assemble, request_attributes
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.rules import SpanRules
from semconv import faults

CONTEXT = RequestContext(b"\x01" * 16, b"\x02" * 8, b"\x03" * 8, b"\x04" * 8, 3, "ot=th:0")

ENTRY_KEY = b"k" * 16

GRPC: dict[str, Any] = {
    "request": {"method": "POST", "uri": "/shop.Cart/Add", "headers": {"content-type": "application/grpc"}},
    "service": {"id": "s", "protocol": "grpc", "host": "cart", "port": 9090},
    "upstream_uri": "/shop.Cart/Add",
    "upstream_status": "200",
    "source": "upstream",
    "tries": [{}],
}
"""The fields that make a record a gRPC call."""

_BASIS: dict[str, Any] = {
    "request": {"method": "GET", "uri": "/a/b", "url": "http://gw:8000/a/b", "headers": {"host": "gw:8000"}},
    "response": {"status": 200},
    "service": {"protocol": "http", "host": "users", "port": 8080},
    "started_at": 1_000,
    "latencies": {"request": 10},
}


def record_of(**fields: Any) -> RequestRecord:
    """Return a plain record with some fields of its own; records in it are merged."""
    # The record of a connection has no request and no response.
    basis = {
        name: one for name, one in _BASIS.items() if "session" not in fields or name not in {"request", "response"}
    }
    for name, value in fields.items():
        basis[name] = basis[name] | value if isinstance(basis.get(name), dict) and value is not None else value
    return decode(msgspec.json.encode(basis))


def rules_of(**config: Any) -> SpanRules:
    """Return the rules of a plugin entry with this configuration."""
    return SpanRules.from_settings(Settings.from_config(config), HttpMethods({}), CardinalityLimit())


def spans_of(context: RequestContext = CONTEXT, rules: SpanRules | None = None, **fields: Any) -> list[SpanRecord]:
    """Return the spans of record_of(**fields)."""
    record, rules = record_of(**fields), rules or rules_of()
    spans = assemble(record, context, rules)
    assert request_attributes(record, context, rules) == (spans[0].attributes, spans[0].shared)
    assert [fault for span in spans for fault in faults(span)] == []
    return spans


def outcome_of(
    context: RequestContext = CONTEXT,
    *,
    kept_for: str | None = None,
    is_dropped_later: bool = False,
    spans: Sequence[bytes] = (),
    log_record: bytes = b"",
    route_key: tuple[str, str] = ("users", "all"),
    entry: tuple[bytes, str] = (ENTRY_KEY, "entry"),
    worker_id: bytes = b"",
    **fields: Any,
) -> RequestOutcome:
    """Return the outcome of record_of(**fields)."""
    record = record_of(**fields)
    return RequestOutcome(
        *entry,
        worker_id,
        record=record,
        route=route_key,
        context=context,
        probability=context.probability,
        kept_for=kept_for,
        is_dropped_later=is_dropped_later,
        spans=spans,
        log_record=log_record,
    )

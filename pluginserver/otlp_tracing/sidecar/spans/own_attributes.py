"""The attributes of an entry's own (`span.attributes`), read from a request and from Kong's entities.

Their number is bounded by the schema, the length of their values by redaction, which they pass like all others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

from otlp_tracing.config.settings import SpanAttribute
from otlp_tracing.errors import Fault
from otlp_tracing.sidecar.ingest.entities import tag_value, tags_of
from otlp_tracing.sidecar.ingest.log_record import Consumer
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, first_line
from otlp_tracing.sidecar.spans.http_route import path_captures
from otlp_tracing.sidecar.spans.model import Attributes, AttributeValue

TAKEN: Final = (
    "baggage.", "client.", "error.", "exception.", "gen_ai.", "http.", "kong.", "net.", "network.", "nginx.",
    "otel.", "otlp_tracing.", "peer.", "rpc.", "server.", "service.", "telemetry.", "tls.", "url.", "user_agent.",
)  # fmt: skip
"""Namespaces that the spans, or their resource, fill themselves."""

_CONFIGURED: Final = frozenset({"literal", "route_tag", "service_tag"})
_NEED_A_KEY: Final = frozenset({"request_header", "response_header", "query_parameter", "path_capture"})
_TAGS: Final = frozenset({"consumer_tag", "route_tag", "service_tag"})
_HEADER: Final = re.compile(r"[A-Za-z0-9_-]+")


class OwnAttributes:
    """The attributes that an entry adds to its SERVER spans.

    Args:
        wanted: by the configuration; those with a fault are left out.
    """

    def __init__(self, wanted: Sequence[SpanAttribute]) -> None:
        named: dict[str, int] = {}
        faults: list[Fault] = []
        usable: list[SpanAttribute] = []
        for number, one in enumerate(wanted, 1):
            fault = _fault(one, f"span.attributes[{number}]")
            if fault is None and one.name in named:
                rule = f"is the name of span.attributes[{named[one.name]}] too"
                fault = Fault(f"span.attributes[{number}].name", json.dumps(one.name), rule)
            if fault is None:
                named[one.name] = number
                usable.append(one)
            else:
                faults.append(fault)
        self.faults: Final = faults
        self._wanted: Final = usable
        self._needs_captures: Final = any(one.source == "path_capture" for one in usable)
        self.bounded: Final = frozenset(one.name for one in usable if one.source in _CONFIGURED and not _is_list(one))
        """Names of those with a single value that the configuration of Kong alone decides."""

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._wanted)

    def attributes(self, record: RequestRecord) -> Attributes:
        """Return the attributes that a request has; they are not redacted."""
        captures = _captures(record) if self._needs_captures else {}
        found: Attributes = {}
        for one in self._wanted:
            value = _value(one, record, captures) or one.value
            if value:
                found[one.name] = value
        return found


def _value(one: SpanAttribute, record: RequestRecord, captures: dict[str, str]) -> AttributeValue | None:
    source, key = one.source, one.key or ""
    if source in _TAGS:
        log = record.log
        tags = tags_of(log.route if source == "route_tag" else log.service if source == "service_tag" else log.consumer)
        return tag_value(tags, key) if key else tags
    if source == "request_header":
        return first_line(record.request_headers, key.lower())
    if source == "response_header":
        return first_line(record.response_headers, key.lower())
    if source == "query_parameter":
        return _parameter(record.query, key)
    return captures.get(key) if source == "path_capture" else _of_consumer(source, record.log.consumer)


def _of_consumer(source: str, consumer: Consumer | None) -> str | None:
    if consumer is None or source == "literal":
        return None
    if source == "consumer_id":
        return consumer.id
    return consumer.username if source == "consumer_username" else consumer.custom_id


def _parameter(query: str, key: str) -> str | None:
    for parameter in query.split("&"):
        name, equals, value = parameter.partition("=")
        if equals and (name == key or unquote_plus(name) == key):
            return unquote_plus(value)
    return None


def _captures(record: RequestRecord) -> dict[str, str]:
    route = record.log.route
    return {} if route is None else path_captures(route, record.path)


def _is_list(one: SpanAttribute) -> bool:
    return one.source in _TAGS and one.key is None


def _fault(one: SpanAttribute, field: str) -> Fault | None:
    taken = next((space for space in TAKEN if one.name.startswith(space) or one.name == space[:-1]), None)
    if taken is not None:
        rule = f"must not begin with {taken}, which the spans fill themselves; app.{one.name} can be used"
        return Fault(f"{field}.name", json.dumps(one.name), rule)
    if one.source == "literal" and one.value is None:
        return Fault(f"{field}.value", "", "is required with the source literal")
    if one.source in _NEED_A_KEY and one.key is None:
        return Fault(f"{field}.key", "", f"is required with the source {one.source}")
    if one.key is not None and one.source not in _NEED_A_KEY | _TAGS:
        return Fault(f"{field}.key", json.dumps(one.key), f"must be unset with the source {one.source}")
    if one.key is not None and one.source.endswith("_header") and not _HEADER.fullmatch(one.key):
        return Fault(f"{field}.key", json.dumps(one.key), "must be the name of a header")
    return None

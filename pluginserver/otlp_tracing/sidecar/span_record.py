"""A finished span, ours: what assembly makes and everything after it works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from otlp_tracing.contract.trace_context import SpanContext

__all__ = ["AttributeValue", "Attributes", "SpanRecord", "present"]

AttributeValue = str | bool | int | float | list[str]
Attributes = dict[str, AttributeValue]


def present(attributes: Mapping[str, AttributeValue | None]) -> Attributes:
    """Leave out what there is no value for."""
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One span.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_span_id: 8 bytes, None for a root.
        name: of low cardinality.
        kind: as OTLP has it.
        start_unix_ns: nanoseconds since 1970.
        end_unix_ns: likewise, never before the start.
        attributes: by the semantic conventions.
        flags: W3C trace flags.
        trace_state: the tracestate sent upstream.
        is_error: the span's status is ERROR; else it is unset.
        links: spans of other traces that this one belongs with.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes | None
    name: str
    kind: Literal["server", "client", "internal"]
    start_unix_ns: int
    end_unix_ns: int
    attributes: Mapping[str, AttributeValue]
    flags: int
    trace_state: str
    is_error: bool
    links: tuple[SpanContext, ...] = ()

"""A finished span: made by assembly, read by redaction and the encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from otlp_tracing.context import SpanContext

AttributeValue = str | bool | int | float | list[str]
Attributes = dict[str, AttributeValue]
Kind = Literal["server", "client", "internal"]


def present(attributes: dict[str, AttributeValue | None]) -> Attributes:
    """Return the attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None and value != ""}


def add_text(attributes: Attributes, name: str, text: str | None) -> None:
    """Add an attribute that has a text."""
    if text:
        attributes[name] = text


def add_number(attributes: Attributes, name: str, number: float | None) -> None:
    """Add an attribute with a whole number that is not negative. Kong writes -1 for a missing number."""
    if isinstance(number, int):
        if number >= 0:
            attributes[name] = number
    elif number is not None and number >= 0:
        attributes[name] = int(number)


class SharedAttributes:
    """Attributes that many spans have, and their log records: scanned once for secrets, and encoded once a signal.

    Args:
        attributes: never changed.
    """

    __slots__ = ("attributes", "clean_by", "encoded")
    attributes: Final[Attributes]
    encoded: Final[dict[bytes, bytes]]
    """As fields of a span or of a log record, by the tag of the field."""
    clean_by: object
    """The scan that has found no secret in them; None before."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.encoded = {}
        self.clean_by = None


@dataclass(slots=True, init=False)
class SpanRecord:
    """One span.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_span_id: 8 bytes, None for a root.
        name: of low cardinality.
        kind: as OTLP has it.
        start_unix_ns: nanoseconds since 1970.
        end_unix_ns: nanoseconds since 1970, never before the start.
        attributes: by the semantic conventions.
        flags: W3C trace flags.
        trace_state: the tracestate sent upstream.
        is_error: the span's status is ERROR; otherwise it is unset.
        links: related spans of other traces.
        shared: the first of the attributes, in their order; None if they are not known to be shared.
    """

    trace_id: Final[bytes]
    span_id: Final[bytes]
    parent_span_id: Final[bytes | None]
    name: Final[str]
    kind: Final[Kind]
    start_unix_ns: Final[int]
    end_unix_ns: Final[int]
    attributes: Final[Attributes]
    flags: Final[int]
    trace_state: Final[str]
    is_error: Final[bool]
    links: Final[tuple[SpanContext, ...]]
    shared: SharedAttributes | None = field(compare=False, repr=False)

    # Two are made per request. mypyc does not compile the __init__ that a dataclass generates.
    def __init__(  # noqa: PLR0917 - the fields
        self,
        trace_id: bytes,
        span_id: bytes,
        parent_span_id: bytes | None,
        name: str,
        kind: Kind,
        start_unix_ns: int,
        end_unix_ns: int,
        attributes: Attributes,
        flags: int,
        trace_state: str,
        is_error: bool,
        links: tuple[SpanContext, ...] = (),
        shared: SharedAttributes | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_span_id = parent_span_id
        self.name = name
        self.kind = kind
        self.start_unix_ns = start_unix_ns
        self.end_unix_ns = end_unix_ns
        self.attributes = attributes
        self.flags = flags
        self.trace_state = trace_state
        self.is_error = is_error
        self.links = links
        self.shared = shared

    def with_attributes(self, attributes: Attributes, shared: SharedAttributes | None = None) -> SpanRecord:
        """Return the span with other attributes; dataclasses.replace takes four times as long."""
        return SpanRecord(
            self.trace_id,
            self.span_id,
            self.parent_span_id,
            self.name,
            self.kind,
            self.start_unix_ns,
            self.end_unix_ns,
            attributes,
            self.flags,
            self.trace_state,
            self.is_error,
            self.links,
            shared,
        )

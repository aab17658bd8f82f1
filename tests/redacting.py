"""Makes spans and redacts them."""

from __future__ import annotations

import dataclasses
from typing import Any

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.redactor import shared_redactor
from otlp_tracing.sidecar.redaction.string_kinds import REQUIRED
from otlp_tracing.sidecar.spans.model import AttributeValue, SharedAttributes, SpanRecord

KEY = "0123456789abcdef"
Noted = list[tuple[str, str, str, str]]


def span_of(name: str = "GET /a", /, **attributes: Any) -> SpanRecord:
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    return SpanRecord(b"t" * 16, b"s" * 8, None, name, "server", 1, 2, dotted, 3, "", is_error=False)


def shared_span(shared: SharedAttributes, **attributes: Any) -> SpanRecord:
    """Return a span that begins with shared attributes."""
    span = span_of(**attributes)
    return dataclasses.replace(span, attributes={**shared.attributes, **span.attributes}, shared=shared)


def redacted(span: SpanRecord, **redaction: Any) -> tuple[SpanRecord, Noted]:
    return redacted_with([], span, **redaction)


def redacted_with(own: list[dict[str, Any]], span: SpanRecord, **redaction: Any) -> tuple[SpanRecord, Noted]:
    noted: Noted = []
    settings = Settings.from_config({"redaction": redaction, "span": {"attributes": own}})
    redactor = shared_redactor(settings.redaction, settings.span.attributes)
    result = redactor.redact(span, lambda *finding: noted.append(finding))
    of_attributes: Noted = []
    attributes, shared = redactor.redact_attributes(
        span.attributes, lambda *finding: of_attributes.append(finding), shared=span.shared
    )
    assert (attributes, shared) == (result.attributes, result.shared)
    assert of_attributes == [one for one in noted if one[0] not in REQUIRED]
    return result, noted


def values_of(span: SpanRecord, **redaction: Any) -> dict[str, AttributeValue]:
    return dict(redacted(span, **redaction)[0].attributes)

"""The access log of a plugin entry: which requests are logged, and as which log records.

A record has the attributes of the SERVER span, redacted with it. Its time is the end of the request.

Source: opentelemetry-proto, logs/v1/logs.proto; OpenTelemetry specification, logs/data-model.md, "Severity Fields".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otlp_tracing.config.settings import LogExport
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.access_logs.body import REQUEST_MS, Body
from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.otlp.encoder import Severity, encode_log
from otlp_tracing.sidecar.spans.model import Attributes, SharedAttributes
from otlp_tracing.sidecar.spans.timing import end_ns

_INFO: Final = Severity(9, "INFO")
_WARN: Final = Severity(13, "WARN")
_ERROR: Final = Severity(17, "ERROR")
_SEVERITIES: Mapping[str, Severity] = {"info": _INFO, "warn": _WARN, "error": _ERROR}


class AccessLog:
    """Decides and encodes the log records of an entry that logs requests.

    Args:
        settings: of the entry.
        body: its template.
    """

    def __init__(self, settings: LogExport, body: Body) -> None:
        self._is_all: Final = settings.requests == "all"
        self._min_severity: Final = _SEVERITIES[settings.min_severity].number
        self._body: Final = body

    @property
    def wants_all(self) -> bool:
        """Each request is logged, kept or not."""
        return self._is_all and self._min_severity <= _INFO.number

    def wants(self, record: RequestRecord, *, is_kept: bool) -> bool:
        """Tell whether a request is logged.

        Args:
            record: of the request.
            is_kept: its trace is exported.
        """
        return (is_kept or self._is_all) and severity(record).number >= self._min_severity

    def encode(
        self,
        record: RequestRecord,
        context: RequestContext,
        attributes: Attributes,
        shared: SharedAttributes | None = None,
    ) -> bytes:
        """Return a request's log record, see otlp.encoder.encode_log.

        Args:
            record: of the request.
            context: of the request.
            attributes: of its SERVER span, redacted; the duration is added to them.
            shared: the first of the attributes, see SpanRecord.
        """
        attributes[REQUEST_MS] = int(record.duration_ms)
        time_ns = end_ns(record.log, record.tries)
        return encode_log(context, time_ns, attributes, severity(record), self._body.text(attributes), shared)


def severity(record: RequestRecord) -> Severity:
    """Return a request's severity: ERROR for the errors of its SERVER span, WARN for a 4xx, otherwise INFO."""
    if record.error_type is not None:
        return _ERROR
    return _WARN if record.status >= 400 else _INFO

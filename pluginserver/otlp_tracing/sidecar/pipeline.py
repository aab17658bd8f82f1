"""From a record to its destination: decode, assemble, redact, encode, hand over for delivery."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from otlp_tracing.config.settings import Keep, Settings, entry_name
from otlp_tracing.context import RequestContext
from otlp_tracing.errors import ConfigError, WireError
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import NAMES_REFUSED, RECORDS_REFUSED, REQUESTS
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.rules import RequestLine
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.ingest.log_record import LogRecord, decode
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.redaction.redactor import Redactor, shared_redactor
from otlp_tracing.sidecar.redaction.report import RedactionReport
from otlp_tracing.sidecar.spans import resource
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.cardinality import NameGuard
from otlp_tracing.sidecar.spans.grpc import with_lost_method
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.tail.controller import OWN, RateKeeper
from otlp_tracing.sidecar.tail.decision import is_lowered, keep_reason
from otlp_tracing.sidecar.tail.report import SamplingReport
from otlp_tracing.sidecar.tail.route_minimum import RareRoutes
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_duration import RequestMetrics

__all__ = ["Entry", "Pipeline"]

_log = logging.getLogger("otlp_tracing.sidecar.pipeline")
_refused = LimitedLog(_log)

# Configurations remembered; each reload of Kong with changes brings new ones, the longest unused goes.
MAX_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin entry, ready for its records."""

    name: str
    tracer: RequestTracer
    rules: SpanRules
    keep: Keep
    redactor: Redactor
    destination: Destination
    what_if: WhatIfRedaction

    def context(self, record: LogRecord) -> tuple[RequestContext, bool]:
        """Return what was decided for a request, and whether it was decided only now."""
        context = RequestContext.from_log_field(record.otlp_tracing)
        if context is not None:
            return context, False
        # `access` did not run: no route, or a plugin of even higher priority ended the request.
        return self.tracer.begin(_headers(record), lambda: _line(record)), True


class Pipeline:
    """All entries of a sidecar.

    Args:
        metrics: where everything is counted.
        environment: `OTEL_*` variables.
        exporters: to every destination.
        rates: told of every request's decision, for the rates that move.
        random_bytes: where ids come from that `access` did not choose.
        clock: monotonic seconds.
        recorder: is told of every request, for the live page; None where there is none.
    """

    def __init__(
        self,
        metrics: Metrics,
        environment: Mapping[str, str],
        exporters: ExporterRegistry,
        rates: RateKeeper,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.monotonic,
        recorder: Recorder | None = None,
    ) -> None:
        self._metrics = metrics
        self._rates = rates
        self._clock = clock
        self._recorder = recorder
        self._environment = environment
        self._random_bytes = random_bytes
        self._entries: OrderedDict[bytes, Entry | None] = OrderedDict()
        self._exporters = exporters
        self._detected = resource.detect(environment)
        self._methods = HttpMethods(environment)
        self._names = NameGuard(lambda kind: metrics.add(NAMES_REFUSED, kind))
        self._requests = RequestMetrics(metrics, self._methods)
        self.redactions = RedactionReport(metrics)
        self._rare = RareRoutes()
        self.sampling = SamplingReport(metrics)

    def configure(self, key: bytes, config: bytes) -> None:
        """Take a plugin entry's configuration over; one that cannot work is said and counted, once."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        try:
            document = json.loads(config)
            settings = Settings.from_config(document)
            name = entry_name(document)
            redactor = shared_redactor(settings.redaction)
            destination = Destination.from_settings(settings, self._environment, self._detected)
            self._exporters.to(destination)
            allowance = self._rates.configure(key, name, settings.sampling)
            self._entries[key] = Entry(
                name,
                RequestTracer.of(
                    settings.sampling,
                    self._random_bytes,
                    settings.propagation,
                    settings.capture,
                    allowance,
                    redaction=settings.redaction,
                ),
                SpanRules.of(settings, self._methods, self._names),
                settings.sampling.keep,
                redactor,
                destination,
                WhatIfRedaction.from_settings(settings, redactor),
            )
        except (ConfigError, ValueError) as error:
            _log.error("this configuration traces nothing: %s", error)
            self._metrics.add(RECORDS_REFUSED, "bad_configuration")
            self._entries[key] = None
        if len(self._entries) > MAX_ENTRIES:
            unused, _ = self._entries.popitem(last=False)
            self._rates.forget(unused)

    def knows(self, key: bytes) -> bool:
        """Tell whether an entry's configuration, good or bad, is here; the longest unused may be forgotten."""
        return key in self._entries

    def take(self, key: bytes, log: bytes, process: bytes = OWN) -> None:
        """Take one request's record over; whatever is wrong with it is counted.

        Args:
            key: of its entry.
            log: the record.
            process: that handed it over.
        """
        entry = self._entries.get(key)
        if entry is None:
            self._metrics.add(RECORDS_REFUSED, "bad_configuration")
            return
        self._entries.move_to_end(key)
        try:
            self._take(key, entry, with_lost_method(decode(log)), process)
        except WireError as error:
            _refused.warning("refused a record: %s", error)
            self._metrics.add(RECORDS_REFUSED, "bad_record")
        except Exception:
            # A fault of ours. Raised further it would end the connection, and the sender would repeat the record.
            _refused.warning("could not take a record over", exc_info=True)
            self._metrics.add(RECORDS_REFUSED, "bad_record")

    def _take(self, key: bytes, entry: Entry, record: LogRecord, process: bytes) -> None:
        place = record.place
        context, decided_now = entry.context(record)
        kept_for = None if context.sampled else self._keep_reason(key, entry, record, context)
        kept = context.sampled or kept_for is not None
        note = partial(self.redactions.record, place[1])
        assembled = assemble(record, context, entry.rules, kept_for) if kept else []
        spans = [entry.redactor.redact(span, note) for span in assembled]
        outcome = f"kept_for_{kept_for}" if kept_for else "sampled" if kept else "not_sampled"
        self._metrics.add(REQUESTS, outcome)
        self._rates.observe(key, OWN if decided_now else process, context, kept)
        self.sampling.observe(place, entry.name, context, kept_for)
        if kept:
            self._rare.kept(key, _route_id(record), self._clock())
        self._requests.observe(record, place, spans[0] if spans else None)
        encoded = self._deliver(spans, entry.destination) if spans else []
        if self._recorder is not None:
            self._recorder.observe(record, place, context, outcome, encoded, what_if=entry.what_if)

    def _keep_reason(self, key: bytes, entry: Entry, record: LogRecord, context: RequestContext) -> str | None:
        reason = keep_reason(record, entry.keep)
        if reason is None and is_lowered(context) and self._rare.is_rare(key, _route_id(record), self._clock()):
            return "rare"
        return reason

    def _deliver(self, spans: list[SpanRecord], destination: Destination) -> list[bytes]:
        encoded = []
        for span in spans:
            try:
                encoded.append(encode_span(span))
            except (ValueError, TypeError) as error:
                # One field that protobuf refuses must not cost the others.
                _refused.warning("could not encode a span: %s", error)
        self._exporters.submit(destination, encoded, len(spans) - len(encoded))
        return encoded


def _route_id(record: LogRecord) -> str:
    return (record.route.id or record.route.name or "") if record.route else ""


def _line(record: LogRecord) -> RequestLine:
    return RequestLine(record.request.method, record.request.uri.partition("?")[0])


def _headers(record: LogRecord) -> dict[str, list[str]]:
    headers: Any = record.request.headers
    if not isinstance(headers, dict):
        return {}
    return {
        name: [line for line in (value if isinstance(value, list) else [value]) if isinstance(line, str)]
        for name, value in headers.items()
    }

"""From a record to its destination, in seven steps: decode, decide, assemble, redact, encode, observe, hand over."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from asyncio import Future
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otlp_tracing.config.entry_identity import entry_name, entry_scope
from otlp_tracing.config.settings import Keep, Settings
from otlp_tracing.context import RequestContext, handed_over_by
from otlp_tracing.errors import ConfigError, WireError
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import (
    NAMES_REFUSED,
    NGINX_FACTS_IGNORED,
    RECORD_FIELDS_IGNORED,
    RECORDS_REFUSED,
    RECORDS_REPEATED,
    REQUESTS,
    SETTINGS_REFUSED,
    Total,
)
from otlp_tracing.sampling.head import RequestTracer
from otlp_tracing.sampling.rules import RequestLine
from otlp_tracing.sidecar.access_logs.access_log import AccessLog
from otlp_tracing.sidecar.access_logs.body import Body
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.ingest.repeated_requests import RepeatedRequests
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, decode, lines
from otlp_tracing.sidecar.ingest.scopes import UNNAMED, EntryScopes
from otlp_tracing.sidecar.ingest.start_time import with_start_time
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.live.what_if import WhatIfRedaction
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.outcome import OutcomeObserver, RequestOutcome
from otlp_tracing.sidecar.redaction.redactor import Action, Redactor, shared_redactor
from otlp_tracing.sidecar.redaction.report import RedactionReport
from otlp_tracing.sidecar.route_table import NO_ROUTE, RouteKey, RouteTable
from otlp_tracing.sidecar.spans import resource
from otlp_tracing.sidecar.spans.assemble import assemble, server_span
from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import Attributes, SpanRecord
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.tail.controller import LOCAL, SamplingController
from otlp_tracing.sidecar.tail.decision import RouteMinimum, TailDecision, decide_by_rule, keep_reason
from otlp_tracing.sidecar.tail.policy_file import PolicyFile
from otlp_tracing.sidecar.tail.report import SamplingReport
from otlp_tracing.sidecar.tail.rules import FinishedRequest, FinishedRule, TailRules
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_duration import RequestDuration
from otlp_tracing.sidecar.telemetry.request_metrics import EntryMetrics, RequestMetrics

_log = logging.getLogger("otlp_tracing.sidecar.pipeline")
_rejected = LimitedLog(_log)
_ignored = LimitedLog(_log)

# Configurations remembered. Each reload of Kong with changes brings new ones; the least recently used is evicted.
MAX_ENTRIES = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """A plugin entry, ready for its records."""

    name: str
    scope: tuple[str, str]
    tracer: RequestTracer
    rules: SpanRules
    keep: Keep
    tail_rules: TailRules
    redactor: Redactor
    destination: Destination
    log: tuple[AccessLog, Destination] | None


class Pipeline:
    """All entries of a sidecar.

    Args:
        metrics: where everything is counted.
        environment: `OTEL_*` variables.
        exporters: to every destination.
        rates: moves the sampling rates.
        random_bytes: source of the ids that `access` did not choose.
        clock: monotonic seconds.
        recorder: of the live page; None if the page is off.
        repetitions: recognizes requests that come twice; None where no request does.
        metric_exporters: of OTLP metrics; None sends none.
        policy: the policies of the whole gateway.
    """

    def __init__(
        self,
        metrics: Metrics,
        environment: Mapping[str, str],
        exporters: ExporterRegistry,
        rates: SamplingController,
        *,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.monotonic,
        recorder: Recorder | None = None,
        repetitions: RepeatedRequests | None = None,
        metric_exporters: MetricExporters | None = None,
        policy: PolicyFile | None = None,
    ) -> None:
        self._metrics = metrics
        self._repetitions = repetitions
        self._scopes = EntryScopes(MAX_ENTRIES)
        self._rates = rates
        self._policy = policy or PolicyFile()
        self._clock = clock
        self._recorder = recorder
        self._environment = environment
        self._random_bytes = random_bytes
        self._entries: OrderedDict[bytes, Entry | None] = OrderedDict()
        self._exporters = exporters
        self._detected = resource.detect(environment)
        self._methods = HttpMethods(environment)
        self._names = CardinalityLimit(lambda kind: metrics.add(NAMES_REFUSED, kind))
        self._routes = RouteTable(lambda: metrics.add(NAMES_REFUSED, "route_requests"), clock)
        self._route_minimum = RouteMinimum()
        self.redactions = RedactionReport(metrics)
        self.sampling = SamplingReport(metrics, self._routes)
        durations = RequestDuration(metrics, self._methods, self._routes)
        self._metric_exporters = metric_exporters
        self._request_metrics = RequestMetrics()
        self._observers: list[OutcomeObserver] = [rates, self.sampling, durations, self._request_metrics]
        if recorder is not None:
            self._observers.append(recorder)
            self._routes.on_evicted(recorder.routes.forget)

    def configure(self, key: bytes, config: bytes) -> None:
        """Register a plugin entry's configuration. An invalid one is logged and counted once."""
        if key in self._entries:
            self._entries.move_to_end(key)
            known = self._entries[key]
            if known is not None:
                self._scopes.set(known.scope, key)
            return
        try:
            entry = self._entries[key] = self._new_entry(key, config)
            self._scopes.set(entry.scope, key)
        except (ConfigError, ValueError) as error:
            _log.error("invalid configuration, tracing disabled for this entry: %s", error)
            self.reject("bad_configuration")
            self._entries[key] = None
        if len(self._entries) > MAX_ENTRIES:
            unused, _ = self._entries.popitem(last=False)
            self._rates.forget(unused)
            self._request_metrics.forget(unused)
            if self._recorder is not None:
                self._recorder.forget(unused)

    def knows(self, key: bytes) -> bool:
        """Tell whether an entry's configuration, valid or not, is registered; the least recently used is evicted."""
        return key in self._entries

    def take(self, key: bytes, log: bytes, worker_id: bytes = LOCAL) -> None:
        """Process one request's record; an error is counted.

        Args:
            key: of its entry.
            log: the record.
            worker_id: of the worker that sent it.
        """
        entry = self._entries.get(key)
        if entry is None:
            self.reject("bad_configuration")
            return
        self._entries.move_to_end(key)
        try:
            record = decode(log, self._ignore_field)
            self._process(key, entry, with_start_time(record, time.time() * 1000, self._ignore_field), worker_id)
        except Exception as error:
            # Raised further, an internal error would end the connection, and the worker would send the record again.
            self._reject_record(error)

    def take_queued(self, log: bytes, seed: bytes, *, is_last: bool) -> bytes | None:
        """Process a record that Kong's own queue brought, which names its entry itself; an error is counted.

        Args:
            log: the record.
            seed: the same if the record comes again, and different for any other.
            is_last: it does not come again: one without an entry is counted.

        Returns:
            The key of its entry if that is not known, and the record was not processed.
        """
        try:
            record = decode(log, self._ignore_field)
            if record.log.started_at is None:
                raise WireError("not a log record: it has no started_at")
            record = with_start_time(record, time.time() * 1000, self._ignore_field)
            named, worker_id = handed_over_by(record.log.otlp_tracing)
            key = named
            if key is None or (is_last and key not in self._entries):
                # `access` did not run, or under a configuration that this process has not seen.
                key = self._scopes.find(record.log)
            if key is None or key not in self._entries:
                if is_last:
                    self.reject("no_entry")
                return named or UNNAMED
            entry = self._entries[key]
            if entry is None:
                self.reject("bad_configuration")
            else:
                self._entries.move_to_end(key)
                self._process(key, entry, record, worker_id, hashlib.blake2b(seed, digest_size=32).digest())
        except Exception as error:
            self._reject_record(error)
        return None

    def flush(self, worker_id: bytes, number: int) -> Future[None] | None:
        """Hand the spans of the records taken since the last flush over to the spool.

        Args:
            worker_id: of the worker that sent them.
            number: of the last record.

        Returns:
            A future that is done once they are safe; None if they are already.
        """
        return self._exporters.save(worker_id, number)

    def reject(self, reason: str) -> None:
        """Count a record, or the rest of a connection, that is rejected."""
        self._metrics.add(RECORDS_REFUSED, reason)

    def report(self, worker_id: bytes, totals: Sequence[Total]) -> None:
        """Add the counts of a worker since its start."""
        self._metrics.report(worker_id, totals)

    async def room(self) -> None:
        """Wait while the spool has no room for more."""
        await self._exporters.spool.room()

    def last_number(self, worker_id: bytes) -> int:
        """Return the number of a worker's last record that an earlier sidecar had spooled; otherwise 0."""
        return self._exporters.last_records.get(worker_id, 0)

    def _reject_record(self, error: Exception) -> None:
        if isinstance(error, WireError):
            _rejected.warning("record rejected: %s", error)
        else:
            _rejected.warning("internal error, record rejected", exc_info=True)
        self.reject("bad_record")

    def _process(
        self, key: bytes, entry: Entry, record: RequestRecord, worker_id: bytes, seed: bytes | None = None
    ) -> None:
        context = RequestContext.from_log_field(record.log.otlp_tracing)
        if context is None:
            # `access` did not run: no route, or a plugin of even higher priority ended the request.
            context, worker_id = entry.tracer.begin(_headers(record), lambda: _request_line(record), seed), LOCAL
        if self._repetitions is not None and not self._repetitions.is_new(context.span_id):
            self._metrics.add(RECORDS_REPEATED)
            return
        if record.nginx is not None and record.nginx.ignored:
            self._count_ignored(record.nginx.ignored)
        route = self._routes.key(record.service, record.route)
        tail = self._decide(key, entry, record, context)
        spans: list[SpanRecord] = []
        encoded: list[bytes] = []
        log_record = b""
        if tail.is_kept:
            self._route_minimum.kept(key, _route_id(record), self._clock())
            spans = self._redact(assemble(record, tail.context, entry.rules, tail.kept_for), entry.redactor, route)
            encoded = _encode(spans)
        if entry.log is not None and entry.log[0].wants(record, is_kept=bool(spans)):
            (server, *_) = spans or self._redact([server_span(record, context, entry.rules)], entry.redactor, route)
            log_record = self._log(*entry.log, record, server)
        outcome = RequestOutcome(
            key,
            entry.name,
            worker_id,
            record=record,
            route=route,
            context=context,
            probability=tail.context.probability,
            kept_for=tail.kept_for,
            is_dropped_later=tail.is_dropped,
            spans=encoded,
            log_record=log_record,
        )
        self._metrics.add(REQUESTS, outcome.decision)
        if spans:
            self._exporters.submit(entry.destination, encoded, len(spans) - len(encoded))
        for observer in self._observers:
            observer.observe(outcome)

    def _ignore_field(self, field: str) -> None:
        self._metrics.add(RECORD_FIELDS_IGNORED, field)

    def _refuse_setting(self, setting: str, consequence: str, error: object) -> None:
        _log.error("invalid configuration, %s: %s", consequence, error)
        self._metrics.add(SETTINGS_REFUSED, setting)

    def _count_ignored(self, facts: Sequence[str]) -> None:
        _ignored.warning(
            "nginx facts ignored: %s; compare the pre-function entry by `otlp-tracing check`", ", ".join(facts)
        )
        for fact in facts:
            self._metrics.add(NGINX_FACTS_IGNORED, fact)

    def _log(self, log: AccessLog, destination: Destination, record: RequestRecord, server: SpanRecord) -> bytes:
        try:
            encoded = log.encode(record, server)
        except (ValueError, TypeError) as error:
            _rejected.warning("log record not encoded, dropped: %s", error)
            self._exporters.submit(destination, [], 1)
            return b""
        self._exporters.submit(destination, [encoded], 0)
        return encoded

    def _decide(self, key: bytes, entry: Entry, record: RequestRecord, context: RequestContext) -> TailDecision:
        has_rules = self._policy.session is not None or self._policy.tail.rules or entry.tail_rules.rules
        if context.sampled and not has_rules:
            return TailDecision(context)
        reason = keep_reason(record, entry.keep)
        rule = self._match_rule(entry, record, context, is_kept=reason is not None) if has_rules else None
        if rule is not None:
            return decide_by_rule(context, rule)
        if context.sampled:
            return TailDecision(context)
        if reason is None and self._route_minimum.is_rare(key, _route_id(record), context, self._clock()):
            reason = "rare"
        return TailDecision(context, reason)

    def _match_rule(
        self, entry: Entry, record: RequestRecord, context: RequestContext, *, is_kept: bool
    ) -> FinishedRule | None:
        """Return the rule on the finished request that decides: a debug session's, or another if keep does not."""
        request = FinishedRequest(record, lambda: server_span(record, context, entry.rules).attributes)
        session = self._policy.session
        if session is not None and session.rule.matches(request):
            self._policy.keep_by_session(session)
            return session.rule
        if is_kept:
            return None
        return self._policy.tail.match(request) or entry.tail_rules.match(request)

    def _redact(self, spans: Sequence[SpanRecord], redactor: Redactor, route: RouteKey) -> list[SpanRecord]:
        def on_finding(attribute: str, rule: str, action: Action, value: str) -> None:
            self.redactions.record(route[1], attribute, rule, action, value)

        return [redactor.redact(span, on_finding) for span in spans]

    def _new_entry(self, key: bytes, config: bytes) -> Entry:
        document = json.loads(config)
        settings = Settings.from_config(document)
        name = entry_name(document)
        redactor = shared_redactor(settings.redaction, settings.span.attributes)
        destination = Destination.from_settings(settings, self._environment, self._detected)
        self._exporters.get(destination)
        allowance = self._rates.configure(key, name, settings.sampling)
        if self._recorder is not None:
            self._recorder.configure(key, WhatIfRedaction.from_settings(settings, redactor))
        tracer = RequestTracer.of(
            settings.sampling,
            self._random_bytes,
            settings.propagation,
            settings.capture,
            allowance,
            redaction=settings.redaction,
            policy=self._policy.head,
        )
        rules = SpanRules.from_settings(settings, self._methods, self._names)
        for fault in rules.faults:
            setting = "span.name" if fault.field == "span.name" else "span.attributes"
            self._refuse_setting(setting, "this part of the spans is left out", fault)
        scope = entry_scope(document)
        self._configure_metrics(key, settings, destination.address, rules, redactor)
        return Entry(
            name,
            scope,
            tracer,
            rules,
            settings.sampling.keep,
            TailRules(settings.sampling.tail_rules),
            redactor,
            destination,
            self._access_log(settings),
        )

    def _access_log(self, settings: Settings) -> tuple[AccessLog, Destination] | None:
        if settings.logs.requests == "none":
            return None
        try:
            body = Body(settings.logs.body, settings.span.attributes)
        except ConfigError as error:
            self._refuse_setting("logs.body", "log records have no text", error)
            body = Body(None)
        try:
            destination = Destination.from_settings(settings, self._environment, self._detected, "logs")
        except ConfigError as error:
            self._refuse_setting("logs", "no logs are sent for this entry", error)
            return None
        self._exporters.get(destination)
        return AccessLog(settings.logs, body), destination

    def _configure_metrics(
        self, key: bytes, settings: Settings, traces: str, rules: SpanRules, redactor: Redactor
    ) -> None:
        if not settings.metrics.enabled or self._metric_exporters is None:
            return

        def redact(attributes: Attributes) -> Attributes:
            span = SpanRecord(b"", b"", None, "", "server", 0, 0, attributes, 0, "", is_error=False)
            return dict(self._redact([span], redactor, NO_ROUTE)[0].attributes)

        try:
            destination = Destination.from_settings(settings, self._environment, self._detected, "metrics")
        except ConfigError as error:
            self._refuse_setting("metrics", "no metrics are sent for this entry", error)
            return
        table = self._metric_exporters.table(destination, settings.metrics, traces)
        self._request_metrics.configure(key, EntryMetrics(table, rules, redact, settings.metrics.attributes))


def _encode(spans: Sequence[SpanRecord]) -> list[bytes]:
    encoded = []
    for span in spans:
        try:
            encoded.append(encode_span(span))
        except (ValueError, TypeError) as error:
            # One field that protobuf refuses must not cost the other spans.
            _rejected.warning("span not encoded, dropped: %s", error)
    return encoded


def _route_id(record: RequestRecord) -> str:
    route = record.log.route
    return (route.id or route.name or "") if route else ""


def _request_line(record: RequestRecord) -> RequestLine:
    return RequestLine(record.method, record.path)


def _headers(record: RequestRecord) -> dict[str, list[str]]:
    return {name: lines(record.request_headers, name) for name in record.request_headers}

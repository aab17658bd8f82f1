"""From a record to its destination, in seven steps: decode, decide, assemble, redact, encode, hand over, observe.

The records that arrive together take each step together. A step's code is then in the processor's cache for all but the
first of them, which saves a sixth of the CPU of a request; see docs/decisions/0028-records-take-each-step-together.md.
"""

from __future__ import annotations

import hashlib
import logging
import time
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otlp_tracing.context import RequestContext, handed_over_by
from otlp_tracing.errors import WireError
from otlp_tracing.handoff.frames import Refused
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import (
    NAMES_REFUSED,
    NGINX_FACTS_IGNORED,
    RECORD_FIELDS_IGNORED,
    RECORDS_REFUSED,
    RECORDS_REPEATED,
    REQUESTS,
    Total,
)
from otlp_tracing.paths import typed_command
from otlp_tracing.sampling.rules import RequestLine
from otlp_tracing.sidecar.access_logs.access_log import AccessLog
from otlp_tracing.sidecar.entries.builder import EntryBuilder
from otlp_tracing.sidecar.entries.entry import Entry
from otlp_tracing.sidecar.entries.faulty_entries import FaultyEntry
from otlp_tracing.sidecar.entries.registry import EntryRegistry
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.ingest.repeated_requests import RepeatedRequests
from otlp_tracing.sidecar.ingest.request_record import RequestRecord, decode, lines
from otlp_tracing.sidecar.ingest.scopes import UNNAMED
from otlp_tracing.sidecar.ingest.start_time import with_start_time
from otlp_tracing.sidecar.live.recorder import Recorder
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.outcome import OutcomeObserver, RequestOutcome
from otlp_tracing.sidecar.redaction.redactor import Action, OnFinding
from otlp_tracing.sidecar.redaction.report import RedactionReport
from otlp_tracing.sidecar.route_table import RouteKey, RouteTable
from otlp_tracing.sidecar.spans.assemble import assemble, request_attributes
from otlp_tracing.sidecar.spans.http_methods import HttpMethods
from otlp_tracing.sidecar.spans.model import Attributes, SharedAttributes, SpanRecord
from otlp_tracing.sidecar.tail.controller import LOCAL, SamplingController
from otlp_tracing.sidecar.tail.decision import RouteMinimum, TailDecision, decide_by_rule, keep_reason
from otlp_tracing.sidecar.tail.policy_file import PolicyFile
from otlp_tracing.sidecar.tail.report import SamplingReport
from otlp_tracing.sidecar.tail.rules import FinishedRequest, FinishedRule
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.request_duration import RequestDuration
from otlp_tracing.sidecar.telemetry.request_metrics import RequestMetrics

_log = logging.getLogger("otlp_tracing.sidecar.pipeline")
_rejected = LimitedLog(_log)
_ignored = LimitedLog(_log)

_MAX_TOGETHER = 64  # records; decoded, one takes some ten kilobytes


class _Request:
    """A decoded record on its way through the steps.

    Args:
        key: of its entry.
        entry: its plugin entry.
        record: of the request.
        context: the head decision.
        worker_id: of the worker that decided; empty if the sidecar did.
    """

    __slots__ = (
        "attributes", "context", "entry", "key", "log", "record", "route", "shared", "spans", "tail", "worker_id",
    )  # fmt: skip
    route: RouteKey
    tail: TailDecision
    """The final decision."""
    spans: list[SpanRecord]
    """Empty if the trace is not kept."""
    log: tuple[AccessLog, Destination] | None
    """Its entry's access log; None if the request is not logged."""
    attributes: Attributes
    """Of the log record of a request without spans."""
    shared: SharedAttributes | None
    """The first of the attributes, see SpanRecord."""

    def __init__(
        self, key: bytes, entry: Entry, record: RequestRecord, context: RequestContext, worker_id: bytes
    ) -> None:
        self.key: Final = key
        self.entry: Final = entry
        self.record: Final = record
        self.context: Final = context
        self.worker_id: Final = worker_id
        self.spans = []
        self.log = None


class Pipeline:
    """The steps of every record.

    Args:
        metrics: where everything is counted.
        environment: `OTEL_*` variables.
        exporters: to every destination.
        rates: moves the sampling rates.
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
        clock: Callable[[], float] = time.monotonic,
        recorder: Recorder | None = None,
        repetitions: RepeatedRequests | None = None,
        metric_exporters: MetricExporters | None = None,
        policy: PolicyFile | None = None,
    ) -> None:
        self._metrics = metrics
        self._repetitions = repetitions
        self._arrived: list[_Request] = []
        self._policy = policy or PolicyFile()
        self._clock = clock
        self._exporters = exporters
        self._routes = RouteTable(lambda: metrics.add(NAMES_REFUSED, "route_requests"), clock)
        self._route_minimum = RouteMinimum()
        self.redactions = RedactionReport(metrics)
        self.sampling = SamplingReport(metrics, self._routes)
        methods, request_metrics = HttpMethods(environment), RequestMetrics()
        durations = RequestDuration(metrics, methods, self._routes)
        self._observers: list[OutcomeObserver] = [rates, self.sampling, durations, request_metrics]
        if recorder is not None:
            self._observers.append(recorder)
            self._routes.on_evicted(recorder.routes.forget)
        builder = EntryBuilder(
            metrics,
            environment,
            exporters,
            rates,
            self._policy.head,
            methods=methods,
            redactions=self.redactions,
            request_metrics=request_metrics,
            metric_exporters=metric_exporters,
            recorder=recorder,
        )
        holders = [rates, request_metrics, *([recorder] if recorder is not None else ())]
        self._entries = EntryRegistry(metrics, builder.build, holders)

    def configure(self, key: bytes, config: bytes) -> None:
        """Register a plugin entry's configuration, see EntryRegistry."""
        self._entries.configure(key, config)

    def refuse(self, refused: Refused) -> None:
        """Note a plugin entry that a worker refused, see EntryRegistry."""
        scope = refused.route, refused.service
        self._entries.refuse(FaultyEntry(refused.name, scope, refused.faults))

    def faulty_entries(self) -> list[dict[str, Any]]:
        """Return the plugin entries that trace nothing, or leave a part out, see EntryRegistry."""
        return self._entries.faulty_entries()

    def knows(self, key: bytes) -> bool:
        """Tell whether an entry's configuration is registered, see EntryRegistry."""
        return self._entries.knows(key)

    def take(self, key: bytes, log: bytes, worker_id: bytes = LOCAL) -> None:
        """Decode one request's record, for the next flush; an error is counted.

        Args:
            key: of its entry.
            log: the record.
            worker_id: of the worker that sent it.
        """
        entry = self._entries.use(key)
        if entry is None:
            self.reject("bad_configuration")
            return
        try:
            record = decode(log, self._ignore_field, whole=entry.reads_whole)
            self._arrive(key, entry, with_start_time(record, time.time() * 1000, self._ignore_field), worker_id)
        except Exception as error:
            self._reject_record(error)

    def take_queued(self, log: bytes, seed: bytes, *, is_last: bool) -> bytes | None:
        """Decode a record that Kong's own queue brought, which names its entry itself; an error is counted.

        Args:
            log: the record.
            seed: the same if the record comes again, and different for any other.
            is_last: it does not come again: one without an entry is counted.

        Returns:
            The key of its entry if that is not known, and the record was not taken.
        """
        try:
            # Its entry is in the record, so it is not known yet.
            record = decode(log, self._ignore_field, whole=self._entries.reads_whole)
            if record.outline.started_at is None:
                raise WireError("not a log record: it has no started_at")
            record = with_start_time(record, time.time() * 1000, self._ignore_field)
            named, worker_id = handed_over_by(record.outline.otlp_tracing)
            key = named
            if key is None or (is_last and not self._entries.knows(key)):
                # `access` did not run, or under a configuration that this process has not seen.
                key = self._entries.in_scope(record.outline)
            if key is None or not self._entries.knows(key):
                if is_last:
                    self.reject("no_entry")
                return named or UNNAMED
            entry = self._entries.use(key)
            if entry is None:
                self.reject("bad_configuration")
            else:
                self._arrive(key, entry, record, worker_id, seed)
        except Exception as error:
            self._reject_record(error)
        return None

    def flush(self, worker_id: bytes, number: int) -> Future[None] | None:
        """Process the records taken since the last flush, and hand their spans and log records over to the spool.

        Args:
            worker_id: of the worker that sent them.
            number: of the last record.

        Returns:
            A future that is done once they are safe; None if they are already.
        """
        self._process()
        return self._exporters.save(worker_id, number)

    def reject(self, reason: str) -> None:
        """Count a record, or the rest of a connection, that is rejected."""
        self._metrics.add(RECORDS_REFUSED, reason)

    def report(self, worker_id: bytes, totals: Sequence[Total]) -> None:
        """Add the counts of a worker since its start."""
        self._metrics.report(worker_id, totals)

    @property
    def has_room(self) -> bool:
        """The spool has room for more."""
        return self._exporters.spool.has_room

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

    def _arrive(
        self, key: bytes, entry: Entry, record: RequestRecord, worker_id: bytes, seed: bytes | None = None
    ) -> None:
        context = RequestContext.from_log_field(record.outline.otlp_tracing)
        if context is None:
            # `access` did not run: no route, or a plugin of even higher priority ended the request.
            ids = None if seed is None else hashlib.blake2b(seed, digest_size=32).digest()
            context, worker_id = entry.tracer.begin(_headers(record), lambda: _request_line(record), ids), LOCAL
        if self._repetitions is not None and not self._repetitions.is_new(context.span_id):
            self._metrics.add(RECORDS_REPEATED)
            return
        self._arrived.append(_Request(key, entry, record, context, worker_id))
        if len(self._arrived) >= _MAX_TOGETHER:
            self._process()

    def _process(self) -> None:
        requests, self._arrived = self._arrived, []
        for step in (self._assemble, self._redact, self._hand_over):
            left = []
            for request in requests:
                try:
                    step(request)
                except Exception as error:
                    # Raised further, an internal error would end the connection, and the worker would send the record
                    # again.
                    self._reject_record(error)
                else:
                    left.append(request)
            requests = left

    def _assemble(self, request: _Request) -> None:
        """Decide, and assemble the spans or the attributes of the log record."""
        entry, record, context = request.entry, request.record, request.context
        if record.nginx is not None and record.nginx.ignored:
            self._count_ignored(record.nginx.ignored)
        request.route = self._routes.key(record.service, record.route)
        tail = request.tail = self._decide(request.key, entry, record, context)
        if tail.is_kept:
            self._route_minimum.kept(request.key, _route_id(record), self._clock())
            request.spans = assemble(record, tail.context, entry.rules, tail.kept_for)
        if entry.log is not None and entry.log[0].wants(record, is_kept=bool(request.spans)):
            request.log = entry.log
            if not request.spans:
                request.attributes, request.shared = request_attributes(record, context, entry.rules)

    def _redact(self, request: _Request) -> None:
        redactor, on_finding = request.entry.redactor, self._on_finding(request.route)
        if request.spans:
            request.spans = [redactor.redact(span, on_finding) for span in request.spans]
        elif request.log is not None:
            request.attributes, request.shared = redactor.redact_attributes(
                request.attributes, on_finding, shared=request.shared
            )

    def _hand_over(self, request: _Request) -> None:
        """Encode the spans and the log record, hand them over, and tell the observers."""
        entry, tail, spans = request.entry, request.tail, request.spans
        encoded = _encode(spans)
        outcome = RequestOutcome(
            request.key,
            entry.name,
            request.worker_id,
            record=request.record,
            route=request.route,
            context=request.context,
            probability=tail.context.probability,
            kept_for=tail.kept_for,
            is_dropped_later=tail.is_dropped,
            spans=encoded,
            log_record=self._log(request),
        )
        self._metrics.add(REQUESTS, outcome.decision)
        if spans:
            self._exporters.submit(entry.destination, encoded, len(spans) - len(encoded))
        for observer in self._observers:
            observer.observe(outcome)

    def _ignore_field(self, field: str) -> None:
        self._metrics.add(RECORD_FIELDS_IGNORED, field)

    def _count_ignored(self, facts: Sequence[str]) -> None:
        _ignored.warning(
            "nginx facts ignored: %s; compare the pre-function entry by `%s`",
            ", ".join(facts),
            typed_command("check", "KONG_YML"),
        )
        for fact in facts:
            self._metrics.add(NGINX_FACTS_IGNORED, fact)

    def _log(self, request: _Request) -> bytes:
        if request.log is None:
            return b""
        access_log, destination = request.log
        if request.spans:
            span, context = request.spans[0], request.tail.context
            attributes, shared = dict(span.attributes), span.shared
        else:
            # Without a trace, the log record has the decision that the services behind were told.
            attributes, shared, context = request.attributes, request.shared, request.context
        try:
            encoded = access_log.encode(request.record, context, attributes, shared)
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
        request = FinishedRequest(record, lambda: request_attributes(record, context, entry.rules)[0])
        session = self._policy.session
        if session is not None and session.rule.matches(request):
            self._policy.keep_by_session(session)
            return session.rule
        if is_kept:
            return None
        return self._policy.tail.match(request) or entry.tail_rules.match(request)

    def _on_finding(self, route: RouteKey) -> OnFinding:
        def on_finding(attribute: str, rule: str, action: Action, value: str) -> None:
            self.redactions.record(route[1], attribute, rule, action, value)

        return on_finding  # compiled, it costs less than a partial


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
    route = record.outline.route
    return (route.id or route.name or "") if route else ""


def _request_line(record: RequestRecord) -> RequestLine:
    return RequestLine(record.method, record.path)


def _headers(record: RequestRecord) -> dict[str, list[str]]:
    return {name: lines(record.request_headers, name) for name in record.request_headers}

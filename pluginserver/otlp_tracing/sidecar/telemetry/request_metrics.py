"""OTLP metrics of all requests, recorded before sampling, so that they are true at any rate.

A request's series is found by the few values that its attributes are made of. The attributes themselves are made, and
redacted, once a series.

Source: semantic conventions 1.44, docs/http/http-metrics.md and docs/rpc/rpc-metrics.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.ingest.request_record import RequestRecord
from otlp_tracing.sidecar.outcome import RequestOutcome
from otlp_tracing.sidecar.route_table import OTHER
from otlp_tracing.sidecar.spans.client import try_outcome
from otlp_tracing.sidecar.spans.gen_ai import model_call
from otlp_tracing.sidecar.spans.grpc import Call, grpc_call
from otlp_tracing.sidecar.spans.model import Attributes, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.server import protocol_version, route_of
from otlp_tracing.sidecar.spans.server_address import own_scheme
from otlp_tracing.sidecar.spans.timing import span_times
from otlp_tracing.sidecar.telemetry.connection_metrics import ConnectionMetrics
from otlp_tracing.sidecar.telemetry.exemplars import Exemplar, exemplar_of
from otlp_tracing.sidecar.telemetry.series_table import Instrument, SeriesTable

# The advice of the semantic conventions for the durations of HTTP and RPC.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_BYTES = tuple(float(256 << 2 * power) for power in range(10))  # 256 B to 64 MiB

# Kong's times are milliseconds.
_MS = 0.001

SERVER_DURATION = Instrument("http.server.request.duration", "s", "Duration of HTTP server requests.", _SECONDS, _MS)
REQUEST_SIZE = Instrument("http.server.request.size", "By", "Size of requests, head and body.", _BYTES)
RESPONSE_SIZE = Instrument("http.server.response.size", "By", "Size of responses, head and body.", _BYTES)
KONG_LATENCY = Instrument("kong.latency.internal", "s", "Time that Kong and its plugins took.", _SECONDS, _MS)
UPSTREAM_LATENCY = Instrument("kong.latency.upstream", "s", "Time until the upstream's first byte.", _SECONDS, _MS)
TRIES = Instrument("kong.upstream.tries", "{try}", "Tries of the balancer for a request.", (0, 1, 2, 3, 5, 10))
CLIENT_DURATION = Instrument("http.client.request.duration", "s", "Duration of HTTP client requests.", _SECONDS, _MS)
TOKENS = Instrument(
    "gen_ai.client.token.usage",
    "{token}",
    "Tokens that a model's call took, as Kong's ai-proxy counts them.",
    tuple(float(1 << 2 * power) for power in range(14)),
)
RPC_SERVER_DURATION = Instrument("rpc.server.call.duration", "s", "Duration of incoming RPCs.", _SECONDS, _MS)
RPC_CLIENT_DURATION = Instrument("rpc.client.call.duration", "s", "Duration of outgoing RPCs.", _SECONDS, _MS)

# Keys of an entry's series that are remembered. Clients that invent gRPC methods cause more; then all are made anew.
_MAX_KEYS = 4_000
# Requests of a series that are put aside and counted together, which takes a third of the time. 2,000 series put aside
# 10 MB at most.
_TOGETHER = 64


class _Request:
    """The histograms of requests with equal attributes, and the values that are put aside for them."""

    __slots__ = ("histograms", "rpc", "single_try", "values")

    def __init__(self, table: SeriesTable, attributes: Attributes, rpc: Attributes | None) -> None:
        instruments = (SERVER_DURATION, REQUEST_SIZE, RESPONSE_SIZE, KONG_LATENCY, UPSTREAM_LATENCY, TRIES)
        self.histograms: Final = [table.histogram(one, attributes) for one in instruments]
        self.rpc: Final = table.histogram(RPC_SERVER_DURATION, rpc) if rpc is not None else None
        self.values: Final[list[tuple[float | None, ...]]] = []
        self.single_try: _Try | None = None

    def count(self) -> None:
        """Count the values that are put aside; what Kong does not know is None or -1."""
        if self.values:
            for number, column in enumerate(zip(*self.values, strict=True)):
                values = [value for value in column if value is not None]
                if number < len(self.histograms):
                    self.histograms[number].observe_all(values)
                elif self.single_try is not None:
                    self.single_try.client.observe_all(values)
            self.values.clear()


class _Try:
    """The histograms of tries with equal attributes."""

    __slots__ = ("client", "rpc")

    def __init__(self, table: SeriesTable, attributes: Attributes, rpc: Attributes | None) -> None:
        self.client: Final = table.histogram(CLIENT_DURATION, attributes)
        self.rpc: Final = table.histogram(RPC_CLIENT_DURATION, rpc) if rpc is not None else None


class EntryMetrics:
    """The metrics of one plugin entry.

    Args:
        table: of the entry's destination.
        rules: of the entry.
        redact: returns attributes without their secrets.
        added: names of attributes beyond the semantic conventions.
    """

    def __init__(
        self,
        table: SeriesTable,
        rules: SpanRules,
        redact: Callable[[Attributes], Attributes],
        added: tuple[str, ...] = (),
    ) -> None:
        self._table = table
        self._rules = rules
        self._redact = redact
        self._added = added
        self._generation = table.generation
        self._requests: dict[tuple[object, ...], _Request] = {}
        self._tries: dict[tuple[object, ...], _Try] = {}
        self._connections = ConnectionMetrics(table, redact)
        self._end: Callable[[], None] = table.before_reading(self.count)

    def record(self, outcome: RequestOutcome) -> None:
        """Record one request and its tries."""
        if self._generation != self._table.generation or len(self._requests) + len(self._tries) > _MAX_KEYS:
            self.count()
            self._requests.clear()
            self._tries.clear()
            self._connections.forget()
            self._generation = self._table.generation
        record = outcome.record
        log = record.log
        if log.session is not None:
            self._connections.record(outcome)
            return
        latencies = log.latencies
        series = self._series_of(outcome)
        kong, proxy, receive = latencies.kong, latencies.proxy, latencies.receive
        tries = len(record.tries)
        single: float | None = None
        if tries == 1 and series.single_try is not None:
            # As the CLIENT span has it, but for its microseconds (spans/timing.py).
            if receive and receive > 0 and proxy is not None and proxy >= 0:
                single = proxy + receive
            elif latencies.request is not None and kong is not None and kong >= 0:
                single = max(latencies.request - kong, 0)  # a clock may be set back
        duration = record.duration_ms
        values = (duration, log.request.size, log.response.size, kong, proxy, tries, single)
        if outcome.spans:
            self._count_exemplars(series, values, outcome.context)
        else:
            series.values.append(values)
            if len(series.values) >= _TOGETHER:
                series.count()
        if series.rpc is not None:
            series.rpc.observe(duration, exemplar_of(outcome, duration))
        if tries and single is None:
            self._record_tries(outcome)
        if log.ai is not None:
            self._record_tokens(outcome)

    def count(self) -> None:
        """Count the values that are put aside."""
        for series in self._requests.values():
            series.count()

    def close(self) -> None:
        """Count the values that are put aside, for the last time."""
        self.count()
        self._end()

    def _count_exemplars(self, series: _Request, values: tuple[float | None, ...], context: RequestContext) -> None:
        now_ns = time.time_ns()
        for number, value in enumerate(values):
            if value is None or value < 0:
                continue
            if number < len(series.histograms):
                exemplar = Exemplar(value, now_ns, context.trace_id, context.span_id)
                series.histograms[number].observe(value, exemplar)
            elif series.single_try is not None:
                exemplar = Exemplar(value, now_ns, context.trace_id, context.upstream_span_id)
                series.single_try.client.observe(value, exemplar)

    def _record_tries(self, outcome: RequestOutcome) -> None:
        record, context = outcome.record, outcome.context
        times = span_times(record.log, record.tries).tries
        call = None if record.sent_call is None else grpc_call(record, record.sent_call, self._rules.names)
        last = len(times) - 1
        for number in range(last + 1):
            start_ns, end_ns = times[number]
            milliseconds = (end_ns - start_ns) / 1e6
            series = self._try_of(outcome, call, number)
            exemplar = None
            if number == last and outcome.spans:
                exemplar = Exemplar(milliseconds, time.time_ns(), context.trace_id, context.upstream_span_id)
            series.client.observe(milliseconds, exemplar)
            if series.rpc is not None and number == last:
                series.rpc.observe(milliseconds, exemplar)

    def _record_tokens(self, outcome: RequestOutcome) -> None:
        record = outcome.record
        call = model_call(record)
        if call is None:
            return
        consumer = record.log.consumer
        shared = {
            "gen_ai.operation.name": call.operation,
            "gen_ai.provider.name": call.provider,
            "gen_ai.request.model": self._model(record, call.request_model),
            "gen_ai.response.model": self._model(record, call.response_model),
            "kong.ai.usage.estimated": True if call.is_estimated else None,
            "kong.consumer.username": consumer.username if consumer else None,
            **_names(outcome),
            **self._added_attributes(record),
        }
        for kind, count in (("input", call.input_tokens), ("output", call.output_tokens)):
            if count is not None:
                # A call takes a second or so: its series need no cache.
                attributes = self._redact(present({"gen_ai.token.type": kind, **shared}))
                self._table.histogram(TOKENS, attributes).observe(count, exemplar_of(outcome, count))

    def _model(self, record: RequestRecord, model: str | None) -> str | None:
        # A route without a model in its configuration takes the client's.
        owner = record.service
        return model if model is not None and self._rules.names.admit("gen_ai.model", owner, model) else None

    def _series_of(self, outcome: RequestOutcome) -> _Request:
        record = outcome.record
        log = record.log
        paths = log.route.paths if log.route is not None else None
        # A route with one path has one template. Otherwise it depends on the request.
        path = paths[0] if isinstance(paths, list) and len(paths) == 1 else route_of(record, self._rules.names)
        service = log.service
        key: tuple[object, ...] = (
            outcome.route,
            path,
            self._rules.methods.name(record.method),
            record.status,
            record.statuses[0] if len(record.tries) == 1 else -1,
            record.source,
            log.request.url[:6],
            service.host if service is not None else None,
            service.port if service is not None else None,
        )
        if record.received_call is not None or self._added:
            key = self._longer(key, record)
        series = self._requests.get(key)
        if series is None:
            series = self._requests[key] = self._new_request(outcome)
        return series

    def _longer(self, key: tuple[object, ...], record: RequestRecord) -> tuple[object, ...]:
        if record.received_call is not None:
            call = grpc_call(record, record.received_call, self._rules.names)
            key = (*key, call.method, call.status)
        return (*key, *self._added_attributes(record).values())

    def _try_of(self, outcome: RequestOutcome, call: Call | None, number: int) -> _Try:
        record = outcome.record
        service = record.log.service
        status, error_type = try_outcome(record, call, number)
        key: tuple[object, ...] = (
            outcome.route,
            self._rules.methods.name(record.method),
            status,
            error_type,
            service.host if service is not None else None,
            service.port if service is not None else None,
            call.method if call is not None else None,
            call.status if call is not None else None,
        )
        series = self._tries.get(key)
        if series is None:
            series = self._tries[key] = self._new_try(outcome, call, number)
        return series

    def _new_request(self, outcome: RequestOutcome) -> _Request:
        record = outcome.record
        call = None
        if record.received_call is not None:
            call = grpc_call(record, record.received_call, self._rules.names)
        shared = {
            **_names(outcome),
            "kong.response.source": record.source,
            "error.type": record.error_type,
            **self._added_attributes(record),
        }
        http = present({
            "http.request.method": self._rules.methods.attributes(record.method)["http.request.method"],
            "url.scheme": own_scheme(record),
            "http.route": route_of(record, self._rules.names) if outcome.route != OTHER else None,
            "http.response.status_code": record.status or None,
            "network.protocol.version": protocol_version(record, call),
            **shared,
        })  # fmt: skip
        series = _Request(self._table, self._redact(http), None if call is None else self._redact(_rpc(call, shared)))
        if len(record.tries) == 1 and record.sent_call is None:
            series.single_try = self._try_of(outcome, None, 0)
        return series

    def _new_try(self, outcome: RequestOutcome, call: Call | None, number: int) -> _Try:
        record = outcome.record
        service = record.log.service
        status, error_type = try_outcome(record, call, number)
        shared = {
            **_names(outcome),
            "server.address": service.host if service else None,
            "server.port": int(service.port) if service and service.port else None,
            "error.type": error_type,
        }
        http = present({
            "http.request.method": self._rules.methods.attributes(record.method)["http.request.method"],
            "http.response.status_code": status,
            **shared,
        })  # fmt: skip
        return _Try(self._table, self._redact(http), None if call is None else self._redact(_rpc(call, shared)))

    def _added_attributes(self, record: RequestRecord) -> dict[str, str | None]:
        if not self._added:
            return {}
        consumer = record.log.consumer
        known = {
            "kong.consumer.id": consumer.id if consumer else None,
            "kong.consumer.username": consumer.username if consumer else None,
            "kong.workspace.name": record.log.workspace_name,
        }
        return {name: known[name] for name in self._added}


class RequestMetrics:
    """Records requests for the entries whose metrics are sent; an observer of outcomes."""

    def __init__(self) -> None:
        self._entries: dict[bytes, EntryMetrics] = {}

    def configure(self, key: bytes, metrics: EntryMetrics) -> None:
        """Record the requests of an entry from now on."""
        self.forget(key)
        self._entries[key] = metrics

    def forget(self, key: bytes) -> None:
        """Forget an entry; one without metrics is ignored."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.close()

    def observe(self, outcome: RequestOutcome) -> None:
        """Record one request, if its entry's metrics are sent."""
        entry = self._entries.get(outcome.entry_key)
        if entry is not None:
            entry.record(outcome)


def _names(outcome: RequestOutcome) -> dict[str, str | int | None]:
    return {"kong.service.name": outcome.route[0], "kong.route.name": outcome.route[1]}


def _rpc(call: Call, shared: dict[str, str | int | None]) -> Attributes:
    return present({
        "rpc.system.name": "grpc",
        "rpc.method": call.method,
        "rpc.response.status_code": call.status,
        **shared,
    })  # fmt: skip

"""Promises of sidecar/pipeline.py about traces kept after the response."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import virtual_time
from delivery_doubles import ScriptedTransport
from doubles import ManualClock
from otlp_tracing.context import RequestContext
from otlp_tracing.handoff.frames import Debug
from otlp_tracing.metrics import NGINX_FACTS_IGNORED, RECORD_FIELDS_IGNORED, RECORDS_REFUSED, REQUESTS, SETTINGS_REFUSED
from otlp_tracing.paths import command_line
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.metric_exporter import MetricExporters
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.export.transport import Transport
from otlp_tracing.sidecar.ingest.worker_link import WorkerLink
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.tail.policy_file import PolicyFile
from otlp_tracing.sidecar.telemetry.registry import Metrics
from spans_of import CONTEXT

KEY = b"k" * 16
CONFIG = {"__plugin_id": "entry-1", "sampling": {"budget": {"traces_per_second": 1}}}
DROPPED = dataclasses.replace(CONTEXT, flags=2, trace_state="", decided_by="budget", probability=0.1)


def encoded(record: dict[str, Any]) -> bytes:
    """Return a record as Kong encodes it."""
    return json.dumps(record, separators=(",", ":")).encode()


def numbered(number: int) -> dict[str, Any]:
    """Return a record with a span id of its own."""
    context = dataclasses.replace(CONTEXT, span_id=bytes([number]) * 8)
    return RECORD | {"otlp_tracing": context.to_log_field()}


def take(pipeline: Pipeline, record: dict[str, Any], entry: bytes = KEY) -> None:
    """Let a pipeline process one record."""
    pipeline.take(entry, encoded(record))
    pipeline.flush(b"worker-1", 1)


class Stage:
    """A pipeline that exports to a scripted transport."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.clock, self.metrics = ManualClock(), Metrics()
        self.exporters = ExporterRegistry(self.metrics, {}, None, lambda _destination: ScriptedTransport())
        rates = SamplingController(self.metrics, self.clock)
        self.pipeline = Pipeline(self.metrics, {}, self.exporters, rates, clock=clock or self.clock)
        self.pipeline.configure(KEY, json.dumps(CONFIG).encode())

    def take(self, context: RequestContext, route: str = "r") -> dict[str, Any]:
        """Take a request; return the report's row of its route."""
        record = {
            "request": {"method": "GET", "uri": "/"},
            "response": {"status": 200},
            "route": {"id": route},
            "started_at": 1,
            "otlp_tracing": context.to_log_field(),
        }
        take(self.pipeline, record)
        (row,) = [dict(row) for row in self.pipeline.sampling.routes() if row["route"] == route]
        return row


def reports(
    scene: Callable[[Stage], list[dict[str, Any]]], clock: Callable[[], float] | None = None
) -> list[dict[str, Any]]:
    """Run a scene in a loop, which exporters need."""

    async def run() -> list[dict[str, Any]]:
        stage = Stage(clock)
        try:
            return scene(stage)
        finally:
            await stage.exporters.close(1)

    return virtual_time.run(run())


def test_a_rare_route_is_seen_at_a_budgets_end() -> None:
    """The first of a route in a minute is kept, the next ones are not; and the first a minute later."""

    def scene(stage: Stage) -> list[dict[str, Any]]:
        for _ in range(5):
            stage.take(DROPPED)
        stage.take(DROPPED, "other")
        stage.clock.now += 61
        return [stage.take(DROPPED), stage.take(DROPPED, "other")]

    assert [(row["seen"], row["kept_by"]) for row in reports(scene)] == [(6, {"rare": 2}), (2, {"rare": 2})]


def test_a_route_that_is_seen_anyhow_is_not_rare() -> None:
    """A trace kept for whatever reason is the minute's."""
    (row,) = reports(lambda stage: [stage.take(CONTEXT), stage.take(DROPPED)][1:])

    assert row["kept"] == 1


@pytest.mark.parametrize("decided_by", ["rate", "rule", "parent"])
def test_what_was_configured_is_not_kept_for_being_rare(decided_by: str) -> None:
    """A rate of 0 and a caller that did not sample are intended; only a lowered rate makes routes disappear."""
    dropped = dataclasses.replace(DROPPED, decided_by=decided_by, probability=None)

    assert reports(lambda stage: [stage.take(dropped)])[0]["kept"] == 0


@pytest.mark.parametrize(("consumers", "ignored"), [([], 0), (["c"], 1)])
def test_a_record_is_read_whole_if_its_entry_needs_that(consumers: list[str], ignored: int) -> None:
    """Of a request that is not sampled; a field of a wrong type shows how much was read."""
    entry, rule = b"t" * 16, {"name": "a", "services": ["other"], "consumers": consumers, "rate": 1}
    unsampled = dataclasses.replace(DROPPED, decided_by="rate")
    record = {
        "request": {"method": "GET", "uri": "/"},
        "service": {"name": "s"},
        "started_at": 1_700_000_000_000,
        "client_ip": 7,
        "otlp_tracing": unsampled.to_log_field(),
    }

    def scene(stage: Stage) -> list[dict[str, Any]]:
        stage.pipeline.configure(entry, json.dumps({"sampling": {"tail_rules": [rule]}}).encode())
        take(stage.pipeline, record, entry)
        return [{"ignored": value} for _, value in stage.metrics.samples(RECORD_FIELDS_IGNORED)]

    assert sum(one["ignored"] for one in reports(scene)) == ignored


def test_a_row_names_its_entry() -> None:
    """By Kong's id of the plugin entry."""
    assert reports(lambda stage: [stage.take(DROPPED)])[0]["entry"] == "entry-1"


def test_tail_rules_decide_after_keep_and_before_the_minimum() -> None:
    """A rule keeps, drops and rates; an error is kept before any rule is asked, whatever the head decided."""
    rules = [
        {"name": "gold", "consumers": ["gold"], "rate": 1},
        {"name": "span", "attributes": ["http.response.status_code: 404"], "rate": 0},
        {"name": "rest", "routes": ["r"], "rate": 0},
    ]
    entry = b"t" * 16

    def scene(stage: Stage) -> list[dict[str, Any]]:
        stage.pipeline.configure(entry, json.dumps({"sampling": {"tail_rules": rules}}).encode())
        for context in (DROPPED, CONTEXT):
            for route, status, consumer in (("r", 200, "gold"), ("r", 200, "x"), ("r", 500, "x"), ("s", 404, "x")):
                record = {
                    "request": {"method": "GET", "uri": "/"},
                    "response": {"status": status},
                    "route": {"id": route},
                    "consumer": {"username": consumer},
                    "started_at": 1,
                    "otlp_tracing": context.to_log_field(),
                }
                take(stage.pipeline, record, entry)
        decisions = ("not_sampled", "dropped_later", "tail_rule", "error", "rate", "rare")
        return [{one: stage.metrics.value(REQUESTS, decision=one) or 0 for one in decisions}]

    assert reports(scene) == [{"not_sampled": 2, "dropped_later": 2, "tail_rule": 1, "error": 1, "rate": 2, "rare": 0}]


def test_a_debug_session_keeps_what_matches_and_ends() -> None:
    """Before keep and all rules; whatever matches after its number of requests is decided as before."""
    entry = b"t" * 16

    def scene(stage: Stage) -> list[dict[str, Any]]:
        policy = PolicyFile()
        rates = SamplingController(stage.metrics, stage.clock)
        line = Pipeline(stage.metrics, {}, stage.exporters, rates, clock=stage.clock, policy=policy)
        rules = [{"name": "none", "paths": ["*"], "rate": 0}]
        line.configure(entry, json.dumps({"sampling": {"tail_rules": rules}}).encode())
        policy.start_session(WorkerLink(b"person00", lambda _: None), Debug(b'{"consumers": ["gold"]}', 60, 3))
        for context, consumer in ((DROPPED, "x"), (DROPPED, "gold"), (CONTEXT, "gold"), (DROPPED, "gold")) * 2:
            record = {
                "request": {"method": "GET", "uri": "/"},
                "response": {"status": 200},
                "consumer": {"username": consumer},
                "started_at": 1,
                "otlp_tracing": context.to_log_field(),
            }
            take(line, record, entry)
        decisions = ("not_sampled", "dropped_later", "tail_rule", "rate")
        return [{one: stage.metrics.value(REQUESTS, decision=one) or 0 for one in decisions}]

    assert reports(scene) == [{"not_sampled": 4, "dropped_later": 1, "tail_rule": 2, "rate": 1}]


def test_an_internal_error_costs_one_record() -> None:
    """It is counted; raised further it would end the connection, and the sender would repeat the record for ever."""

    def broken() -> float:
        raise RuntimeError("no clock")

    def scene(stage: Stage) -> list[dict[str, Any]]:
        take(stage.pipeline, {})
        return [{"refused": stage.metrics.value(RECORDS_REFUSED, reason="bad_record")}]

    assert reports(scene, broken) == [{"refused": 1}]


def test_an_internal_error_costs_no_record_that_came_with_it() -> None:
    """Records that arrive together take each step together; the error of one leaves the others on their way."""
    calls = iter(range(100))

    def broken_once() -> float:
        if next(calls) == 1:
            raise RuntimeError("no clock")
        return 0.0

    def scene(stage: Stage) -> list[dict[str, Any]]:
        for number in range(3):
            stage.pipeline.take(KEY, encoded(numbered(number + 1)))
        stage.pipeline.flush(b"worker-1", 3)
        refused = stage.metrics.value(RECORDS_REFUSED, reason="bad_record")
        return [{"refused": refused, "kept": stage.metrics.value(REQUESTS, decision="rate")}]

    assert reports(scene, broken_once) == [{"refused": 1, "kept": 2}]


def test_at_most_64_records_wait_for_the_flush() -> None:
    """Decoded records take memory, so a batch of many is processed in parts."""

    def scene(stage: Stage) -> list[dict[str, Any]]:
        counts = []
        for number in range(1, 66):
            stage.pipeline.take(KEY, encoded(numbered(number)))
            counts.append(stage.metrics.value(REQUESTS, decision="rate") or 0)
        stage.pipeline.flush(b"worker-1", 65)
        return [{"counts": counts[-3:], "flushed": stage.metrics.value(REQUESTS, decision="rate")}]

    assert reports(scene) == [{"counts": [0, 64, 64], "flushed": 65}]


def test_facts_that_are_ignored_are_counted_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A snippet that was edited badly costs its wrong facts; every request is traced."""
    facts = {"version": 1, "connect": 7, "server_name": ["x"]}

    def scene(stage: Stage) -> list[dict[str, Any]]:
        for number in range(3):
            take(stage.pipeline, numbered(number + 1) | {"otlp_tracing_nginx": facts})
        counts = {fact: stage.metrics.value(NGINX_FACTS_IGNORED, fact=fact) for fact in ("connect", "server_name")}
        return [{**counts, "seen": sum(row["seen"] for row in map(dict, stage.pipeline.sampling.routes()))}]

    assert reports(scene) == [{"connect": 3, "server_name": 3, "seen": 3}]
    (line,) = [record.getMessage() for record in caplog.records if "nginx facts" in record.getMessage()]
    assert line.startswith("nginx facts ignored: connect, server_name;")
    assert f"{command_line()[-1]} check KONG_YML`" in line


RECORD: dict[str, Any] = {
    "request": {"method": "GET", "uri": "/"},
    "response": {"status": 200},
    "latencies": {"request": 7},
    "started_at": 1,
    "otlp_tracing": CONTEXT.to_log_field(),
}
SECRET = "jane.doe@example.com"


OWN = [
    *(
        {"name": f"app.{number}", **one}
        for number, one in enumerate(
            (
                {"source": "request_header", "key": "authorization"},
                {"source": "request_header", "key": "x-note"},
                {"source": "response_header", "key": "set-cookie"},
                {"source": "query_parameter", "key": "token"},
                {"source": "path_capture", "key": "mail"},
                {"source": "consumer_id"},
                {"source": "consumer_username"},
                {"source": "consumer_custom_id"},
                {"source": "consumer_tag"},
                {"source": "route_tag"},
                {"source": "service_tag"},
                {"source": "literal", "value": SECRET},
            )
        )
    ),
    {"name": "app.tag", "source": "route_tag", "key": "m"},
]


class Collector:
    """Transports to a collector, which can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.sent: dict[str, list[bytes]] = {"traces": [], "metrics": [], "logs": []}

    def transport(self, destination: Destination) -> Transport:
        outer = self

        class OneSignal:
            async def export(self, request: bytes) -> ExportResult:
                if outer.is_away:
                    return ExportResult(Action.RETRY, "away", error_type="UNAVAILABLE")
                outer.sent[destination.signal].append(request)
                return ExportResult(Action.SUCCESS)

            async def close(self) -> None:
                pass

        return OneSignal()

    def spans(self) -> list[Span]:
        messages = map(ExportTraceServiceRequest.FromString, self.sent["traces"])
        return [one for message in messages for one in message.resource_spans[0].scope_spans[0].spans]

    def log_records(self) -> list[LogRecord]:
        messages = map(ExportLogsServiceRequest.FromString, self.sent["logs"])
        return [one for message in messages for one in message.resource_logs[0].scope_logs[0].log_records]

    def durations(self) -> list[int]:
        """Return the number of requests in each export of metrics."""
        return [
            sum(point.count for point in metric.histogram.data_points)
            for message in map(ExportMetricsServiceRequest.FromString, self.sent["metrics"])
            for metric in message.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "http.server.request.duration"
        ]


Signals = Callable[[Callable[..., None], Collector, ExporterRegistry], Awaitable[None]]


def all_signals(config: dict[str, Any], scene: Signals) -> Collector:
    """Run a scene with a pipeline of all signals; it gets a function that takes a record."""
    collector = Collector()

    async def run() -> None:
        metrics = Metrics()
        exporters = ExporterRegistry(metrics, {}, None, collector.transport)
        metric_exporters = MetricExporters(metrics, {}, collector.transport)
        rates = SamplingController(metrics, ManualClock())
        stage = Pipeline(metrics, {}, exporters, rates, metric_exporters=metric_exporters)
        stage.configure(KEY, json.dumps(config).encode())

        await scene(lambda record: take(stage, record), collector, exporters)
        await exporters.close(1)
        await metric_exporters.close(1)

    virtual_time.run(run())
    return collector


def sent(config: dict[str, Any], *records: dict[str, Any]) -> Collector:
    """Run records through a pipeline; return what was sent."""

    async def scene(take: Callable[..., None], _: Collector, __: ExporterRegistry) -> None:
        for record in records:
            take(record)

    return all_signals(config, scene)


def test_facts_of_nginx_are_redacted_in_spans_and_logs() -> None:
    """A client chooses the name in its TLS handshake and the subject of its certificate."""
    facts = {"version": 1, "server_name": SECRET, "client_subject": f"CN={SECRET}", "client_issuer": "CN=ours"}

    collector = sent({"logs": {"requests": "all"}}, RECORD | {"otlp_tracing_nginx": facts})

    spans, logs = collector.spans(), collector.log_records()
    assert all(
        {"nginx.ssl_server_name", "tls.client.subject"} <= {a.key for a in one.attributes} for one in spans + logs
    )
    assert "CN=ours" in str(spans)
    assert "CN=ours" in str(logs)
    assert SECRET not in str(spans) + str(logs)


def test_metrics_and_logs_hold_every_request_and_no_secret() -> None:
    """At a rate of 0 too. No attribute and no text has a value that redaction removes from spans."""
    config = {
        "sampling": {"rate": 0},
        "capture": {
            "request_headers": ["authorization", "x-note"],
            "response_headers": ["set-cookie"],
            "gen_ai_messages": ["input", "output"],
        },
        "span": {"name": "{http.route} {app.tag}", "attributes": OWN},
        "logs": {
            "requests": "all",
            "body": "{url.path} {url.query} {http.request.header.x-note} {app.0} {app.tag}",
        },
        "metrics": {
            "enabled": True,
            "attributes": ["kong.consumer.id", "kong.consumer.username", "kong.workspace.name"],
        },
    }
    record = {
        "request": {
            "method": "GET",
            "uri": f"/{SECRET}?token={SECRET}",
            "url": f"http://{SECRET}/",
            "headers": {"host": SECRET, "authorization": SECRET, "x-note": f"password={SECRET}"},
        },
        "response": {"status": 200, "headers": {"set-cookie": SECRET}},
        "route": {
            "id": "r",
            "name": SECRET,
            "paths": [f"/{SECRET}", "~/(?<mail>.*)$"],
            "tags": [SECRET, f"m:{SECRET}"],
        },
        "service": {"id": "s", "name": SECRET, "host": SECRET, "tags": [f"service.peer.name:{SECRET}"]},
        "consumer": {"id": SECRET, "username": SECRET, "custom_id": SECRET, "tags": [SECRET]},
        "workspace_name": SECRET,
        "client_ip": "10.0.0.1",
        "latencies": {"request": 7},
        "tries": [{"ip": "10.0.0.2"}],
        "upstream_status": "200",
        "ai": {
            "proxy": {
                "meta": {"provider_name": SECRET, "request_model": SECRET, "response_model": SECRET},
                "usage": {"prompt_tokens": 11, "completion_tokens": 2},
                "payload": {
                    "request": json.dumps({"messages": [{"role": SECRET, "content": f"I am {SECRET}"}]}),
                    "response": json.dumps({"choices": [{"message": {"content": f"password: {SECRET}"}}]}),
                },
            }
        },
    }
    call = {
        "request": {"method": "POST", "uri": f"/{SECRET}/M", "headers": {"content-type": "application/grpc"}},
        "upstream_uri": f"/{SECRET}/M",
        "response": {"status": 200, "headers": {"grpc-status": "0"}},
        "tries": [{}],
    }
    found = sent(config, *[record] * 3, call)
    kept = sent({**config, "sampling": {"rate": 1}}, {**record, "otlp_tracing": CONTEXT.to_log_field()})

    assert found.durations() == [4]
    assert len(found.log_records()) == 4
    own = {one["name"] for one in OWN}
    messages = {"gen_ai.input.messages", "gen_ai.output.messages"}
    assert own <= {attribute.key for attribute in found.log_records()[0].attributes}
    assert own | messages <= {attribute.key for span in kept.spans() for attribute in span.attributes}
    assert any(b"gen_ai.client.token.usage" in message for message in found.sent["metrics"])
    for message in (*found.sent["metrics"], *found.sent["logs"], *kept.sent["traces"]):
        assert b"jane" not in message


@pytest.mark.parametrize("tls", [None, {"version": SECRET, "cipher": f"TLS_{SECRET}", "client_verify": SECRET}])
def test_the_signals_of_a_connection_hold_no_secret(tls: dict[str, str] | None) -> None:
    """Span, log record and metrics of a TCP or TLS connection, from names, tags, addresses and words of TLS."""
    config = {
        "span": {"attributes": OWN},
        "logs": {"requests": "all", "body": "{kong.route.name} {kong.service.name} {app.tag} {client.address}"},
        "metrics": {
            "enabled": True,
            "attributes": ["kong.consumer.id", "kong.consumer.username", "kong.workspace.name"],
        },
    }
    record = {
        "session": {"status": 502, "received": SECRET, "sent": 5, "server_port": SECRET, "tls": tls},
        "route": {"id": "r", "name": SECRET, "protocols": ["tcp"], "tags": [SECRET, f"m:{SECRET}"]},
        "service": {"id": "s", "name": SECRET, "host": SECRET, "protocol": "tcp", "tags": [SECRET]},
        "consumer": {"id": SECRET, "username": SECRET, "custom_id": SECRET, "tags": [SECRET]},
        "workspace": SECRET,
        "workspace_name": SECRET,
        "client_ip": SECRET,
        "latencies": {"session": 7, "kong": 1},
        "tries": [{"ip": SECRET, "port": 1, "state": "failed", "code": 502}],
        "started_at": 1_000,
    }
    found = sent(config, record, {**record, "otlp_tracing": CONTEXT.to_log_field()})

    assert [len(found.spans()), len(found.log_records())] == [2, 2]
    own = {"app.tag", "kong.connection.status", "client.address", "kong.route.name"}
    for some in ([one.attributes for one in found.spans()], [one.attributes for one in found.log_records()]):
        assert all(own <= {one.key for one in attributes} for attributes in some)
    assert any(b"kong.connection.io" in message for message in found.sent["metrics"])
    for message in (*found.sent["metrics"], *found.sent["logs"], *found.sent["traces"]):
        assert b"jane" not in message


@pytest.mark.parametrize("number", [1e300, -(10**40), 1 << 63])
@pytest.mark.parametrize("field", ["response.status", "response.size", "latencies.request", "upstream_status"])
def test_a_number_out_of_range_costs_its_own_field(field: str, number: float) -> None:
    """Another plugin wrote it: spans, log record and the metrics of all requests are sent without it."""
    name, _, key = field.partition(".")
    wrong = {**RECORD, "tries": [{}], name: {**RECORD.get(name, {}), key: number} if key else f"{number:.0f}"}
    found = sent({"metrics": {"enabled": True}, "logs": {"requests": "all"}}, wrong, {**RECORD, "tries": [{}]})

    assert len(found.spans()) == 4
    assert len(found.log_records()) == 2
    assert found.durations() == [2]


def test_signals_are_off_by_default() -> None:
    """Without metrics.enabled and logs.requests only traces are sent."""
    found = sent({}, {"request": {"uri": "/"}})

    assert {signal: bool(messages) for signal, messages in found.sent.items()} == {
        "traces": True,
        "metrics": False,
        "logs": False,
    }


@pytest.mark.parametrize("signal", ["metrics", "logs"])
def test_a_signal_that_cannot_be_sent_costs_no_trace(caplog: pytest.LogCaptureFixture, signal: str) -> None:
    """An endpoint whose path for the signal is not known is logged with the field; traces are sent as before."""
    config: dict[str, Any] = {"metrics": {"enabled": True}, "logs": {"requests": "all"}}
    found = sent(
        {"endpoint": "http://c/in", "protocol": "http/protobuf", signal: config[signal]}, {"request": {"uri": "/"}}
    )

    assert len(found.spans()) == 1
    assert f"no {signal} are sent for this entry: {signal}.endpoint" in caplog.text


def test_a_body_with_an_unknown_name_costs_no_log_record(caplog: pytest.LogCaptureFixture) -> None:
    """The records are sent without a text, and the log has the name."""
    found = sent({"logs": {"requests": "all", "body": "{url.pth}"}}, {"request": {"uri": "/"}})

    assert [record.HasField("body") for record in found.log_records()] == [False]
    assert "log records have no text: logs.body = {url.pth}" in caplog.text


def test_what_is_left_out_is_counted() -> None:
    """A field of a wrong type, and a part of an entry that cannot be used; the request counts in full."""
    config = {
        "span": {"name": "{url.pth}", "attributes": [{"name": "url.path", "source": "literal", "value": "1"}]},
        "logs": {"requests": "all", "body": "{url.pth}"},
    }
    counted: dict[str, float] = {}

    async def run() -> None:
        metrics, collector = Metrics(), Collector()
        exporters = ExporterRegistry(metrics, {}, None, collector.transport)
        stage = Pipeline(metrics, {}, exporters, SamplingController(metrics, ManualClock()))
        stage.configure(KEY, json.dumps(config).encode())
        stage.take(KEY, b'{"request":{"uri":"/"},"session":{"user":"ann"},"service":7}')
        stage.flush(b"w", 1)
        for metric in (RECORD_FIELDS_IGNORED, SETTINGS_REFUSED):
            counted.update({str(*labels.values()): value for labels, value in metrics.samples(metric) if value})
        await exporters.close(1)
        assert [len(collector.spans()), len(collector.log_records())] == [1, 1]

    virtual_time.run(run())
    assert counted == {"session": 1, "service": 1, "span.name": 1, "span.attributes": 1, "logs.body": 1}


def test_a_part_of_the_spans_that_is_faulty_costs_that_part_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A template and an attribute are left out, each with a sentence; the span is sent with the rest."""
    own = [
        {"name": "url.path", "source": "literal", "value": "x"},
        {"name": "app.a", "source": "literal", "value": "1"},
    ]
    found = sent({"span": {"name": "{url.pth}", "attributes": own}}, {"request": {"uri": "/"}})
    (span,) = found.spans()

    assert (span.name, {one.key: one.value.string_value for one in span.attributes}["app.a"]) == ("HTTP", "1")
    assert 'left out: span.attributes[1].name = "url.path": must not begin with url.' in caplog.text
    assert 'left out: span.name = "{url.pth}": {url.pth} cannot be part of a name' in caplog.text


def test_a_log_record_is_the_same_whether_the_trace_is_kept_or_not() -> None:
    """Ids, times, severity, text and redacted attributes; flags and sampling attributes tell them apart."""
    started_at = int(time.time() * 1000)
    tried_at_ns = (started_at + 9) * 1_000_000  # later than the end that Kong gives
    record = {
        **RECORD,
        "request": {"method": "GET", "uri": f"/a?token={SECRET}&x=1", "headers": {"user-agent": SECRET}},
        "started_at": started_at,
        "tries": [{"balancer_start_ns": tried_at_ns}],
    }
    config = {"logs": {"requests": "all", "body": "{url.query} {user_agent.original}"}}
    both = []
    for context in (CONTEXT, dataclasses.replace(DROPPED, decided_by="rate")):
        (one,) = sent(config, {**record, "otlp_tracing": context.to_log_field()}).log_records()
        sampling = [attribute for attribute in one.attributes if attribute.key.startswith("otlp_tracing.sampling.")]
        for attribute in sampling:
            one.attributes.remove(attribute)
        both.append(one)
    kept, other = both

    assert (kept.flags, other.flags) == (CONTEXT.flags, DROPPED.flags)
    kept.flags = other.flags
    assert kept == other
    assert kept.time_unix_nano == tried_at_ns
    assert kept.body.string_value == "token=REDACTED&x=1 [REDACTED]"


def test_one_request_has_one_id_in_all_signals() -> None:
    """Span, log record and exemplar of a kept request have one trace id and one span id."""
    found = sent({"metrics": {"enabled": True}, "logs": {"requests": "sampled"}}, RECORD)
    (span,), (record,) = found.spans(), found.log_records()
    message = ExportMetricsServiceRequest.FromString(found.sent["metrics"][0])
    (exemplar, *_) = [
        exemplar
        for metric in message.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.histogram.data_points
        for exemplar in point.exemplars
    ]

    ids = [(one.trace_id, one.span_id) for one in (span, record, exemplar)]
    assert ids == [(CONTEXT.trace_id, CONTEXT.span_id)] * 3


def test_ten_minutes_without_a_collector_cost_no_span_and_no_log_record() -> None:
    """All traces and logs arrive, the books of both balance, and the first metrics afterwards have every request."""
    rows: list[dict[str, Any]] = []
    config = {"metrics": {"enabled": True, "interval": 10_000}, "logs": {"requests": "all"}}

    async def scene(take: Callable[..., None], collector: Collector, exporters: ExporterRegistry) -> None:
        take(RECORD)
        await asyncio.sleep(60)
        collector.is_away = True
        for _ in range(600):
            take(RECORD)
            await asyncio.sleep(1)
        assert (len(collector.spans()), len(collector.log_records()), collector.durations()[-1]) == (1, 1, 1)
        collector.is_away = False
        await asyncio.sleep(60)
        rows.extend(exporters.status())

    found = all_signals(config, scene)

    assert (len(found.spans()), len(found.log_records())) == (601, 601)
    # The gap is in the points, not in the counts: before it one request, after it all.
    assert set(found.durations()) == {1, 601}
    assert {row["signal"]: (row["received"], row["exported"], row["balance"]) for row in rows} == {
        "traces": (601, 601, 0),
        "logs": (601, 601, 0),
    }

"""Traces, metrics and access logs of one gateway in a real collector, and the trace id in Kong's own logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.client import Caller
from e2e.collectors import Collector
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.spans import wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for

_SECONDS = 15.0
_SECRET = "s3cr3t-canary"
_OWN = [
    {"name": "app.number", "source": "path_capture", "key": "number"},
    {"name": "app.tenant", "source": "request_header", "key": "X-Tenant"},
    {"name": "app.proof", "source": "query_parameter", "key": "token"},
    {"name": "app.customer", "source": "consumer_custom_id"},
    {"name": "app.plan", "source": "consumer_tag", "key": "plan"},
    {"name": "app.team", "source": "route_tag", "key": "team"},
    {"name": "app.ring", "source": "literal", "value": "blue"},
]
_CONSUMER = {
    "username": "jane", "custom_id": "4711", "tags": ["plan:gold"], "keyauth_credentials": [{"key": "key-of-jane"}],
}  # fmt: skip


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_one_request_has_one_id_in_all_signals(
    start_gateway: StartGateway, upstream: RecordingUpstream, collector: Collector, protocol: str, tmp_path: Path
) -> None:
    """Trace, log record, exemplar and Kong's log line have the caller's trace id; Prometheus shows the series.

    A request whose trace is not kept has its log record and is in the metrics too. Spans and log records have the own
    attributes. No signal has the secret.
    """
    log_file = tmp_path / "requests.jsonl"
    entry = tracing(
        collector.endpoint if protocol == "grpc" else collector.http_endpoint,
        protocol=protocol,
        metrics={"enabled": True, "interval": 1000},
        logs={"requests": "all", "body": "{http.request.method} {url.path} {url.query}"},
        log_correlation=True,
        span={"attributes": _OWN, "name": "{http.request.method} {app.team}"},
    )
    file_log = {"name": "file-log", "config": {"path": str(log_file), "reopen": True}}
    name = f"signals-{protocol.partition('/')[0]}"
    kept, dropped = Caller.new(), Caller.new()
    route = {"name": f"{name}-route", "paths": [rf"~/{name}/(?<number>\d+)$"], "tags": ["team:payments"]}
    plugins = [entry, file_log, {"name": "key-auth"}]
    tags = ["service.peer.name:orders"]
    traced = service(name, upstream.url, plugins, routes=[route], tags=tags)
    headers = [("apikey", "key-of-jane"), ("x-tenant", "acme")]
    with start_gateway(declaration(traced, consumers=[_CONSUMER])) as gateway:
        gateway.get(f"/{name}/1?token={_SECRET}", [kept.header("01"), *headers])
        gateway.get(f"/{name}/2?token={_SECRET}", [dropped.header("00"), *headers])
        server, client = wait_for_trace(collector, kept.trace_id)
        records = wait_for(lambda: _records(collector, kept, dropped), _SECONDS, "both log records")
        wait_for(lambda: kept.trace_id in collector.exemplars(), _SECONDS, "the exemplar")
        wait_for(lambda: _served(collector, f"{name}-route") == 2, _SECONDS, "both requests in Prometheus's form")
        lines = wait_for(lambda: _lines(log_file, 2), _SECONDS, "Kong's log lines")

    by_trace = {record["traceId"]: record for record in records}
    assert by_trace[kept.trace_id]["spanId"] == server.span_id
    assert by_trace[kept.trace_id]["body"]["stringValue"] == f"GET /{name}/1 token=REDACTED"
    assert [record["severityText"] for record in records] == ["INFO", "INFO"]
    assert {line["trace_id"]["w3c"] for line in lines} == {kept.trace_id, dropped.trace_id}
    own = {"app.number": "1", "app.tenant": "acme", "app.proof": "[REDACTED]", "app.customer": "4711"}
    own |= {"app.plan": "gold", "app.team": "payments", "app.ring": "blue"}
    assert server.name == "GET payments"
    assert client.attributes["service.peer.name"] == "orders"
    assert {one: server.attributes.get(one) for one in own} == own
    logged = {one["key"]: one["value"].get("stringValue") for one in by_trace[dropped.trace_id]["attributes"]}
    assert {one: logged.get(one) for one in own} == own | {"app.number": "2"}
    assert _SECRET not in collector.all_text()


def _records(collector: Collector, *callers: Caller) -> list[dict[str, Any]]:
    found = collector.log_records([caller.trace_id for caller in callers])
    return found if len(found) == len(callers) else []


def _served(collector: Collector, route: str) -> int:
    wanted = ("http_server_request_duration_seconds_count{", f'kong_route_name="{route}"')
    lines = [line for line in collector.prometheus().splitlines() if all(part in line for part in wanted)]
    return sum(int(float(line.rpartition("}")[2].split()[0])) for line in lines)


def _lines(file: Path, count: int) -> list[dict[str, dict[str, str]]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines] if len(lines) >= count else []

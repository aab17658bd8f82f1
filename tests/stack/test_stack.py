"""The stack as shipped, with the real programs: a request to the gateway is visible in all of them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from e2e.client import Caller
from e2e.waiting import WaitedInVain, wait_for
from stack import shipped
from stack.stage import Stage

pytestmark = pytest.mark.timeout(300)  # the first test starts the whole stack

_SECONDS = 60.0

_AFTER_A_FAILURE = {  # test_full_queue.py sees the collector have them
    "otelcol_exporter_enqueue_failed_spans",  # made when a full queue refuses
    "otelcol_exporter_send_failed_spans",  # made when an exporter gives up spans
}
"""Metrics that rules and panels use and that a stack in which nothing fails does not have."""


@pytest.fixture(scope="module")
def traced(running: Stage) -> Caller:
    """Send a request that crosses the gateway and both services, in a trace of its own."""
    caller = Caller.new()
    answer = running.gateway.get("/api/users/1", [caller.header()])
    assert answer.status == 200, answer.text()
    return caller


def test_the_trace_can_be_read_from_jaeger(running: Stage, traced: Caller) -> None:
    """Jaeger's API has the trace of a request with the gateway's spans and both services'."""
    services = wait_for(
        lambda: (found := _services(running, traced)) >= {"kong-gateway", "user-service", "order-service"} and found,
        _SECONDS,
        "the whole trace in Jaeger",
    )

    assert services == {"kong-gateway", "user-service", "order-service"}


def test_zipkin_gets_the_same_spans(running: Stage, traced: Caller) -> None:
    """The collector's export to Zipkin has the gateway's SERVER span in Zipkin's form."""

    def server_span() -> Mapping[str, Any] | None:
        ours = (span for span in running.zipkin.spans if span["traceId"] == traced.trace_id)
        kongs = (span for span in ours if span["localEndpoint"]["serviceName"] == "kong-gateway")
        return next((span for span in kongs if span.get("kind") == "SERVER"), None)

    assert wait_for(server_span, _SECONDS, "the SERVER span in Zipkin's form")


def test_every_target_is_up(running: Stage) -> None:
    """Prometheus reaches everything that prometheus.yml names."""
    down = ["no target yet"]

    def all_up() -> bool:
        targets = running.read("prometheus:9090", "/api/v1/targets")["data"]["activeTargets"]
        down[:] = [target["scrapeUrl"] for target in targets if target["health"] != "up"] if targets else down
        return not down

    with contextlib.suppress(WaitedInVain):
        wait_for(all_up, _SECONDS, "every target is up")

    assert down == []


@pytest.mark.parametrize(
    "query",
    [
        'kong_http_requests_total{service="user-service",code="200"} > 0',
        'otlp_tracing_requests_total{decision!="not_sampled"} > 0',
        "otlp_tracing_spans_exported_total > 0",
        'service:kong_http_requests:rate5m{service="user-service"} > 0',
        'http_server_request_duration_seconds_count{http_route="/api/users/{id}"} > 0',
        'rpc_server_call_duration_seconds_count{rpc_method="shop.OrderService/ListOrders"} > 0',
    ],
)
def test_prometheus_has_the_figures(running: Stage, traced: Caller, query: str) -> None:
    """The gateway's figures and ours are in Prometheus, and the recording rules make theirs."""
    assert traced
    path = f"/api/v1/query?query={quote(query)}"

    def result() -> list[Any]:
        running.gateway.get("/api/users/1")
        found: list[Any] = running.read("prometheus:9090", path)["data"]["result"]
        return found

    assert wait_for(result, _SECONDS, query)


def test_an_exemplar_leads_to_a_trace(running: Stage, traced: Caller) -> None:
    """The latency buckets have exemplars, and Jaeger has the trace that one names."""
    assert traced
    query = (
        f"/api/v1/query_exemplars?query={quote('otlp_tracing_request_duration_seconds_bucket')}&start=0&end=9999999999"
    )

    def exemplar() -> str | None:
        series = running.read("prometheus:9090", query)["data"]
        found = (one["labels"]["trace_id"] for each in series for one in each["exemplars"])
        return next(found, None)

    trace_id = wait_for(exemplar, _SECONDS, "an exemplar")
    assert trace_id is not None
    assert wait_for(lambda: _trace(running, trace_id), _SECONDS, "its trace in Jaeger")


def test_one_request_is_in_all_three_signals(running: Stage) -> None:
    """The exemplar of an OTLP metric names its trace; Jaeger has it, and the collector got its log record."""
    query = "/api/v1/query_exemplars?query=http_server_request_duration_seconds_bucket&start=0&end=9999999999"
    sent: set[str] = set()

    def exemplar() -> str | None:
        caller = Caller.new()
        sent.add(caller.trace_id)
        running.gateway.get("/api/users/1", [caller.header()])
        series = running.read("prometheus:9090", query)["data"]
        return next((one for each in series for one in _trace_ids(each["exemplars"]) if one in sent), None)

    trace_id = wait_for(exemplar, _SECONDS, "an exemplar of one of these requests")
    assert trace_id is not None
    assert wait_for(lambda: _trace(running, trace_id), _SECONDS, "its trace in Jaeger")
    wait_for(lambda: f"Trace ID: {trace_id}" in running.collector_log.read_text(), _SECONDS, "its log record")


def _trace_ids(exemplars: list[dict[str, Any]]) -> list[str]:
    return [one["labels"]["trace_id"] for one in exemplars if "trace_id" in one["labels"]]


def test_an_alert_fires(running: Stage) -> None:
    """Garbage at the sidecar's socket is counted, and Alertmanager has the alert with its runbook."""
    # An increase is one over a figure that Prometheus has seen.
    scraped = "/api/v1/query?query=otlp_tracing_records_refused_total"
    wait_for(lambda: running.read("prometheus:9090", scraped)["data"]["result"], _SECONDS, "the count before it")
    socket_path = running.gateway.prefix / "otlp-tracing" / "sidecar.sock"
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(socket_path))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")

    def fired() -> dict[str, Any] | None:
        alerts = running.read("alertmanager:9093", "/api/v2/alerts")
        return next((alert for alert in alerts if alert["labels"]["alertname"] == "TracingRecordsRefused"), None)

    alert = wait_for(fired, _SECONDS, "the alert in Alertmanager")
    assert alert is not None
    assert alert["labels"]["reason"] == "bad_frame"
    assert alert["annotations"]["runbook_url"] == "docs/operating.md#tracingrecordsrefused"


def test_every_panel_has_a_query_that_works(running: Stage) -> None:
    """Prometheus answers each query of the dashboards."""
    queries = _panel_queries()
    assert queries
    for query in queries:
        concrete = re.sub(r"\$\w+", ".*", query.replace("$__rate_interval", "1m"))
        answer = running.read("prometheus:9090", f"/api/v1/query?query={quote(concrete)}")

        assert answer["status"] == "success", query


def test_rules_and_panels_use_names_that_prometheus_has(running: Stage, traced: Caller) -> None:
    """Every metric of Kong's and the collector's in a rule or a panel is one that Prometheus has scraped."""
    assert traced
    used = {
        name
        for query in (*_panel_queries(), *_rule_queries())
        # A colon: a recording rule's own name. A dollar: a variable of the dashboard.
        for name in re.findall(r"(?<![:$\w])((?:otelcol|kong)_\w+)(?![:\w])", query)
    }

    missing = set(used)

    def all_there() -> bool:
        running.gateway.get("/api/users/1")
        missing.difference_update(running.read("prometheus:9090", "/api/v1/label/__name__/values")["data"])
        return missing <= _AFTER_A_FAILURE

    assert {name.partition("_")[0] for name in used} == {"otelcol", "kong"}
    with contextlib.suppress(WaitedInVain):
        wait_for(all_there, _SECONDS, "every metric is in Prometheus")

    assert missing - _AFTER_A_FAILURE == set()


def _panel_queries() -> list[str]:
    dashboards = [json.loads(path.read_text()) for path in (shipped.FOLDER / "grafana" / "dashboards").glob("*.json")]
    panels = [panel for dashboard in dashboards for panel in dashboard["panels"]]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _rule_queries() -> list[str]:
    return [
        rule["expr"]
        for path in (shipped.FOLDER / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def _services(running: Stage, caller: Caller) -> set[str]:
    trace = _trace(running, caller.trace_id)
    return {process["serviceName"] for process in trace["processes"].values()} if trace else set()


def _trace(running: Stage, trace_id: str) -> dict[str, Any] | None:
    try:
        found = running.read("jaeger:16686", f"/api/traces/{trace_id}")
    except OSError:  # 404 while there is no such trace
        return None
    return found["data"][0] if found["data"] else None

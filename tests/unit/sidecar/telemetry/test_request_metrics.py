"""Promises of sidecar/telemetry/request_metrics.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from otlp_tracing.sidecar.route_table import OTHER
from otlp_tracing.sidecar.spans.cardinality import MAX_NAMES_PER_OWNER
from otlp_tracing.sidecar.telemetry.histogram import Histogram
from otlp_tracing.sidecar.telemetry.request_metrics import TOKENS, EntryMetrics, RequestMetrics
from otlp_tracing.sidecar.telemetry.series_table import SeriesTable
from spans_of import CONTEXT, ENTRY_KEY, GRPC, outcome_of, rules_of

REQUEST: dict[str, Any] = {
    "request": {"size": 312},
    "response": {"status": 200, "size": 5120},
    "route": {"paths": ["~/a/(?<id>b)$"]},
    "latencies": {"request": 60, "kong": 3, "proxy": 50},
    "tries": [{"balancer_start_ns": 1_003_000_000}],
    "upstream_status": "200",
    "source": "upstream",
}


class Scene:
    """One entry's metrics."""

    def __init__(self, *added: str, **table: Any) -> None:
        self.table = SeriesTable(**table)
        self.seen: list[Mapping[str, Any]] = []
        self.metrics = RequestMetrics()
        self.metrics.configure(ENTRY_KEY, EntryMetrics(self.table, rules_of(), self._redact, added))

    def _redact(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return {name: "[REDACTED]" if value == "secret" else value for name, value in attributes.items()}

    def of(self, name: str) -> list[tuple[Mapping[str, Any], Histogram]]:
        return [
            (series.attributes, series.histogram)
            for instrument, some in self.table.all()
            for series in some
            if instrument.name == name
        ]

    def one(self, name: str) -> tuple[Mapping[str, Any], Histogram]:
        (found,) = self.of(name)
        return found


def test_a_request_is_in_every_metric() -> None:
    """Duration, sizes, Kong's latencies and tries, with the attributes of the semantic conventions."""
    scene = Scene()
    scene.metrics.observe(outcome_of(**REQUEST))

    sums = {
        "http.server.request.duration": 0.06,
        "http.server.request.size": 312,
        "http.server.response.size": 5120,
        "kong.latency.internal": 0.003,
        "kong.latency.upstream": 0.05,
        "kong.upstream.tries": 1,
        "http.client.request.duration": 0.057,
    }
    found = {name: scene.one(name)[1] for name in sums}
    assert {name: pytest.approx(one.sum * one.factor) for name, one in found.items()} == sums
    assert scene.one("http.server.request.duration")[0] == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/a/{id}",
        "http.response.status_code": 200,
        "kong.service.name": "users",
        "kong.route.name": "all",
        "kong.response.source": "upstream",
    }
    assert scene.one("http.client.request.duration")[0] == {
        "http.request.method": "GET",
        "server.address": "users",
        "server.port": 8080,
        "http.response.status_code": 200,
        "kong.service.name": "users",
        "kong.route.name": "all",
    }


def test_values_are_counted_as_they_are() -> None:
    """Values that Kong does not know are not counted; many requests are counted as one is."""
    scene = Scene()
    unknown = REQUEST | {"latencies": {"request": 60, "kong": 3, "proxy": -1}, "request": {}, "tries": []}
    for _ in range(200):
        scene.metrics.observe(outcome_of(**REQUEST))
        scene.metrics.observe(outcome_of(**unknown))

    counts = {
        name: sum(one.count for _, one in scene.of(name))
        for name in (
            "http.server.request.duration",
            "http.server.request.size",
            "kong.latency.upstream",
            "http.client.request.duration",
        )
    }
    assert list(counts.values()) == [400, 200, 200, 200]
    assert sum(one.counts[5] for _, one in scene.of("http.server.request.duration")) == 0
    assert sum(one.counts[4] for _, one in scene.of("http.server.request.duration")) == 400


@pytest.mark.parametrize("latencies", [{"request": -5, "kong": 3}, {"request": 1, "kong": 3}, {}])
def test_odd_times_cost_no_request(latencies: dict[str, int]) -> None:
    """A clock that was set back, and a record without times: the request and its try are counted, as 0."""
    scene = Scene()
    scene.metrics.observe(outcome_of(**{**REQUEST, "latencies": {"request": None} | latencies}))

    for name in ("http.server.request.duration", "http.client.request.duration"):
        assert scene.one(name)[1].count == 1


def test_a_kept_trace_is_an_exemplar() -> None:
    """The SERVER span of the server's metrics, the CLIENT span of the client's; never a trace that is not kept."""
    scene = Scene()
    scene.metrics.observe(outcome_of(**REQUEST))
    assert not [one for name in ("http.server.request.duration",) for one in scene.one(name)[1].exemplars]
    scene.metrics.observe(outcome_of(spans=[b"kept"], **REQUEST))

    for name, span_id in (
        ("http.server.request.duration", CONTEXT.span_id),
        ("kong.latency.upstream", CONTEXT.span_id),
        ("http.client.request.duration", CONTEXT.upstream_span_id),
    ):
        (exemplar,) = scene.one(name)[1].exemplars.values()
        assert (exemplar.trace_id, exemplar.span_id) == (CONTEXT.trace_id, span_id)


def test_a_failed_request_has_its_error() -> None:
    """error.type is that of the spans: of the request, and of each of its tries."""
    scene = Scene()
    tries = [{"state": "failed", "code": 504}, {}]
    scene.metrics.observe(
        outcome_of(**REQUEST | {"response": {"status": 502}, "tries": tries, "upstream_status": "504, 502"})
    )

    attributes, _ = scene.one("http.server.request.duration")
    assert (attributes["http.response.status_code"], attributes["error.type"]) == (502, "502")
    outcomes = [
        (one.get("http.response.status_code"), one["error.type"]) for one, _ in scene.of("http.client.request.duration")
    ]
    assert outcomes == [(None, "timeout"), (502, "502")]
    assert scene.one("kong.upstream.tries")[1].sum == 2


def test_a_call_has_rpc_metrics_too() -> None:
    """GRPC calls are HTTP requests and calls; a method that a client made up is `_OTHER`."""
    scene = Scene()
    scene.metrics.observe(outcome_of(**GRPC | {"response": {"status": 200, "headers": {"grpc-status": "5"}}}))

    for name in ("rpc.server.call.duration", "rpc.client.call.duration"):
        attributes, histogram = scene.one(name)
        assert (attributes["rpc.method"], attributes["rpc.response.status_code"]) == ("shop.Cart/Add", "NOT_FOUND")
        assert histogram.count == 1
    assert scene.one("http.server.request.duration")[0]["network.protocol.version"] == "2"
    unknown = GRPC | {"request": GRPC["request"] | {"uri": "/made/Up"}, "upstream_uri": "/made/Up"}
    scene.metrics.observe(outcome_of(**unknown | {"response": {"headers": {"grpc-status": "12"}}}))
    assert [one["rpc.method"] for one, _ in scene.of("rpc.server.call.duration")] == ["shop.Cart/Add", "_OTHER"]


def test_methods_and_routes_are_bounded() -> None:
    """An invented method is `_OTHER`; a route past the bound has no template."""
    scene = Scene()
    for method in ("BREW", "STEEP"):
        scene.metrics.observe(outcome_of(route_key=OTHER, **REQUEST | {"request": {"method": method}}))

    attributes, histogram = scene.one("http.server.request.duration")
    assert attributes["http.request.method"] == "_OTHER"
    assert "http.route" not in attributes
    assert histogram.count == 2


def test_series_past_the_bound_are_one() -> None:
    """As in the SDKs, they are counted in a series with otel.metric.overflow, and the event is reported."""
    refused: list[int] = []
    scene = Scene(max_series=3, on_refused=lambda: refused.append(1))
    for status in (200, 201, 202, 203, 204, 204):
        scene.metrics.observe(outcome_of(**REQUEST | {"response": {"status": status}}))

    series = scene.of("http.server.request.duration")
    assert [(one.get("http.response.status_code"), histogram.count) for one, histogram in series] == [
        (200, 1),
        (201, 1),
        (None, 4),
    ]
    assert series[-1][0] == {"otel.metric.overflow": True}
    assert refused


def test_an_attribute_can_be_added() -> None:
    """Each value is a series of its own."""
    scene = Scene("kong.consumer.username")
    for name in ("ann", "bob", None):
        scene.metrics.observe(outcome_of(**REQUEST | {"consumer": {"username": name}}))

    names = [one.get("kong.consumer.username") for one, _ in scene.of("http.server.request.duration")]
    assert names == ["ann", "bob", None]


def test_attributes_are_redacted() -> None:
    """Like those of spans; values that are equal afterwards are one series."""
    scene = Scene("kong.consumer.username", "kong.workspace.name")
    scene.metrics.observe(outcome_of(**REQUEST | {"consumer": {"username": "secret"}}))
    scene.metrics.observe(outcome_of(**REQUEST | {"consumer": {"username": "[REDACTED]"}}))

    attributes, histogram = scene.one("http.server.request.duration")
    assert attributes["kong.consumer.username"] == "[REDACTED]"
    assert histogram.count == 2


def test_a_forgotten_series_begins_anew() -> None:
    """A series without a value for an hour is not sent any more; its next value is counted from 0, and not lost."""
    now = 10**18
    scene = Scene(now_ns=lambda: now)
    scene.metrics.observe(outcome_of(**REQUEST))
    scene.table.sweep()
    now += 3600 * 10**9
    scene.table.sweep()
    assert scene.of("http.server.request.duration") == []
    scene.metrics.observe(outcome_of(**REQUEST))

    assert scene.one("http.server.request.duration")[1].count == 1


def test_an_entry_without_metrics_counts_nothing() -> None:
    """Metrics are off by default, and can be forgotten with their entry."""
    scene = Scene()
    scene.metrics.forget(ENTRY_KEY)
    scene.metrics.forget(b"unknown")
    scene.metrics.observe(outcome_of(**REQUEST))

    assert list(scene.table.all()) == []


def ai(**meta: str) -> dict[str, Any]:
    """Return the fields of a call of a model through ai-proxy."""
    usage = {"prompt_tokens": 11, "completion_tokens": 2}
    return REQUEST | {"ai": {"proxy": {"meta": {"provider_name": "openai", **meta}, "usage": usage}}}


def test_a_models_call_counts_its_tokens() -> None:
    """By type, model, route and consumer; the exemplar is the kept trace. Other requests have no such series."""
    scene = Scene()
    scene.metrics.observe(outcome_of(spans=[b"kept"], **ai(request_model="gpt-4"), consumer={"username": "jane"}))
    scene.metrics.observe(outcome_of(**REQUEST))
    counted = {attributes["gen_ai.token.type"]: (attributes, one) for attributes, one in scene.of(TOKENS.name)}

    assert {kind: one.sum for kind, (_, one) in counted.items()} == {"input": 11, "output": 2}
    attributes, histogram = counted["input"]
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4",
        "gen_ai.token.type": "input",
        "kong.consumer.username": "jane",
        "kong.route.name": "all",
        "kong.service.name": "users",
    }
    assert [one.trace_id for one in histogram.exemplars.values()] == [CONTEXT.trace_id]


def test_tokens_that_are_estimates_are_a_series_of_their_own() -> None:
    """A stream's, so that a sum can leave them out."""
    scene = Scene()
    stream = {"response": {"status": 200, "headers": {"content-type": "text/event-stream"}}}
    scene.metrics.observe(outcome_of(**ai()))
    scene.metrics.observe(outcome_of(**ai() | stream))

    estimated = [attributes.get("kong.ai.usage.estimated") for attributes, _ in scene.of(TOKENS.name)]
    assert estimated == [None, None, True, True]


def test_clients_cannot_make_series_of_models() -> None:
    """Past the bound on names a model is left out, and its tokens are counted."""
    scene = Scene()
    for number in range(MAX_NAMES_PER_OWNER + 2):
        scene.metrics.observe(outcome_of(**ai(request_model=f"model-{number}")))
    inputs = [(one, h) for one, h in scene.of(TOKENS.name) if one["gen_ai.token.type"] == "input"]

    assert len(inputs) == MAX_NAMES_PER_OWNER + 1
    assert [histogram.count for one, histogram in inputs if "gen_ai.request.model" not in one] == [2]

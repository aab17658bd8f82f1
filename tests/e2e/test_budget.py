"""Rates that move, with real processes: a budget that two workers share, a CPU that is too busy, rare routes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.client import fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer, RunningGateway
from e2e.metrics import metric, snapshot
from e2e.spans import SERVER, SinkReader
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing.propagation import tracestate as trace_state
from otlp_tracing.sampling import ot_tracestate as ot_state
from otlp_tracing.sampling import threshold
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_BUDGET = 10
# The part that is saved and spent again is a twelfth of a minute's budget. Workers and sidecar are the same under every
# Kong, so a quarter of it will do where the stand-in plays another version.
_SECONDS, _SHORT_SECONDS = 60.0, 15.0
_WARM_UP_SECONDS = 5.0  # the savings of the start are spent, and the workers know their shares
_RARE = 4
_REASON, _PROBABILITY = "otlp_tracing.sampling.reason", "otlp_tracing.sampling.probability"


def _two_workers(prefix: Path) -> PluginServer:
    ours = PluginServer.ours(prefix)
    return dataclasses.replace(ours, start=[*ours.start, "--workers", "2"])


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> Iterator[RunningGateway]:
    budget = tracing(sink.sink.endpoint, sampling={"budget": {"traces_per_second": _BUDGET}})
    loaded = tracing(sink.sink.endpoint, sampling={"rate": 0.8, "load": {"high": 0.0, "low": 0.0}})
    services = [service("loaded", upstream.url, [loaded]), service("busy", upstream.url)]
    services += [service(f"rare{number}", upstream.url) for number in range(_RARE)]
    everywhere = declaration(*services, plugins=[budget])
    environment = {"KONG_NGINX_WORKER_PROCESSES": "2"}
    with start_gateway(everywhere, server=_two_workers, environment=environment) as running:
        yield running


def _report(gateway: RunningGateway) -> dict[str, Any]:
    answer = fetch(gateway.sidecar_url, "/sampling")
    assert answer.status == 200
    return dict(json.loads(answer.text()))


def _entry(gateway: RunningGateway) -> dict[str, Any]:
    (entry,) = [entry for entry in _report(gateway)["entries"] if entry["budget_traces_per_second"]]
    return dict(entry)


def _route(gateway: RunningGateway, name: str) -> dict[str, Any]:
    rows = [row for row in _report(gateway)["routes"] if row["route"] == f"{name}-route"]
    return dict(rows[0]) if rows else {"seen": 0, "kept": 0, "kept_by": {}}


def _timed_route(gateway: RunningGateway, name: str) -> tuple[float, dict[str, Any]]:
    """Return a route's figures with the time they are of: read until that is known to a tenth of a second."""
    while True:
        began, route = time.monotonic(), _route(gateway, name)
        if time.monotonic() - began < 0.1:
            return began, route


@contextlib.contextmanager
def _bursts(*urls: str) -> Iterator[None]:
    """Send as fast as possible for two seconds of three, from two clients to each URL."""
    ends = threading.Event()

    def send(url: str) -> None:
        while not ends.is_set():
            if time.monotonic() % 3 < 2:
                assert fetch(url, "/busy/1").status == 200
            else:
                ends.wait(0.05)

    clients = [threading.Thread(target=send, args=(url,)) for url in urls for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        ends.set()
        for client in clients:
            client.join()


@pytest.mark.timeout(240)
def test_two_workers_hold_one_budget(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """In a minute of bursts to both workers as many traces are kept as the budget says, within a tenth."""
    ends = threading.Event()
    lasting = _SECONDS if gateway.is_kong or gateway.version >= (3, 9) else _SHORT_SECONDS
    with gateway.second_worker() as second, _bursts(gateway.url, second):
        ends.wait(_WARM_UP_SECONDS)
        began, before = _timed_route(gateway, "busy")
        for number in range(_RARE):
            assert gateway.get(f"/rare{number}/1").status == 200
        ends.wait(lasting)
        ended, after = _timed_route(gateway, "busy")
        entry = _entry(gateway)
        figures = snapshot(gateway.sidecar_url)
    shown = {
        cause: figures("otlp_tracing_sampling_factor", entry=entry["entry"], cause=cause)
        for cause in ("budget", "load")
    }
    probability = figures("otlp_tracing_sampling_probability", entry=entry["entry"])
    seconds = ended - began
    kept, seen = after["kept"] - before["kept"], after["seen"] - before["seen"]

    assert seen > 2 * _BUDGET * seconds, "the clients were too slow for a budget to matter"
    assert kept / seconds == pytest.approx(_BUDGET, rel=0.1 * _SECONDS / lasting)
    # Of nginx's workers both may have an even pid, which leaves the plugin server's other worker idle.
    assert entry["processes"] >= 2 or gateway.is_kong
    assert 0 < probability < 0.5
    assert shown == {"budget": pytest.approx(probability, rel=0.5), "load": 1.0}
    assert metric(gateway, "otlp_tracing_sampling_budget_traces_per_second", entry=entry["entry"]) == _BUDGET
    wait_for(lambda: all(_route(gateway, f"rare{number}")["kept"] for number in range(_RARE)), 10, "all rare routes")
    _assert_estimated(_route(gateway, "busy"))
    _assert_said(spans_at_sink, _route(gateway, "busy")["kept_by"]["budget"])


def _assert_estimated(route: dict[str, Any]) -> None:
    off = abs(route["estimated_from_kept"] - route["decided_by_probability"])
    assert off < 4 * route["estimate_deviation"] + 1
    assert route["estimate_deviation"] < 0.2 * route["decided_by_probability"]


def _assert_said(spans: SinkReader, kept: int) -> None:
    def by_budget() -> list[Any]:
        return [one for one in spans.spans() if one.kind == SERVER and one.attributes.get(_REASON) == "budget"]

    wait_for(lambda: len(by_budget()) >= kept, 20, f"{kept} spans kept by the budget")
    for span in by_budget():
        stated = threshold.decode(ot_state.read(trace_state.parse([span.trace_state]))["th"])
        assert stated is not None
        assert math.isclose(span.attributes[_PROBABILITY], threshold.probability(stated))
    for span in spans.spans():
        if span.attributes.get(_REASON) == "rare":
            assert "th:" not in span.trace_state


def test_a_busy_cpu_halves_the_rate(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """Above `high` the rate is halved every five seconds, which the spans and /metrics say."""

    def factor() -> float:
        assert gateway.get("/loaded/1").status == 200
        (entry,) = [entry for entry in _report(gateway)["entries"] if not entry["budget_traces_per_second"]] or [None]
        return metric(gateway, "otlp_tracing_sampling_factor", entry=entry["entry"], cause="load") if entry else 1.0

    def by_load() -> list[Any]:
        assert gateway.get("/loaded/1").status == 200
        return [one for one in spans_at_sink.spans() if one.attributes.get(_REASON) == "load"]

    halved = wait_for(lambda: (now := factor()) < 1 and now, 20, "the factor of the load")
    span = wait_for(by_load, 20, "a span that says so")[0]

    assert halved in {0.5, 0.25, 0.125, 0.0625}
    assert span.attributes[_PROBABILITY] in [pytest.approx(0.8 / 2**step, rel=1e-3) for step in range(1, 5)]
    assert 0 <= metric(gateway, "otlp_tracing_cpu_load") <= 1

"""Rules on the finished request, policies that change without a reload, and debug sessions."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer, RunningGateway
from e2e.metrics import snapshot
from e2e.spans import SERVER, SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing.paths import command_line
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_REQUESTS = 20
_DECISIONS = ("tail_rule", "dropped_later", "not_sampled", "rate")
_KEY_AUTH = {"name": "key-auth", "config": {"key_names": ["apikey"]}}
_GOLD = {"name": "gold", "consumers": ["gold"], "rate": 1}
_NOISE = {"name": "noise", "consumers": ["probe"], "tags": ["internal"], "rate": 0}
_POLICY = {"id": "silent", "name": "Nothing of /policy", "trace": {"match": {"paths": ["/policy*"]}, "keep": "none"}}


def _write(file: Path, *policies: object) -> None:
    file.write_text(json.dumps({"sender": "the test", "policies": policies}))
    file.chmod(0o644)


def _delivery(gateway: RunningGateway) -> dict[str, Any]:
    return dict(json.loads(fetch(gateway.sidecar_url, "/delivery").text()))


def _is_restored(gateway: RunningGateway) -> bool:
    try:
        return bool(_delivery(gateway)["policy"]["is_restored"])
    except OSError:
        return False  # it is not there yet


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("policies") / "policies.json"
    _write(file)
    return file


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, policy_file: Path
) -> Iterator[RunningGateway]:
    def server(prefix: Path) -> PluginServer:
        ours = PluginServer.ours(prefix)
        return dataclasses.replace(ours, start=[*ours.start, "--policy-file", str(policy_file)])

    none = tracing(sink.sink.endpoint, sampling={"rate": 0, "tail_rules": [_GOLD]})
    everything = tracing(sink.sink.endpoint, sampling={"rate": 1, "tail_rules": [_NOISE]})
    content = declaration(
        service("none", upstream.url, [none, _KEY_AUTH]),
        service("all", upstream.url, [everything, _KEY_AUTH], tags=["internal"]),
        service("policy", upstream.url, [tracing(sink.sink.endpoint), _KEY_AUTH]),
        consumers=[{"username": name, "keyauth_credentials": [{"key": name}]} for name in ("gold", "probe")],
    )
    with start_gateway(content, server) as running:
        yield running


def _send(gateway: RunningGateway, upstream: RecordingUpstream, path: str, key: str) -> tuple[str, bool]:
    """Send a request; return its trace id, and whether the upstream was told that it is sampled."""
    mark = Caller.new().span_id
    assert gateway.get(f"{path}/{mark}", [("apikey", key)]).status == 200
    trace_id, _, flags = upstream.request(mark).traceparent
    return trace_id, bool(int(flags, 16) & 1)


def _books(gateway: RunningGateway) -> dict[str, float]:
    total = snapshot(gateway.sidecar_url)
    found = {one: total("otlp_tracing_requests_total", decision=one) for one in _DECISIONS}
    found["requests"] = total("otlp_tracing_requests_total")
    return found | {one: total(f"otlp_tracing_spans_{one}_total") for one in ("received", "exported")}


def _decided(gateway: RunningGateway) -> list[float]:
    books = _books(gateway)
    return [books[one] for one in _DECISIONS]


def test_a_consumer_is_kept_or_dropped_whatever_the_rate(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader
) -> None:
    """Kept at a rate of 0, dropped later at a rate of 1; the upstream knows the head decision; the books balance."""
    gold = [_send(gateway, upstream, "/none", "gold") for _ in range(_REQUESTS)]
    probes = [_send(gateway, upstream, "/none", "probe") for _ in range(_REQUESTS)]
    kept = [_send(gateway, upstream, "/all", "gold") for _ in range(_REQUESTS)]
    dropped = [_send(gateway, upstream, "/all", "probe") for _ in range(_REQUESTS)]

    server_span, *_ = wait_for_trace(spans_at_sink, gold[-1][0])
    # The sum also has the requests by which the fixture found the plugin ready.
    wait_for(lambda: min(_decided(gateway)) >= _REQUESTS, 20, "every decision has its records")
    wait_for(lambda: _books(gateway)["received"] == _books(gateway)["exported"], 20, "all spans are exported")
    books, seen = _books(gateway), spans_at_sink.spans()
    sent = {span.trace_id for span in seen}

    assert (server_span.kind, server_span.trace_state) == (SERVER, "")
    assert server_span.attributes["otlp_tracing.sampling.reason"] == "tail_rule"
    assert server_span.attributes["otlp_tracing.sampling.rule"] == "gold"
    assert books["requests"] == sum(books[one] for one in _DECISIONS)
    assert (books["tail_rule"], books["dropped_later"]) == (_REQUESTS, _REQUESTS)
    assert books["received"] == books["exported"] == len(seen)
    assert {flag for _, flag in gold + probes} == {False}
    assert {flag for _, flag in kept + dropped} == {True}
    assert {trace_id for trace_id, _ in gold + kept} <= sent
    assert not {trace_id for trace_id, _ in probes + dropped} & sent


def test_a_policy_changes_a_rate_without_a_reload(
    gateway: RunningGateway, upstream: RecordingUpstream, policy_file: Path
) -> None:
    """The workers decide by it, so that the upstream is told; a file that is cut changes nothing and is reported.

    A sidecar that is killed and begins with the file that is cut has the last good one too.
    """

    def state() -> dict[str, Any]:
        return dict(_delivery(gateway)["policy"])

    before = _send(gateway, upstream, "/policy", "gold")
    _write(policy_file, _POLICY)
    wait_for(lambda: state()["policies"] == ["silent"], 10, "the policy is in force")
    wait_for(lambda: not _send(gateway, upstream, "/policy", "gold")[1], 10, "the policy decides")
    policy_file.write_text(policy_file.read_text()[:-20])
    wait_for(lambda: state()["fault"], 10, "a fault")

    assert before[1]
    assert (state()["policies"], state()["sender"], state()["is_restored"]) == (["silent"], "the test", False)
    (sidecar,) = gateway.processes()["sidecar"]
    os.kill(sidecar, signal.SIGKILL)
    wait_for(lambda: _is_restored(gateway), 30, "the next sidecar has the last good file")
    assert (state()["policies"], bool(state()["fault"])) == (["silent"], True)
    assert not _send(gateway, upstream, "/policy", "gold")[1]


def test_a_debug_session_keeps_what_matches_and_ends(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader
) -> None:
    """The upstream is told where the head can decide; after its number of requests all is as before.

    While it runs, the sidecar's report shows it.
    """
    command = [*command_line("debug"), "--kong-prefix", str(gateway.prefix), "--path", "/none/*", "--requests", "200"]
    sent: list[tuple[str, bool]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        assert "keeping up to 200 requests" in session.stdout.readline()
        shown = _delivery(gateway)["debug_session"]
        while session.poll() is None and len(sent) < 2000:
            sent.append(_send(gateway, upstream, "/none", "probe"))
        assert "the session has ended: 200 requests kept" in session.communicate(timeout=60)[0]
    wait_for(lambda: not _send(gateway, upstream, "/none", "probe")[1], 10, "the session is over")
    told = [trace_id for trace_id, is_sampled in sent if is_sampled]

    # The first requests are decided before the workers know the session, at most a second later.
    assert told
    assert (shown["match"], shown["left_requests"], shown["kept"]) == ({"paths": ["/none/*"]}, 200, 0)
    assert f"process {session.pid}" in shown["sender"]
    assert 0 < shown["left_s"] <= 300
    assert _delivery(gateway)["debug_session"] is None
    assert len(wait_for_trace(spans_at_sink, told[0])) == 2
    assert len(wait_for_trace(spans_at_sink, sent[0][0])) == 2

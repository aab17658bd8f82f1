"""Rules on the finished request, and policies that change without a reload."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer, RunningGateway
from e2e.metrics import snapshot
from e2e.spans import SERVER, SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_REQUESTS = 20
_DECISIONS = ("tail_rule", "dropped_later", "not_sampled", "rate")
_KEY_AUTH = {"name": "key-auth", "config": {"key_names": ["apikey"]}}
_GOLD = {"name": "gold", "consumers": ["gold"], "rate": 1}
_NOISE = {"name": "noise", "consumers": ["probe"], "tags": ["internal"], "rate": 0}
_POLICY = {"id": "silent", "name": "Nothing of /policy", "trace": {"match": {"paths": ["/policy*"]}, "keep": "none"}}


def _send(gateway: RunningGateway, upstream: RecordingUpstream, path: str, key: str) -> tuple[str, bool]:
    """Send a request; return the id in its path and whether the upstream was told that it is sampled."""
    mark = Caller.new().span_id
    assert gateway.get(f"{path}/{mark}", [("apikey", key)]).status == 200
    trace_id, _, flags = upstream.request(mark).traceparent
    return trace_id, bool(int(flags, 16) & 1)


def test_rules_after_the_response_and_policies_without_a_reload(
    start_gateway: StartGateway,
    upstream: RecordingUpstream,
    sink: ThreadedOtlpSink,
    spans_at_sink: SinkReader,
    tmp_path: Path,
) -> None:
    """A consumer is kept at a rate of 0, another dropped later, the books balance, and a policy changes a rate."""
    file = tmp_path / "policies.json"

    def write(*policies: object) -> None:
        file.write_text(json.dumps({"sender": "the test", "policies": policies}))
        file.chmod(0o644)

    def server(prefix: Path) -> PluginServer:
        ours = PluginServer.ours(prefix)
        return dataclasses.replace(ours, start=[*ours.start, "--policy-file", str(file)])

    write()
    none = tracing(sink.sink.endpoint, sampling={"rate": 0, "tail_rules": [_GOLD]})
    everything = tracing(sink.sink.endpoint, sampling={"rate": 1, "tail_rules": [_NOISE]})
    content = declaration(
        service("none", upstream.url, [none, _KEY_AUTH]),
        service("all", upstream.url, [everything, _KEY_AUTH], tags=["internal"]),
        service("policy", upstream.url, [tracing(sink.sink.endpoint), _KEY_AUTH]),
        consumers=[{"username": name, "keyauth_credentials": [{"key": name}]} for name in ("gold", "probe")],
    )
    with start_gateway(content, server) as gateway:

        def in_force() -> list[str]:
            return list(json.loads(fetch(gateway.sidecar_url, "/delivery").text())["policy"]["policies"])

        gold = [_send(gateway, upstream, "/none", "gold") for _ in range(_REQUESTS)]
        probes = [_send(gateway, upstream, "/none", "probe") for _ in range(_REQUESTS)]
        kept = [_send(gateway, upstream, "/all", "gold") for _ in range(_REQUESTS)]
        dropped = [_send(gateway, upstream, "/all", "probe") for _ in range(_REQUESTS)]
        before = _send(gateway, upstream, "/policy", "gold")
        write(_POLICY)
        wait_for(lambda: in_force() == ["silent"], 10, "the policy is in force")
        # The workers are told in the moment in which it is applied.
        wait_for(lambda: not _send(gateway, upstream, "/policy", "gold")[1], 10, "the policy decides")
        file.write_text(file.read_text()[:-20])
        wait_for(lambda: json.loads(fetch(gateway.sidecar_url, "/delivery").text())["policy"]["fault"], 10, "a fault")
        still = _send(gateway, upstream, "/policy", "gold")
        assert in_force() == ["silent"]

        server_span, *_ = wait_for_trace(spans_at_sink, gold[-1][0])
        assert (server_span.kind, server_span.trace_state) == (SERVER, "")
        assert server_span.attributes["otlp_tracing.sampling.reason"] == "tail_rule"
        assert server_span.attributes["otlp_tracing.sampling.rule"] == "gold"

        def books() -> dict[str, float]:
            total = snapshot(gateway.sidecar_url)
            found = {one: total("otlp_tracing_requests_total", decision=one) for one in _DECISIONS}
            found["requests"] = total("otlp_tracing_requests_total")
            found |= {one: total(f"otlp_tracing_spans_{one}_total") for one in ("received", "exported")}
            return found

        wait_for(lambda: books()["not_sampled"] >= _REQUESTS + 2, 20, "all records are there")
        wait_for(lambda: books()["received"] == books()["exported"], 20, "all spans are exported")
        found = books()
        sent = {span.trace_id for span in spans_at_sink.spans()}

    assert found["requests"] == sum(found[one] for one in _DECISIONS)
    assert (found["tail_rule"], found["dropped_later"]) == (_REQUESTS, _REQUESTS)
    assert found["received"] == found["exported"] == len(spans_at_sink.spans())
    assert {flag for _, flag in gold + probes} == {False}
    assert {flag for _, flag in kept + dropped} == {True}
    assert {trace_id for trace_id, _ in gold + kept} <= sent
    assert not {trace_id for trace_id, _ in probes + dropped} & sent
    assert before[1]
    assert before[0] in sent
    assert not still[1]

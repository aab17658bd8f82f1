"""The spans of requests that the gateway ends itself, and of upstreams that fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.client import Caller
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST, free_port
from e2e.spans import CLIENT, SeenSpan, SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink


@pytest.fixture(scope="module")
def dead_port() -> int:
    """Give a port at which nothing listens."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, dead_port: int
) -> Iterator[RunningGateway]:
    key_auth = {"name": "key-auth", "config": {"key_names": ["apikey"]}}
    targets = [{"target": f"{HOST}:{dead_port}", "weight": 100}, {"target": f"{HOST}:{upstream.port}", "weight": 100}]
    content = declaration(
        service("api", upstream.url),
        service("private", upstream.url, [key_auth]),
        service("balanced", "http://two-targets"),
        service("dead", f"http://{HOST}:{dead_port}", retries=1),
        service("impatient", upstream.url, read_timeout=300, retries=0),
        plugins=[tracing(sink.sink.endpoint)],
        upstreams=[{"name": "two-targets", "targets": targets}],
        consumers=[{"username": "ann", "keyauth_credentials": [{"key": "letmein"}]}],
    )
    with start_gateway(content) as running:
        yield running


def _request(
    gateway: RunningGateway, source: SinkReader, target: str, *headers: tuple[str, str], spans: int
) -> tuple[int, list[SeenSpan]]:
    caller = Caller.new()
    answer = gateway.get(target, [caller.header(), *headers])
    found = wait_for_trace(source, caller.trace_id, spans)
    assert len(found) == spans
    assert found[0].parent_span_id == caller.span_id
    return answer.status, found


def test_a_401_belongs_to_the_callers_trace(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """A request that an authentication plugin ends is a SERVER span without a try, and no error of the gateway."""
    status, (server,) = _request(gateway, spans_at_sink, "/private/1", spans=1)

    assert (status, server.attributes["http.response.status_code"]) == (401, 401)
    assert (server.name, server.is_error) == ("GET /private", False)
    assert server.attributes["kong.response.source"] == "kong"


def test_a_consumer_is_named(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """With the right key the span names the consumer of the request."""
    status, (server, _) = _request(gateway, spans_at_sink, "/private/1", ("apikey", "letmein"), spans=2)

    assert status == 200
    assert server.attributes["kong.consumer.username"] == "ann"


def test_the_key_of_key_auth_is_redacted(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """The value of `apikey`, Kong's default name for a key in the query, never leaves."""
    status, spans = _request(gateway, spans_at_sink, "/private/1?apikey=letmein", spans=2)

    assert status == 200
    assert "letmein" not in str(spans)


def test_a_404_without_a_route_belongs_to_the_callers_trace(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """A request that matched no route is seen by a global entry, named by its method alone."""
    status, (server,) = _request(gateway, spans_at_sink, "/nowhere", spans=1)

    assert (status, server.attributes["http.response.status_code"]) == (404, 404)
    assert (server.name, server.is_error) == ("GET", False)
    assert "http.route" not in server.attributes


@pytest.mark.parametrize(("code", "server_error"), [(404, False), (429, False), (500, True), (503, True)])
def test_an_upstreams_failure_is_an_error_where_it_is_one(
    gateway: RunningGateway, spans_at_sink: SinkReader, code: int, server_error: bool
) -> None:
    """A 4xx is the caller's fault for the SERVER span, an error for the CLIENT span; a 5xx is one for both."""
    status, (server, client) = _request(gateway, spans_at_sink, f"/api/status/{code}", spans=2)

    assert status == code
    assert (server.is_error, server.attributes.get("error.type")) == (
        server_error,
        str(code) if server_error else None,
    )
    assert (client.is_error, client.attributes["error.type"]) == (True, str(code))
    assert client.attributes["http.response.status_code"] == code


def test_a_retry_is_a_span_of_its_own(
    gateway: RunningGateway, spans_at_sink: SinkReader, upstream: RecordingUpstream, dead_port: int
) -> None:
    """A target that is down costs a try with an error; the next one has the id that the upstream saw."""
    for _ in range(4):  # targets take turns: of two requests one meets the dead target first
        caller = Caller.new()
        assert gateway.get(f"/balanced/{caller.span_id}", [caller.header()]).status == 200
        server, *tries = wait_for_trace(spans_at_sink, caller.trace_id)
        if len(tries) == 2:
            break

    first, second = tries
    assert [span.kind for span in tries] == [CLIENT, CLIENT]
    assert {span.parent_span_id for span in tries} == {server.span_id}
    assert (first.is_error, first.attributes["error.type"]) == (True, "connection_error")
    assert first.attributes["network.peer.port"] == dead_port
    assert "http.request.resend_count" not in first.attributes
    assert (second.is_error, second.attributes["http.request.resend_count"]) == (False, 1)
    assert second.attributes["http.response.status_code"] == 200
    assert upstream.request(caller.span_id).traceparent[1] == second.span_id
    assert first.span_id != second.span_id
    assert not server.is_error


def test_a_502_has_a_span_for_every_try(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """An upstream without a listener: each try is an error, the request a 502."""
    status, (server, first, second) = _request(gateway, spans_at_sink, "/dead/1", spans=3)

    assert (status, server.is_error, server.attributes["error.type"]) == (502, True, "502")
    assert [span.attributes["error.type"] for span in (first, second)] == 2 * ["connection_error"]
    assert first.is_error
    assert second.is_error
    assert second.attributes["http.request.resend_count"] == 1


def test_a_504_is_a_timeout(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """An upstream that is too slow: the try says timeout and lasts as long as it was waited for."""
    status, (server, client) = _request(gateway, spans_at_sink, "/impatient/slow", spans=2)

    assert (status, server.is_error, server.attributes["error.type"]) == (504, True, "504")
    assert (client.is_error, client.attributes["error.type"]) == (True, "timeout")
    assert client.end_unix_ns - client.start_unix_ns >= 250_000_000

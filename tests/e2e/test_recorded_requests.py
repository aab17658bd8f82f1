"""Every kind of request that was recorded, made again: on either gateway its spans are those of the recording's file.

The recorded log records must become the same spans (tests/conformance/test_recorded_spans.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import pytest

from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.expected_spans import EXPECTED, expected_spans, span_faults, time_faults
from e2e.gateways import RunningGateway
from e2e.recorded_gateway import RecordedPorts, recorded_declaration, recorded_upstreams
from e2e.spans import SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream
from http2_client import Http2Client
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_CURL = ("User-Agent", "curl/7.88.1")
_OPEN_SECONDS = 0.9  # of the WebSocket
# Of the client that closes its connection: far more than the 0.4 s of the try that the recording asks for, and far
# less than the read timeout of 2 s.
_PATIENCE_SECONDS = 1.2

_NOT_MADE_AGAIN = {
    "10-plugin-exit-418": "the recorded plugin's own answer, which ours never gives",
    "11-plugin-sleep5": "the recorded plugin slept",
    "12-pdk-error": "the recorded plugin made a call that throws",
    "13-plugin-raise": "the recorded plugin raised",
    "21-http2-tls": "HTTP/2 is told from the first bytes, with TLS or without (devtools/tests/fake_kong/test_tls.py)",
    "25-sse-upstream-abort": "takes a minute",
    "31-body-1.3MB": "the recorded plugin asked for a body that it could not get",
    "32-hundred-pdk-calls": "the recorded plugin's own calls",
}


@dataclass(frozen=True)
class Call:
    """A request as the recording has it, by a plain HTTP/1.1 client unless `by` makes it."""

    target: str | bytes = "/"
    status: int = 200
    headers: tuple[tuple[str, str | bytes], ...] = ()
    method: str = "GET"
    body: bytes = b""
    by: Callable[[RunningGateway, Caller], int] | None = None

    def make(self, gateway: RunningGateway, caller: Caller) -> int:
        """Make it, in a trace of the caller's; give the status, gRPC's code for a gRPC call."""
        if self.by:
            return self.by(gateway, caller)
        lines = [_CURL, caller.header(), *self.headers]
        return fetch(gateway.url, self.target, lines, self.method, body=self.body).status


def _by_http2(gateway: RunningGateway, caller: Caller) -> int:
    async def run() -> int:
        async with Http2Client(gateway.http2_url) as client:
            head, _ = await client.fetch("/echo/h2", (_CURL[0].lower(), _CURL[1]), caller.header())
            return int(head.get(":status") or 0)

    return asyncio.run(run())


def _by_one_who_leaves(gateway: RunningGateway, caller: Caller) -> int:
    with pytest.raises(TimeoutError):
        fetch(gateway.url, "/slow/x", [_CURL, caller.header()], patience_s=_PATIENCE_SECONDS)
    return 499


def _by_websocket(gateway: RunningGateway, caller: Caller) -> int:
    lines = dict([("User-Agent", "Python/3.11 websockets/17.4"), caller.header()])

    async def run() -> int:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{gateway.url}/ws/x", headers=lines) as ws:
            await ws.send_str("hello")
            assert (await ws.receive()).data == "hello"
            with contextlib.suppress(asyncio.TimeoutError):
                await ws.receive(timeout=_OPEN_SECONDS)
            return 101

    return asyncio.run(run())


def _by_grpc(path: str, *, stream: bool = False) -> Callable[[RunningGateway, Caller], int]:
    def call(gateway: RunningGateway, caller: Caller) -> int:
        with grpc.insecure_channel(gateway.http2_url.removeprefix("http://")) as channel:
            make: Any = channel.unary_stream if stream else channel.unary_unary
            try:
                answer = make(path)(b"hello", metadata=[caller.header()], timeout=60)
                assert [*answer] == 4 * [b"hello"] if stream else answer == b"hello"
            except grpc.RpcError as error:
                code: int = error.code().value[0]
                return code
            return 0

    return call


_CALLS = {
    "01-get-200": Call("/echo/hello?a=1&a=2"),
    "02-post-201": Call("/echo/things", 201, method="POST", body=b'{"a":1}'),
    "03-upstream-404": Call("/echo/status/404", 404),
    "04-upstream-down-502": Call("/down/x", 502),
    "05-no-route-404": Call("/nothing", 404),
    "06-key-auth-401": Call("/auth/x", 401),
    "07-key-auth-ok": Call("/auth/x", headers=(("apikey", "alice-key"),)),
    "20-http2-h2c": Call(by=_by_http2),
    "22-upstream-timeout-504": Call("/slow/x", 504),
    "23-client-abort-499": Call(by=_by_one_who_leaves, status=499),
    "24-sse-streaming": Call("/stream/sse"),
    "26-grpc-unary": Call(by=_by_grpc("/t.Echo/Say"), status=0),
    "27-grpc-server-stream": Call(by=_by_grpc("/t.Echo/Stream", stream=True), status=0),
    "28-grpc-error": Call(by=_by_grpc("/t.Echo/Fail"), status=5),
    "30-body-small": Call("/echo/x", 201, method="POST", body=4000 * b"x"),
    "33-nonascii-header": Call("/echo/x", headers=(("X-Name", "héllo"),)),
    "35-binary-header": Call("/echo/x", headers=(("X-Bin", b"a\xff\xfeb"),)),
    "36-after-binary": Call("/echo/x"),
    "37-query-binary": Call("/echo/x?q=%ff%fe"),
    "51-websocket": Call(by=_by_websocket, status=101),
    "not-recorded/grpc-upstream-down-502": Call(by=_by_grpc("/t.Down/Say"), status=13),
    "not-recorded/grpc-key-auth-401": Call(by=_by_grpc("/t.Auth/Say"), status=16),
}
_CALLS_IN_TURN = {
    "08-retry-a": Call("/retry/x"),
    "08-retry-b": Call("/retry/x"),
    "09-rate-limit-429": Call("/rl/x", 429),
}


@pytest.fixture(scope="module")
def ports(upstream: RecordingUpstream) -> Iterator[RecordedPorts]:
    with recorded_upstreams(upstream) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(start_gateway: StartGateway, ports: RecordedPorts, sink: ThreadedOtlpSink) -> Iterator[RunningGateway]:
    with start_gateway(recorded_declaration(ports, sink.sink.endpoint)) as running:
        yield running


@pytest.fixture
def assert_spans(
    gateway: RunningGateway, ports: RecordedPorts, spans_at_sink: SinkReader
) -> Callable[[str, Caller], None]:
    """Give a function that holds a trace against a file."""

    def look(name: str, caller: Caller) -> None:
        expected = expected_spans(name, ports.renumbered(gateway), gateway.version)
        spans = wait_for_trace(spans_at_sink, caller.trace_id, len(expected))
        server, *children = spans

        assert span_faults(spans, expected) == []
        assert server.parent_span_id == caller.span_id
        assert {child.parent_span_id for child in children} <= {server.span_id}
        assert time_faults(spans, expected) == []

    return look


@pytest.mark.parametrize("name", _CALLS)
def test_a_request_gives_the_spans_of_its_recording(
    gateway: RunningGateway, assert_spans: Callable[[str, Caller], None], name: str
) -> None:
    """Names, kinds, parents, statuses and all attributes are those of the file that a person wrote."""
    caller = Caller.new()

    assert _CALLS[name].make(gateway, caller) == _CALLS[name].status
    assert_spans(name, caller)


@pytest.mark.parametrize("name", _CALLS_IN_TURN)
def test_a_request_gives_the_spans_of_its_recording_when_its_turn_comes(
    gateway: RunningGateway, spans_at_sink: SinkReader, assert_spans: Callable[[str, Caller], None], name: str
) -> None:
    """Targets take turns and a limit is reached after a while; then the spans are those of the file."""
    call, count = _CALLS_IN_TURN[name], len(expected_spans(name, {}))
    for _ in range(6):  # two of a minute and two targets: enough, also where the minute ends between
        caller = Caller.new()
        status = call.make(gateway, caller)
        if status == call.status and len(wait_for_trace(spans_at_sink, caller.trace_id, 1)) == count:
            break

    assert status == call.status
    assert_spans(name, caller)


def test_every_recording_is_made_again_or_has_a_reason() -> None:
    """No file of Kong 3.9.1's recordings is forgotten."""
    files = {str(path.relative_to(EXPECTED).with_suffix("")) for path in EXPECTED.rglob("*.yaml")}
    files = {name for name in files if not name.startswith("kong-3.4/")}

    assert files == _CALLS.keys() | _CALLS_IN_TURN.keys() | _NOT_MADE_AGAIN.keys()

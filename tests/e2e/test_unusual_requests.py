"""Requests that come another way, or not the whole way: method, status, name, parent and ids are their own.

The recorded requests have more of them: a WebSocket, a client that leaves, a retry over two targets, gRPC
(test_recorded_requests.py). Answers from a cache are in test_bundled_plugins.py.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from e2e.client import Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST, free_port
from e2e.spans import CLIENT, SERVER, SeenSpan, SinkReader, trace, wait_for_trace
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for
from http2_client import Http2Client
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_LONG = 40_000  # bytes; nginx takes lines of 8 KiB
_OF_A_BROWSER = ("origin", "https://a.example")


@dataclass(frozen=True)
class Request:
    """A request, its answer's status, and its spans: the SERVER span's name, and the CLIENT spans' number."""

    target: str
    status: int
    name: str
    tries: int = 0
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    @property
    def method(self) -> str:
        """The request's, as in the name of its span."""
        return self.name.split()[0]


_HTTP_2 = {
    "post": Request("/api/x", 201, "POST /api", 1, body=b"a=1"),
    "post-to-a-dead-upstream": Request("/dead/x", 502, "POST /dead", 2, body=b"a=1", headers=[("content-length", "3")]),
    "put-to-a-slow-upstream": Request("/impatient/slow", 504, "PUT /impatient", 1, [("content-type", "a/b")], b"a=1"),
    "delete-by-a-browser": Request("/dead/x", 502, "DELETE /dead", 2, [_OF_A_BROWSER]),
    "get-by-a-browser": Request("/dead/x", 502, "GET /dead", 2, [_OF_A_BROWSER]),
    "get-from-a-dead-upstream": Request("/dead/x", 502, "GET /dead", 2),
    "head": Request("/dead/x", 502, "HEAD /dead", 2),
    "post-without-a-route": Request("/nowhere", 404, "POST"),
}
_HTTP_1 = {
    "head": Request("/api/x", 200, "HEAD /api", 1),
    "head-to-a-dead-upstream": Request("/dead/x", 502, "HEAD /dead", 2),
    "patch-to-a-dead-upstream": Request("/dead/x", 502, "PATCH /dead", 2, body=b"a=1"),
    "expect-100-continue": Request("/api/x", 201, "POST /api", 1, [("Expect", "100-continue")], b"a=1"),
    "https-only": Request("/https/x", 426, "GET"),
    "https-only-post": Request("/https/x", 426, "POST", body=b"a=1"),
    "https-only-with-a-redirect": Request("/redirected/x?a=1", 301, "GET"),
    "two-hosts": Request("/api/x", 400, "GET", headers=[("host", "other.example")]),
    "content-length-of-letters": Request("/api/x", 400, "POST", headers=[("Content-Length", "abc")]),
    "long-cookie": Request("/api/x", 400, "POST", headers=[("Cookie", _LONG * "a")]),
}
_UNREAD = {
    "long-target": (b"PUT /api/" + _LONG * b"a" + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "PUT"),
    "bad-escape": (b"DELETE /api/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "DELETE"),
    "no-http": (b"\x16\x03\x01\x02 \xff\xfe\x00\r\n\r\n", 400, "HTTP"),
}


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink
) -> Iterator[RunningGateway]:
    redirected = {"name": "redirected", "paths": ["/redirected"], "protocols": ["https"]}
    https = [
        {"name": "https", "paths": ["/https"], "protocols": ["https"]},
        {**redirected, "https_redirect_status_code": 301},
    ]
    content = declaration(
        service("api", upstream.url),
        service("dead", f"http://{HOST}:{free_port()}", retries=1),
        service("impatient", upstream.url, read_timeout=300, retries=0),
        {"name": "https", "url": upstream.url, "routes": https},
        plugins=[tracing(sink.sink.endpoint)],
    )
    with start_gateway(content) as running:
        yield running


@pytest.mark.parametrize("case", _HTTP_2)
def test_a_request_over_http_2(gateway: RunningGateway, spans_at_sink: SinkReader, case: str) -> None:
    """Kong's record of a failed one says GET whatever its method; the spans have the client's."""
    request, caller = _HTTP_2[case], Caller.new()

    async def run() -> int:
        async with Http2Client(gateway.http2_url) as client:
            lines = [caller.header(), *request.headers]
            head, _ = await client.fetch(request.target, *lines, method=request.method, body=request.body)
            return int(head.get(":status") or 0)

    assert asyncio.run(run()) == request.status
    _assert_spans(spans_at_sink, caller, request)


@pytest.mark.parametrize("case", _HTTP_1)
def test_a_request_that_does_not_take_the_usual_way(
    gateway: RunningGateway, spans_at_sink: SinkReader, case: str
) -> None:
    """It has one span of its own in the caller's trace, and one for each try that was made."""
    request, caller = _HTTP_1[case], Caller.new()
    lines = [caller.header(), *request.headers]

    assert fetch(gateway.url, request.target, lines, request.method, body=request.body).status == request.status
    _assert_spans(spans_at_sink, caller, request)


@pytest.mark.parametrize("case", _UNREAD)
def test_a_request_that_nginx_could_not_read(gateway: RunningGateway, spans_at_sink: SinkReader, case: str) -> None:
    """Its headers are unknown, so it has a trace of its own; no bytes that are no method are in its span."""
    data, status, name = _UNREAD[case]
    seen = {span.span_id for span in spans_at_sink.spans()}
    assert b"HTTP/1.1 %d " % status in _send(gateway, data)

    (server,) = wait_for(
        lambda: [span for span in spans_at_sink.spans() if span.span_id not in seen], 20, "the span of the request"
    )
    assert (server.name, server.kind, server.parent_span_id) == (name, SERVER, "")
    assert server.attributes["http.response.status_code"] == status
    assert server.attributes["http.request.method"] == (name if name != "HTTP" else "_OTHER")
    assert {"http.request.method_original", "server.address", "url.path"}.isdisjoint(server.attributes)


def test_a_request_without_a_host(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """HTTP/1.0 allows it, HTTP/1.1 does not; the name of Kong's nginx server is no address."""
    for version, status in (("1.0", 404), ("1.1", 400)):
        caller = Caller.new()
        line = ": ".join(caller.header())
        answer = _send(gateway, f"GET /nowhere HTTP/{version}\r\n{line}\r\n\r\n".encode())
        (server,) = wait_for_trace(spans_at_sink, caller.trace_id, 1)

        assert b"HTTP/1.1 %d " % status in answer
        assert (server.name, server.parent_span_id) == ("GET", caller.span_id)
        assert server.attributes["http.response.status_code"] == status
        assert "server.address" not in server.attributes


def test_a_traceparent_behind_many_headers(gateway: RunningGateway, spans_at_sink: SinkReader) -> None:
    """Kong reads a hundred headers unless told otherwise; the trace of the hundred and fifty-first is continued."""
    caller = Caller.new()
    many = [(f"x-{number}", "y") for number in range(150)]

    assert gateway.get("/api/x", [*many, caller.header()]).status == 200
    server, _ = wait_for_trace(spans_at_sink, caller.trace_id, 2)
    assert server.parent_span_id == caller.span_id


def test_an_entry_of_a_service_does_not_see_what_ends_before_it(
    start_gateway: StartGateway, upstream: RecordingUpstream, sink: ThreadedOtlpSink, spans_at_sink: SinkReader
) -> None:
    """A 426 is sent before Kong has a service: only a global entry has a span for it."""
    https = {"name": "https", "paths": ["/https"], "protocols": ["https"]}
    plugins = [tracing(sink.sink.endpoint)]
    content = declaration(
        {"name": "https", "url": upstream.url, "routes": [https], "plugins": plugins},
        service("api", upstream.url, plugins),
    )
    refused, answered = Caller.new(), Caller.new()
    with start_gateway(content) as gateway:
        assert gateway.get("/https/x", [refused.header()]).status == 426
        assert gateway.get("/api/x", [answered.header()]).status == 200
        wait_for_trace(spans_at_sink, answered.trace_id, 2)

    assert trace(spans_at_sink, refused.trace_id) == []


def _send(gateway: RunningGateway, data: bytes) -> bytes:
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname or HOST, address.port or 80), 20) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as answer:
            return answer.readline()


def _assert_spans(source: SinkReader, caller: Caller, request: Request) -> None:
    server, *tries = wait_for_trace(source, caller.trace_id, 1 + request.tries)
    assert (server.name, server.kind, server.parent_span_id) == (request.name, SERVER, caller.span_id)
    assert _facts(server) == (request.method, request.status)
    assert [(span.name, span.kind, span.parent_span_id) for span in tries] == [
        (request.method, CLIENT, server.span_id) for _ in range(request.tries)
    ]
    assert {span.attributes["http.request.method"] for span in tries} <= {request.method}
    assert len({span.span_id for span in (server, *tries)}) == 1 + request.tries


def _facts(span: SeenSpan) -> tuple[object, object]:
    return span.attributes["http.request.method"], span.attributes["http.response.status_code"]

"""Kong's own plugins beside ours: the client and the upstream see the same as without it, and the spans are right.

Each plugin is configured twice, on a service with tracing and on one without; both get the same requests.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from e2e.client import Answer, Caller, fetch
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import RunningGateway
from e2e.ports import HOST
from e2e.spans import CLIENT, SERVER, SeenSpan, SinkReader, wait_for_trace
from e2e.upstreams import RecordingUpstream, SeenRequest
from otlp_tracing_devtools.fake_collector import ThreadedOtlpSink

_PROTO = """syntax = "proto3";
import "google/api/annotations.proto";
package hello;
service Hello { rpc Say (Text) returns (Text) { option (google.api.http) = {
  get: "/hello/{name}" additional_bindings { post: "/hello" body: "*" } }; } }
message Text { string name = 1; }
"""
_SECRET = "a-secret-of-a-test-with-32-bytes"
_VARY = re.compile(
    rb"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(#\d+)?"
)  # Kong's ids in bodies and headers
_OF_A_REQUEST = {
    "date",
    "x-kong-request-id",
    "x-kong-upstream-latency",
    "x-kong-proxy-latency",
    "x-kong-response-latency",
}
_OURS = {"traceparent", "tracestate"}


def _token() -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, {"iss": "anns-key"})]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.new(_SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@dataclass(frozen=True)
class Request:
    """A request, the status of its answer, and where the answer comes from."""

    status: int
    source: str
    headers: Sequence[tuple[str, str]] = ()
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True)
class Case:
    """Plugins of a service, and requests that show them at work, in order."""

    plugins: Sequence[Mapping[str, Any]]
    requests: Sequence[Request]
    shows: str = ""
    """A header that the plugin puts on the last answer."""


def _plugin(name: str, **config: Any) -> Mapping[str, Any]:
    return {"name": name, "config": config}


_KEY = ("apikey", "anns-key")
_CASES = {
    "proxy-cache": Case(
        [_plugin("proxy-cache", strategy="memory", content_type=["text/plain"])],
        [Request(200, "upstream"), Request(200, "kong")],
        shows="x-cache-status",
    ),
    "request-termination": Case(
        [_plugin("request-termination", status_code=418, message="tea")], [Request(418, "kong")]
    ),
    "response-transformer": Case(
        [_plugin("response-transformer", add={"headers": ["x-added:1"]}, remove={"headers": ["via"]})],
        [Request(200, "upstream")],
        shows="x-added",
    ),
    "cors": Case(
        [_plugin("cors", origins=["https://a.example"], credentials=True)],
        [
            Request(200, "upstream", [("Origin", "https://b.example")]),
            Request(200, "upstream", [("Origin", "https://a.example")]),
            Request(
                200,
                "kong",
                [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")],
                method="OPTIONS",
            ),
        ],
        shows="access-control-allow-origin",
    ),
    "acl": Case(
        [_plugin("key-auth"), _plugin("acl", allow=["friends"])],
        [
            Request(401, "kong"),
            Request(403, "kong", [("apikey", "bobs-key")]),
            Request(200, "upstream", [_KEY]),
        ],
    ),
    "jwt": Case(
        [_plugin("jwt")],
        [
            Request(401, "kong"),
            Request(401, "kong", [("Authorization", f"Bearer {_token()}x")]),
            Request(200, "upstream", [("Authorization", f"Bearer {_token()}")]),
        ],
    ),
    "oauth2": Case(
        [_plugin("oauth2", enable_client_credentials=True, global_credentials=True)],
        [
            Request(401, "kong"),
            Request(401, "kong", [("Authorization", "Bearer unknown")]),
            Request(200, "upstream", [("Authorization", "Bearer anns-access-token")]),
        ],
    ),
    "ip-restriction": Case([_plugin("ip-restriction", deny=[f"{HOST}/8"])], [Request(403, "kong")]),
    "request-size-limiting": Case(
        [_plugin("request-size-limiting", allowed_payload_size=10, size_unit="bytes")],
        [
            Request(201, "upstream", method="POST", body=b"small"),
            Request(413, "kong", method="POST", body=b"not so small"),
            Request(417, "kong", [("Expect", "100-continue")], method="POST", body=b"not so small"),
        ],
    ),
    "bot-detection": Case(
        [_plugin("bot-detection", deny=["evil"])],
        [Request(200, "upstream", [("User-Agent", "good")]), Request(403, "kong", [("User-Agent", "evil")])],
    ),
    "correlation-id": Case(
        [_plugin("correlation-id", echo_downstream=True)], [Request(200, "upstream")], shows="kong-request-id"
    ),
}


class _Hello(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    """The service hello.Hello, without generated code: it answers with the message it got."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        called = details.method == "/hello.Hello/Say"
        return grpc.unary_unary_rpc_method_handler(lambda message, _context: message) if called else None


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Any]]:
    """Give a gRPC service that clients reach over HTTP."""
    proto = tmp_path_factory.mktemp("proto") / "hello.proto"
    proto.write_text(_PROTO)
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Hello()])
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield {"url": f"grpc://{HOST}:{port}", "plugins": [_plugin("grpc-gateway", proto=str(proto))]}
    server.stop(0).wait()


@pytest.fixture(scope="module")
def gateway(
    start_gateway: StartGateway,
    on_kong: bool,
    upstream: RecordingUpstream,
    sink: ThreadedOtlpSink,
    translated: Mapping[str, Any],
) -> Iterator[RunningGateway]:
    if not on_kong:
        pytest.skip("the stand-in does not have these plugins; run it with --kong")
    services = []
    for name, ours in (("plain", []), ("traced", [tracing(sink.sink.endpoint)])):
        services += [service(f"{name}-{case}", upstream.url, [*_CASES[case].plugins, *ours]) for case in _CASES]
        route = {"name": f"{name}-hello", "paths": ["/hello"], "hosts": [f"{name}.example"], "strip_path": False}
        services.append(
            {"name": f"{name}-hello", **translated, "routes": [route], "plugins": [*translated["plugins"], *ours]}
        )
    ann = {
        "username": "ann",
        "keyauth_credentials": [{"key": "anns-key"}],
        "acls": [{"group": "friends"}],
        "jwt_secrets": [{"key": "anns-key", "secret": _SECRET}],
        "oauth2_credentials": [{
            "name": "anns", "client_id": "ann", "client_secret": "of-ann", "redirect_uris": ["https://a.example"],
            "oauth2_tokens": [{"access_token": "anns-access-token", "expires_in": 0}],
        }],
    }  # fmt: skip
    bob = {"username": "bob", "keyauth_credentials": [{"key": "bobs-key"}], "acls": [{"group": "foes"}]}
    with start_gateway(declaration(*services, consumers=[ann, bob])) as running:
        yield running


@pytest.mark.parametrize("name", _CASES)
def test_a_plugin_works_as_without_us(
    gateway: RunningGateway, upstream: RecordingUpstream, spans_at_sink: SinkReader, name: str
) -> None:
    """Answers and upstream requests are the same but for the trace headers; the spans have the source of the answer."""
    case, marker = _CASES[name], Caller.new().span_id
    for request in case.requests:
        caller = Caller.new()
        before = len(upstream.requests)
        plain = _ask(gateway, f"/plain-{name}/{marker}", request)
        between = len(upstream.requests)
        traced = _ask(gateway, f"/traced-{name}/{marker}", request, caller.header())
        server, *tries = wait_for_trace(spans_at_sink, caller.trace_id, 2 if request.source == "upstream" else 1)

        assert plain.status == request.status
        assert _comparable(traced) == _comparable(plain)
        assert [*map(_sent, upstream.requests[before:between])] == [*map(_sent, upstream.requests[between:])]
        _assert_spans(server, tries, caller, request, f"/traced-{name}")
    assert not case.shows or case.shows in traced.headers


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b'{"name": "ann"}')])
def test_grpc_gateway_works_as_without_us(
    gateway: RunningGateway, spans_at_sink: SinkReader, method: str, body: bytes
) -> None:
    """The client makes a request and the upstream gets a call: each span describes its own side."""
    caller = Caller.new()
    # Kong 3.8 and 3.9 do not send TE themselves, and gRPC's Python server refuses a call without it.
    lines, target = [("TE", "trailers")], "/hello" if body else "/hello/ann"
    plain = fetch(gateway.url, target, [("Host", "plain.example"), *lines], method, body=body)
    traced = fetch(gateway.url, target, [("Host", "traced.example"), *lines, caller.header()], method, body=body)
    server, call = wait_for_trace(spans_at_sink, caller.trace_id, 2)

    assert (plain.status, json.loads(plain.text())) == (200, {"name": "ann"})
    assert _comparable(traced) == _comparable(plain)
    assert (server.name, server.kind, server.parent_span_id) == (f"{method} /hello", SERVER, caller.span_id)
    assert (call.name, call.kind, call.parent_span_id) == ("POST", CLIENT, server.span_id)
    assert server.attributes["http.response.status_code"] == 200
    assert "rpc.method" not in server.attributes


def _ask(gateway: RunningGateway, target: str, request: Request, *more: tuple[str, str]) -> Answer:
    return fetch(gateway.url, target, [*request.headers, *more], request.method, body=request.body)


def _comparable(answer: Answer) -> tuple[int, Mapping[str, str], bytes]:
    headers = {name: _settled(value.encode()).decode() for name, value in answer.headers.items()}
    kept = {name: value for name, value in headers.items() if name not in _OF_A_REQUEST}
    return answer.status, kept, _settled(answer.body)


def _sent(seen: SeenRequest) -> tuple[str, str, Sequence[tuple[str, str]]]:
    lines = [
        (name, _settled(value.encode()).decode().replace("/traced-", "/plain-"))
        for name, value in seen.headers
        if name not in _OURS | _OF_A_REQUEST
    ]
    return seen.method, seen.target, sorted(lines)


def _settled(data: bytes) -> bytes:
    return _VARY.sub(b"ID", data)


def _assert_spans(server: SeenSpan, tries: Sequence[SeenSpan], caller: Caller, request: Request, route: str) -> None:
    assert (server.name, server.kind, server.parent_span_id) == (f"{request.method} {route}", SERVER, caller.span_id)
    assert server.attributes["http.response.status_code"] == request.status
    assert server.attributes["kong.response.source"] == request.source
    assert not server.is_error
    expected = [(request.method, CLIENT, server.span_id)] if request.source == "upstream" else []
    assert [(span.name, span.kind, span.parent_span_id) for span in tries] == expected

"""Promises of sidecar/export/http.py, against a scripted server."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.http import HttpTransport
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.export.status_codes import TOO_LARGE


class Collector:
    """Keeps requests, and answers with `response`."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.response: dict[str, Any] = {"status": 200}

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.path, headers, await request.read()))
        return web.Response(**self.response)


def played(scene: Callable[[Collector, HttpTransport], Awaitable[None]], path: str = "", **config: Any) -> Collector:
    collector = Collector()

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/{tail:.*}", collector.take)
        async with TestServer(app) as server:
            endpoint = f"http://{server.host}:{server.port}{path}"
            settings = Settings.from_config({"endpoint": endpoint, "protocol": "http/protobuf", **config})
            transport = HttpTransport(Destination.from_settings(settings, {}))
            try:
                await scene(collector, transport)
            finally:
                await transport.close()

    asyncio.run(run())
    return collector


async def _send(_: Collector, transport: HttpTransport) -> None:
    assert await transport.export(b"a request") == ExportResult(Action.SUCCESS)


@pytest.mark.parametrize(("path", "expected"), [("", "/v1/traces"), ("/", "/v1/traces"), ("/otlp/x", "/otlp/x")])
def test_a_request_goes_where_it_belongs(path: str, expected: str) -> None:
    """To /v1/traces unless the endpoint has a path, with the configured headers, compressed."""
    collector = played(_send, path, headers=["x-api-key: k", "X-Two: a", "x-two: b"], compression="gzip")

    ((asked, headers, body),) = collector.requests
    assert asked == expected
    assert body == b"a request"  # aiohttp has decompressed it
    assert headers["content-type"] == "application/x-protobuf"
    assert (headers["x-api-key"], headers["content-encoding"]) == ("k", "gzip")


def test_compression_can_be_off() -> None:
    """Then the body is the message, and no header says otherwise."""
    ((_, headers, body),) = played(_send, compression="none").requests

    assert body == b"a request"
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (
            {
                "status": 200,
                "body": ExportTraceServiceResponse(
                    partial_success=ExportTracePartialSuccess(rejected_spans=3)
                ).SerializeToString(),
            },
            ExportResult(Action.SUCCESS, rejected=3),
        ),
        ({"status": 200, "text": "", "content_type": "text/plain"}, ExportResult(Action.SUCCESS)),
        ({"status": 204}, ExportResult(Action.SUCCESS)),
        (
            {
                "status": 200,
                "text": '{"partialSuccess": {"rejectedSpans": "5", "errorMessage": "too old"}, "more": 1}',
                "content_type": "application/json",
            },
            ExportResult(Action.SUCCESS, "too old", rejected=5),
        ),
        ({"status": 200, "text": "{}", "content_type": "application/json"}, ExportResult(Action.SUCCESS)),
        ({"status": 503, "headers": {"Retry-After": "7"}}, ExportResult(Action.RETRY, "HTTP 503: ", delay_s=7.0)),
        ({"status": 429, "headers": {"Retry-After": "soon"}}, ExportResult(Action.RETRY, "HTTP 429: ")),
        ({"status": 502}, ExportResult(Action.RETRY, "HTTP 502: ")),
        ({"status": 504}, ExportResult(Action.RETRY, "HTTP 504: ")),
        ({"status": 401, "text": "no\x1b key"}, ExportResult(Action.HOLD_UNAUTHORIZED, "HTTP 401: no  key")),
        ({"status": 403}, ExportResult(Action.HOLD_UNAUTHORIZED, "HTTP 403: ")),
        (
            {
                "status": 400,
                "body": Status(code=3, message="bad span").SerializeToString(),
                "content_type": "application/x-protobuf",
            },
            ExportResult(Action.SPLIT, "HTTP 400: bad span"),
        ),
        ({"status": 413}, ExportResult(Action.SPLIT, "HTTP 413: ", remedy=TOO_LARGE)),
        ({"status": 404, "text": "x" * 5000}, ExportResult(Action.HOLD_NOT_OTLP, "HTTP 404: " + "x" * 200)),
        ({"status": 500}, ExportResult(Action.DROP, "HTTP 500: ")),
        ({"status": 304}, ExportResult(Action.HOLD_NOT_OTLP, "HTTP 304: ")),
        (
            {
                "status": 200,
                "body": ExportTraceServiceResponse(
                    partial_success=ExportTracePartialSuccess(rejected_spans=2)
                ).SerializeToString(),
                "content_type": "application/protobuf",
            },
            ExportResult(Action.SUCCESS, rejected=2),
        ),
    ],
)
def test_each_answer_means_what_otlp_says(response: dict[str, Any], answer: ExportResult) -> None:
    """Status, Retry-After and body, as far as they are readable; a redirection is not followed."""

    async def scene(collector: Collector, transport: HttpTransport) -> None:
        collector.response = response
        status = str(response["status"])
        error_type = "" if status.startswith("2") else status
        assert await transport.export(b"") == dataclasses.replace(answer, error_type=error_type)
        assert len(collector.requests) == 1

    played(scene)


@pytest.mark.parametrize(
    "response",
    [
        {"status": 200, "text": "<html>", "content_type": "text/html"},
        {"status": 202, "body": b"thank you"},
        {"status": 200, "body": b"\xff\xff", "content_type": "application/x-protobuf"},
        {"status": 200, "text": "[]", "content_type": "application/json"},
        {"status": 200, "text": "no JSON", "content_type": "application/json"},
        {"status": 200, "text": '{"partialSuccess": {"rejectedSpans": "all"}}', "content_type": "application/json"},
        {"status": 200, "body": b"\xff", "content_type": "application/json"},
        {"status": 200, "text": '{"error": "no such tenant"}', "content_type": "application/json"},
        {"status": 200, "text": '{"errors": [{"code": 7}]}', "content_type": "application/json"},
        {"status": 200, "text": '{"success" : false}', "content_type": "application/json"},
    ],
)
def test_a_success_without_an_otlp_response_is_held(response: dict[str, Any]) -> None:
    """A web page or a login portal answers 200 too, and has not taken the spans."""

    async def scene(collector: Collector, transport: HttpTransport) -> None:
        collector.response = response
        result = await transport.export(b"")
        assert result.action is Action.HOLD_NOT_OTLP
        assert "not an OTLP response" in result.reason

    played(scene)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/v1/traces/", "/v1/traces/"),
        ("https://u:s3cr3t@c.example/v1/traces?key=s3cr3t#s3cr3t", "https://c.example/v1/traces"),
        ("//[", "an address that is no URL"),
    ],
)
def test_a_redirection_is_not_followed_and_its_target_is_said(location: str, target: str) -> None:
    """Without anything in it that may be a secret."""

    async def scene(collector: Collector, transport: HttpTransport) -> None:
        collector.response = {"status": 308, "headers": {"Location": location}}
        result = await transport.export(b"")
        assert (result.action, result.error_type) == (Action.HOLD_NOT_OTLP, "308")
        assert result.reason.startswith("HTTP 308: it redirects to ")
        assert result.reason.endswith(target)
        assert "write it in `endpoint`" in result.remedy
        assert "s3cr3t" not in result.reason
        assert len(collector.requests) == 1

    played(scene)


@pytest.mark.parametrize(
    ("text", "content_type", "remedy"),
    [
        ("<title>400 The plain HTTP request was sent to HTTPS port</title>", "text/html", "write https://"),
        ("Client sent an HTTP request to an HTTPS server.\n", "text/plain", "write https://"),
        ("Bad Request\nThis combination of host and port requires TLS.\n", "text/plain", "write https://"),
        ("<html>Bad Request</html>", "text/html", ""),
    ],
)
def test_a_web_servers_bad_request_is_held(text: str, content_type: str, remedy: str) -> None:
    """It is about the request and not about a span: for example plain HTTP to a port with TLS."""

    async def scene(collector: Collector, transport: HttpTransport) -> None:
        collector.response = {"status": 400, "text": text, "content_type": content_type}
        result = await transport.export(b"")
        assert result.action is Action.HOLD_NOT_OTLP
        assert remedy in result.remedy

    played(scene)


def test_a_response_that_cannot_be_decoded_is_held() -> None:
    """Sent again it would be answered in the same way, and the spans may be there twice."""

    async def scene(collector: Collector, transport: HttpTransport) -> None:
        collector.response = {"status": 200, "body": b"no gzip", "headers": {"Content-Encoding": "gzip"}}
        result = await transport.export(b"")
        assert result.action is Action.HOLD_NOT_OTLP
        assert result.reason == "the response has a content encoding that cannot be decoded"

    played(scene)


def test_headers_of_the_configuration_do_not_describe_the_body() -> None:
    """The body is made here; a length that is not its own would break every request."""
    headers = ["content-length: 5", "Transfer-Encoding: chunked", "content-encoding: br", "content-type: text/html"]
    ((_, sent, body),) = played(_send, headers=headers, compression="gzip").requests

    assert body == b"a request"
    assert (sent["content-type"], sent["content-encoding"]) == ("application/x-protobuf", "gzip")


@pytest.mark.parametrize(
    ("greeting", "remedy"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "write https://"),
        (b"\x00\x00\x18\x04" + bytes(29), "protocol: grpc"),
        (b"220 smtp ESMTP\r\n", ""),
    ],
)
def test_a_port_that_does_not_speak_http_is_held(greeting: bytes, remedy: str) -> None:
    """A gRPC port is recognised by its first frame, and the remedy names the other protocol."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        writer.close()

    async def run() -> ExportResult:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = Settings.from_config({"endpoint": endpoint, "protocol": "http/protobuf"})
        transport = HttpTransport(Destination.from_settings(settings, {}))
        async with server:
            result = await transport.export(b"")
            await transport.close()
            return result

    result = asyncio.run(run())
    assert result.action is Action.HOLD_NOT_OTLP
    assert remedy in result.remedy


def test_tls_to_a_port_without_it_is_held() -> None:
    """The remedy is the scheme of the endpoint."""

    async def run() -> ExportResult:
        async with TestServer(web.Application()) as server:
            endpoint = f"https://{server.host}:{server.port}"
            settings = Settings.from_config({"endpoint": endpoint, "protocol": "http/protobuf"})
            transport = HttpTransport(Destination.from_settings(settings, {}))
            result = await transport.export(b"")
            await transport.close()
            return result

    result = asyncio.run(run())
    assert result.action is Action.HOLD_NOT_OTLP
    assert "http://" in result.remedy


def test_a_failed_connection_is_a_result() -> None:
    """An endpoint that cannot be connected to, resolved or verified is tried again."""

    async def run(endpoint: str) -> ExportResult:
        settings = Settings.from_config({"endpoint": endpoint, "protocol": "http/protobuf"})
        transport = HttpTransport(Destination.from_settings(settings, {}))
        try:
            return await transport.export(b"")
        finally:
            await transport.close()

    for endpoint in ("http://127.0.0.1:1", "http://nowhere.invalid:4318", "https://127.0.0.1:1"):
        answer = asyncio.run(run(endpoint))
        assert answer.action is Action.RETRY
        assert answer.reason

"""Requests and answers through the gateway: headers, retries, timeouts, aborts, streams; log records of each."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from otlp_tracing_devtools.fake_kong.http1 import encode_head
from scripted_plugin_server import ScriptedPlugin
from scripted_upstream import ScriptedUpstream, UpstreamCall, simple_answer


def _logging_plugin() -> ScriptedPlugin:
    return ScriptedPlugin({"access": [], "log": [("kong.log.serialize", [])]})


async def _record(running: Any, plugin: ScriptedPlugin) -> dict[str, Any]:
    await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
    record: dict[str, Any] = json.loads(plugin.results["log"].pop()[1])
    return record


def _fetch_and_log(bench: Any, fetch: Any, *request: Any, respond: Any = None, **options: Any) -> tuple[Any, Any, Any]:
    """Make one request; give the client's answer, the log record, and the upstream's request."""
    plugin = _logging_plugin()

    async def run() -> tuple[Any, Any, Any]:
        async with bench(plugin, **options) as running:
            running.upstream.respond = respond or running.upstream.respond
            answered = await fetch(running.gateway.url, *request)
            return answered, await _record(running, plugin), running.upstream.calls

    return asyncio.run(run())


def test_forwarding_headers_reach_the_upstream_and_not_the_record(bench: Any, fetch: Any) -> None:
    """The upstream sees the client and the way to it; hop-by-hop headers are removed."""
    lines = b"X-Forwarded-For: 10.0.0.9\r\nTE: gzip\r\nProxy-Connection: close\r\nKeep-Alive: 5\r\n"
    answered, record, calls = _fetch_and_log(bench, fetch, "/api/a%20b?x=%2F", lines)
    seen = calls[0].headers

    assert calls[0].target == "/a%20b?x=%2F"
    assert seen.get("x-forwarded-for") == "10.0.0.9, 127.0.0.1"
    assert (seen.get("x-forwarded-prefix"), seen.get("x-forwarded-path")) == ("/api", "/api/a%20b")
    assert seen.get("x-kong-request-id") == answered.headers.get("x-kong-request-id") == record["request"]["id"]
    assert (seen.get("te"), seen.get("keep-alive"), seen.get("proxy-connection")) == (None, None, None)
    assert (
        seen.get(
            "host",
        )
        == f"127.0.0.1:{record['service']['port']}"
    )
    assert "x-forwarded-prefix" not in record["request"]["headers"]
    assert answered.headers.get("via") == "1.1 kong/3.9.1"


def test_a_body_goes_through_and_counts(bench: Any, fetch: Any) -> None:
    """A posted body reaches the upstream whole; the record has the request's size on the wire."""
    _, record, calls = _fetch_and_log(bench, fetch, "/api/x", b"X: y\r\n", "POST", b"z" * 100_000)

    assert calls[0].body == b"z" * 100_000
    assert record["request"]["size"] > 100_000
    assert record["upstream_status"] == "201"


def test_a_streamed_answer_arrives_in_pieces(bench: Any, fetch: Any) -> None:
    """Chunks pass as they come, and the record says chunked."""

    async def respond(_call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_head("HTTP/1.1 200 OK", [("Transfer-Encoding", "chunked")]))
        writer.write(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")

    answered, record, _ = _fetch_and_log(bench, fetch, "/api/x", respond=respond)

    assert answered.body == b"onetwo"
    assert record["response"]["headers"]["transfer-encoding"] == "chunked"


def test_a_read_timeout_is_a_504(bench: Any, fetch: Any) -> None:
    """An upstream that does not answer gives 504, one failed try, and Kong's message."""

    async def respond(_call: UpstreamCall, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    service = {"read_timeout": 100, "retries": 0}
    answered, record, _ = _fetch_and_log(bench, fetch, "/api/x", respond=respond, service=service)

    assert answered.status == 504
    assert json.loads(answered.body)["message"] == "The upstream server is timing out"
    assert (record["upstream_status"], record["source"]) == ("504", "kong")
    assert [(one["state"], one["code"]) for one in record["tries"]] == [("failed", 504)]
    assert record["latencies"]["proxy"] >= 100


@pytest.mark.parametrize(("method", "tries"), [("GET", 2), ("POST", 1)])
def test_what_may_have_been_done_is_not_done_again(bench: Any, fetch: Any, method: str, tries: int) -> None:
    """After the request was sent, only an idempotent one is sent to the next target."""

    async def respond(_call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    answered, record, calls = _fetch_and_log(
        bench, fetch, "/api/x", b"", method, b"", respond=respond, service={"retries": 1}
    )

    assert (answered.status, len(calls), len(record["tries"])) == (502, tries, tries)
    assert record["upstream_status"] == ", ".join(["502"] * tries)


def test_a_client_that_leaves_is_a_499(bench: Any) -> None:
    """The upstream is asked no longer; the record has status 499 and "-"."""
    plugin = _logging_plugin()

    async def run() -> dict[str, Any]:
        arrived = asyncio.Event()

        async def respond(_call: UpstreamCall, _writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await asyncio.Event().wait()

        async with bench(plugin) as running:
            running.upstream.respond = respond
            host, _, port = running.gateway.url.removeprefix("http://").rpartition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
            await arrived.wait()
            writer.close()
            return await _record(running, plugin)

    record = asyncio.run(run())

    assert record["response"] == {"status": 499, "headers": {"connection": "keep-alive"}, "size": 0}
    assert (record["upstream_status"], record["source"]) == ("-", "upstream")


def test_two_requests_share_a_client_connection(bench: Any) -> None:
    """Keep-alive works, also after an unread body."""
    plugin = ScriptedPlugin({"access": [("kong.response.exit", [403])], "log": []})
    request = b"POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"

    async def run() -> list[bytes]:
        async with bench(plugin) as running:
            host, _, port = running.gateway.url.removeprefix("http://").rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            heads = []
            for _ in range(2):
                writer.write(request)
                heads.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            writer.close()
            return heads

    assert asyncio.run(run()) == [b"HTTP/1.1 403 Forbidden"] * 2


@pytest.mark.parametrize("request_bytes", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nbad\r\n\r\n", b"\x00" * 70_000])
def test_a_broken_request_ends_its_connection_only(bench: Any, fetch: Any, request_bytes: bytes) -> None:
    """The gateway answers 400 or closes, and serves the next client."""

    async def run() -> int:
        async with bench(_logging_plugin()) as running:
            host, _, port = running.gateway.url.removeprefix("http://").rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request_bytes)
            await asyncio.gather(reader.read(), return_exceptions=True)
            writer.close()
            status: int = (await fetch(running.gateway.url, "/api/x")).status
        return status

    assert asyncio.run(run()) == 200


def test_a_websocket_is_relayed_and_logged_once_at_its_end(bench: Any) -> None:
    """After 101 bytes pass both ways; the record has status 101."""
    plugin = _logging_plugin()

    async def respond(_call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_head("HTTP/1.1 101 Switching Protocols", [("Upgrade", "websocket")]) + b"hello")

    async def run() -> tuple[bytes, dict[str, Any]]:
        async with bench(plugin) as running:
            running.upstream.respond = respond
            host, _, port = running.gateway.url.removeprefix("http://").rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /api/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            data = await reader.readexactly(5)
            writer.close()
            return data, await _record(running, plugin)

    data, record = asyncio.run(run())

    assert data == b"hello"
    assert (record["response"]["status"], record["upstream_status"]) == (101, "101")


def test_targets_take_turns_and_a_retry_goes_to_the_next(bench: Any, fetch: Any) -> None:
    """Two targets share the requests; one that refuses costs a try."""

    async def run() -> tuple[list[int], list[int]]:
        async with ScriptedUpstream(simple_answer(204)) as first, ScriptedUpstream(simple_answer(204)) as second:
            targets = [{"target": f"127.0.0.1:{one.port}"} for one in (first, second)]
            extra = {"upstreams": [{"name": "pair", "targets": targets}]}
            plugin = _logging_plugin()
            async with bench(plugin, extra=extra, service={"host": "pair", "retries": 1}) as running:
                statuses = [(await fetch(running.gateway.url, "/api/x")).status for _ in range(4)]
            return statuses, [len(first.calls), len(second.calls)]

    assert asyncio.run(run()) == ([204] * 4, [2, 2])


def test_metrics_have_kongs_names(bench: Any, fetch: Any) -> None:
    """The status listener serves the request counter with Kong 3.9's labels."""
    prometheus = {"name": "prometheus", "config": {"status_code_metrics": True, "latency_metrics": True}}
    plugins = [{"name": "scripted"}, prometheus]

    async def run() -> str:
        plugin = _logging_plugin()
        options: dict[str, Any] = {"extra": {"plugins": plugins}, "status_listen": ("127.0.0.1", 0)}
        async with bench(plugin, **options) as running:
            await fetch(running.gateway.url, "/api/x")
            await _record(running, plugin)
            text: bytes = (await fetch(running.gateway.status_url, "/metrics")).body
        return text.decode()

    metrics = asyncio.run(run())
    labels = 'service="api",route="r-api",code="200",source="service",workspace="default",consumer=""'

    assert f"kong_http_requests_total{{{labels}}} 1" in metrics
    assert 'kong_request_latency_ms_count{service="api",route="r-api",workspace="default"} 1' in metrics


@pytest.mark.parametrize(
    ("service", "extra", "status", "message", "tries"),
    [
        ({"host": "e"}, {"upstreams": [{"name": "e"}]}, 503, "failure to get a peer from the ring-balancer", []),
        ({"host": "x" * 64 + ".invalid"}, {}, 503, "name resolution failed", []),
        ({"enabled": False}, {}, 404, "no Route matched with those values", None),
        ({"routes": [{"paths": ["/api"], "protocols": ["https"]}]}, {}, 426, "Please use HTTPS protocol", []),
        ({"routes": []}, {"routes": [{"paths": ["/api"]}]}, 503, "no Service found with those values", []),
    ],
)  # fmt: skip
def test_what_cannot_be_proxied_is_answered_and_logged(
    bench: Any, fetch: Any, *, service: Any, extra: Any, status: int, message: str, tries: Any
) -> None:
    """Kong's own answer says why; global plugins log it; `tries` is empty, or not there without a route."""
    answered, record, calls = _fetch_and_log(bench, fetch, "/api/x", service=service, extra=extra)

    assert (answered.status, json.loads(answered.body)["message"]) == (status, message)
    assert (record["source"], record["latencies"]["proxy"], record.get("tries")) == ("kong", -1, tries)
    assert calls == []

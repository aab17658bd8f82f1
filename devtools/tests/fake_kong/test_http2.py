"""HTTP/2 from a client: requests like any other, many at once, and whatever a hostile client sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import h2.connection
import pytest
from h2.errors import ErrorCodes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checkout import TRANSCRIPTS
from http2_client import Http2Client, connect
from log_records import shape, stable, without_zipkin
from otlp_tracing_devtools.fake_kong import StandInGateway, parse_declaration
from otlp_tracing_devtools.fake_kong.http1 import MessageError, encode_head
from otlp_tracing_devtools.fake_kong.http2 import MAX_STREAMS
from scripted_plugin_server import ScriptedPlugin
from scripted_upstream import UpstreamCall

GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _plugin() -> ScriptedPlugin:
    return ScriptedPlugin({"access": [], "log": [("kong.log.serialize", [])]})


def _run(bench: Any, plugin: ScriptedPlugin, test: Callable[[Http2Client, Any], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        async with bench(plugin) as running, Http2Client(running.gateway.url) as client:
            await asyncio.wait_for(test(client, running), 30)

    asyncio.run(run())


def test_a_request_is_like_any_other(bench: Any) -> None:
    """Upstream, plugin and log record see the same as over HTTP/1.1, as in transcript 20."""
    plugin = ScriptedPlugin({"access": [("kong.request.get_http_version", [])], "log": [("kong.log.serialize", [])]})

    async def test(client: Http2Client, running: Any) -> None:
        head, body = await client.fetch("/api/x?a=1", ("x-mine", "h\udcfcllo"), method="POST", body=b"z" * 100_000)
        await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
        record = json.loads(plugin.results["log"][0][1].decode("latin-1"))
        (call,) = running.upstream.calls

        assert (head.get(":status"), len(body) > 0) == ("201", True)
        assert (call.method, call.target, len(call.body)) == ("POST", "/x?a=1", 100_000)
        assert call.headers.get("x-mine") == "h\udcfcllo"
        assert call.headers.get("via") == "2 kong/3.9.1"
        assert plugin.results["access"] == [("plugin.Step", 2)]
        assert record["request"]["headers"]["host"] == client.url.removeprefix("http://")
        assert "transfer-encoding" not in record["response"]["headers"]
        assert record["request"]["size"] > 100_000
        assert (record["response"]["status"], record["upstream_status"]) == (201, "201")

    _run(bench, plugin, test)


def test_the_log_record_is_the_recorded_one(bench: Any) -> None:
    """Same fields of the same types as in transcript 20, and the same values where none is a time or an address."""
    recorded = without_zipkin(json.loads((TRANSCRIPTS / "20-http2-h2c.serialize.json").read_text()))
    setting = ("kong.service.request.set_header", ["x-probe", "hello-from-python/on-route"])
    plugin = ScriptedPlugin({"access": [setting], "log": [("kong.log.serialize", [])]})
    service = {"name": "echo", "routes": [{"name": "r-echo", "paths": ["/echo"]}]}

    async def run() -> dict[str, Any]:
        async with bench(plugin, service=service) as running, Http2Client(running.gateway.url) as client:
            await client.fetch("/echo/h2", ("user-agent", "curl/7.88.1"), ("accept", "*/*"), ("traceparent", "00"))
            await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
            record: dict[str, Any] = json.loads(plugin.results["log"][0][1])
            return record

    record = asyncio.run(run())

    assert shape(record) == shape(recorded)
    assert stable(record) == stable(recorded)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_ends_with_its_head(bench: Any, method: str, status: int) -> None:
    """A request that cannot have a body does not wait for one."""

    async def respond(_call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_head(f"HTTP/1.1 {status} X", [("Content-Length", "9")] if status == 200 else []))

    async def test(client: Http2Client, running: Any) -> None:
        running.upstream.respond = respond
        head, body = await client.fetch("/api/x", method=method)

        assert (head.get(":status"), body) == (str(status), b"")

    _run(bench, _plugin(), test)


def test_an_answer_that_breaks_off_is_seen_to(bench: Any) -> None:
    """The stream is reset, and the connection serves the next request."""

    async def respond(_call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
        writer.write(encode_head("HTTP/1.1 200 OK", [("Content-Length", "100")]) + b"half")

    async def test(client: Http2Client, running: Any) -> None:
        answering, running.upstream.respond = running.upstream.respond, respond
        with pytest.raises(MessageError):
            await client.fetch("/api/x")
        running.upstream.respond = answering

        assert (await client.fetch("/api/x"))[0].get(":status") == "200"

    _run(bench, _plugin(), test)


def test_a_request_given_up_is_a_499(bench: Any) -> None:
    """A stream that is reset before its answer is logged as nginx logs a client that went."""
    plugin = _plugin()
    asked = asyncio.Event()

    async def respond(_call: UpstreamCall, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async def test(client: Http2Client, running: Any) -> None:
        running.upstream.respond = respond
        stream = await client.send("/api/x")
        await asked.wait()
        stream.close(ErrorCodes.CANCEL)
        stream = await client.send("/api/x")  # reset before anything was asked
        stream.close(ErrorCodes.CANCEL)
        await running.server.wait_for(lambda _server: len(plugin.results["log"]) == 2)

        assert [json.loads(result[1])["response"]["status"] for result in plugin.results["log"]] == [499, 499]

    _run(bench, plugin, test)


def test_a_client_that_opens_and_resets_is_refused(bench: Any) -> None:
    """Requests in work are bounded, however fast a client gives them up; the connection stays usable."""

    async def test(client: Http2Client, running: Any) -> None:
        async def respond(_call: UpstreamCall, _writer: asyncio.StreamWriter) -> None:
            await asyncio.Event().wait()

        answering, running.upstream.respond = running.upstream.respond, respond
        for _ in range(10 * MAX_STREAMS):
            (await client.send("/api/x")).close(ErrorCodes.CANCEL)
        running.upstream.respond = answering

        for _ in range(100):
            try:
                head, _ = await client.fetch("/api/y")
                break
            except MessageError:  # refused: the gateway is busy ending the others
                await asyncio.sleep(0.05)
        assert head.get(":status") == "200"
        assert len(running.upstream.calls) < 10 * MAX_STREAMS

    _run(bench, _plugin(), test)


def test_a_client_that_says_goodbye_gets_its_answer(bench: Any) -> None:
    """GOAWAY opens no new stream; open ones continue (RFC 9113, 6.8)."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def respond(_call: UpstreamCall, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await may_answer.wait()
        writer.write(encode_head("HTTP/1.1 200 OK", [("Content-Length", "2")]) + b"ok")

    async def test(client: Http2Client, running: Any) -> None:
        running.upstream.respond = respond
        stream = await client.send("/api/x")
        await asked.wait()
        client.writer.write(GOAWAY)
        may_answer.set()

        assert (await stream.head()).get(":status") == "200"
        assert [data async for data in stream.data()] == [b"ok"]

    _run(bench, _plugin(), test)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_in_an_answer_or_a_goodbye(caplog: pytest.LogCaptureFixture, noise: bytes, framed: bool) -> None:
    """Whatever follows the preface, the gateway lives, and no exception escapes."""
    good = h2.connection.H2Connection()
    good.initiate_connection()
    start = good.data_to_send() if framed else PREFACE
    frame = len(noise).to_bytes(3, "big") + bytes([len(noise) % 10, len(noise) % 64, 0, 0, 0, 1]) + noise

    async def run() -> bytes:
        async with StandInGateway(parse_declaration({"_format_version": "3.0"})) as gateway:
            reader, writer = await connect(gateway.url)
            writer.write(start + (frame if framed else noise))
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            async with Http2Client(gateway.url) as client:
                assert (await client.fetch("/x"))[0].get(":status") == "404"
            return answer

    answer = asyncio.run(run())

    assert answer
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []

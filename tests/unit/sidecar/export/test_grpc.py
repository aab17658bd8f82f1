"""Promises of sidecar/export/grpc.py, against scripted servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from delivery_doubles import encoded
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export import grpc as grpc_transport
from otlp_tracing.sidecar.export import grpc_channel
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.grpc import GrpcTransport
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.otlp.encoder import encode_resource, request
from otlp_tracing_devtools.fake_collector import OtlpSink, ScriptedAnswer

REQUEST = request(encode_resource({}), [encoded("a")])
RETRY = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
HOLD = {
    "UNAUTHENTICATED": Action.HOLD_UNAUTHORIZED,
    "PERMISSION_DENIED": Action.HOLD_UNAUTHORIZED,
    "UNIMPLEMENTED": Action.HOLD_NOT_OTLP,
    "NOT_FOUND": Action.HOLD_NOT_OTLP,
}
NARROW = {"INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED"}


def retry_info(seconds: float) -> tuple[str, bytes]:
    detail = AnyMessage()
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    detail.Pack(RetryInfo(retry_delay=duration))
    return "grpc-status-details-bin", Status(details=[detail]).SerializeToString()


def played(scene: Callable[[OtlpSink, GrpcTransport], Awaitable[None]], **environment: str) -> None:
    async def run() -> None:
        async with OtlpSink() as sink:
            settings = Settings.from_config({"endpoint": sink.endpoint})
            transport = GrpcTransport(Destination.from_settings(settings, environment))
            try:
                await scene(sink, transport)
            finally:
                await transport.close()

    asyncio.run(run())


@pytest.mark.parametrize("with_retry_info", [False, True])
def test_each_status_means_what_otlp_says(with_retry_info: bool) -> None:
    """The table of the specification, and the delay that the collector asks for; its text becomes one line."""

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            sink.script(ScriptedAnswer(code, "why\nforged", trailers=[retry_info(7.5)] if with_retry_info else []))
            answer = await transport.export(REQUEST)
            expected = (
                Action.RETRY
                if code.name in RETRY or (code.name == "RESOURCE_EXHAUSTED" and with_retry_info)
                else HOLD.get(code.name, Action.SPLIT if code.name in NARROW else Action.DROP)
            )
            assert (answer.action, answer.reason) == (expected, f"{code.name}: why forged")
            assert answer.delay_s == (7.5 if with_retry_info else None)

    played(scene)


def test_a_request_arrives_as_it_was_written() -> None:
    """The number of spans that the collector did not take is in the result."""

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        sink.script(ScriptedAnswer(rejected_spans=1, message="too old"))
        assert await transport.export(REQUEST) == ExportResult(Action.SUCCESS, "too old", 1)
        assert [span.name for span in sink.spans] == ["a"]

    played(scene)


async def _export_to(serve: Any, scheme: str = "http") -> ExportResult:
    """Export to a server of another protocol, given as the handler of a connection."""
    connections: set[asyncio.Task[None]] = set()

    async def track(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(track, "127.0.0.1", 0)
    endpoint = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = GrpcTransport(Destination.from_settings(Settings.from_config({"endpoint": endpoint}), {}))
    async with server:
        result = await transport.export(REQUEST)
        await transport.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        return result


def _http2_server(headers: list[tuple[str, str]], body: bytes) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65_535):
            for event in connection.receive_data(data):
                if isinstance(event, StreamEnded):
                    connection.send_headers(event.stream_id, headers, end_stream=not body)
                    if body:
                        connection.send_data(event.stream_id, body, end_stream=True)
            writer.write(connection.data_to_send())

    return serve


async def _http1_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(":status", "200"), ("content-type", "text/html")], b"<html>"),
        ([(":status", "200"), ("content-type", "application/grpc")], b""),
        ([(":status", "302"), ("location", "/login")], b""),
        *(([(":status", status)], b"") for status in ("400", "404", "405", "407", "421", "500", "501")),
    ],
)
def test_an_http2_server_without_grpc_is_held(headers: list[tuple[str, str]], body: bytes) -> None:
    """A proxy or a web server on the port has not taken the spans."""
    assert asyncio.run(_export_to(_http2_server(headers, body))).action is Action.HOLD_NOT_OTLP


def test_statuses_with_a_meaning_for_grpc_keep_it() -> None:
    """GRPC translates an HTTP status of a proxy where it can."""
    actions = {
        status: asyncio.run(_export_to(_http2_server([(":status", status)], b""))).action
        for status in ("401", "403", "503")
    }

    unauthorized = Action.HOLD_UNAUTHORIZED
    assert actions == {"401": unauthorized, "403": unauthorized, "503": Action.RETRY}


def test_a_proxys_bound_on_a_request_asks_for_a_smaller_one() -> None:
    """As over HTTP, 413 is about the size of the batch: nginx has a bound of 1 MiB unless told otherwise."""
    result = asyncio.run(_export_to(_http2_server([(":status", "413")], b"")))

    assert result.action is Action.SPLIT
    assert "`batch_export.send_batch_size`" in result.remedy


def test_a_port_of_another_protocol_is_held() -> None:
    """The remedy names the protocol that the port speaks."""
    plain = asyncio.run(_export_to(_http1_server))
    tls = asyncio.run(_export_to(_http1_server, "https"))

    assert (plain.action, tls.action) == (Action.HOLD_NOT_OTLP, Action.HOLD_NOT_OTLP)
    assert "protocol: http/protobuf" in plain.remedy
    assert "http://" in tls.remedy


def test_an_undecodable_response_is_held() -> None:
    """A gRPC service that is not OTLP may accept any request."""

    async def run() -> ExportResult:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(_answer_garbage, None, None)

        class Service(grpc.GenericRpcHandler):  # type: ignore[type-arg]
            def service(self, _: object) -> Any:
                return handler

        server.add_generic_rpc_handlers((Service(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        settings = Settings.from_config({"endpoint": f"http://127.0.0.1:{port}"})
        transport = GrpcTransport(Destination.from_settings(settings, {}))
        result = await transport.export(REQUEST)
        await transport.close()
        await server.stop(None)
        return result

    result = asyncio.run(run())
    assert (result.action, result.reason) == (Action.HOLD_NOT_OTLP, "the response is not an OTLP response")


async def _answer_garbage(_request: bytes, _context: object) -> bytes:
    return b"\xff\xff"


def test_a_failed_connection_is_a_result() -> None:
    """And the same transport finds the collector once it is there."""

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        port = sink.port
        await sink.stop()
        answer = await transport.export(REQUEST)
        assert answer.action is Action.RETRY
        await sink.start(port)
        while (await transport.export(REQUEST)).action is not Action.SUCCESS:  # pytest's timeout ends it
            await asyncio.sleep(0.05)

    played(scene)


def test_who_does_not_answer_gets_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the deadline the connection may be dead, however alive it looks."""
    opened = []

    async def open_channel(destination: Destination) -> grpc.aio.Channel:
        opened.append(destination)
        return await grpc_channel.open_channel(destination)

    monkeypatch.setattr(grpc_transport, "open_channel", open_channel)

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        sink.script(ScriptedAnswer(delay_s=5.0))
        answer = await transport.export(REQUEST)
        assert (answer.action, answer.error_type) == (Action.RETRY, "DEADLINE_EXCEEDED")
        assert (await transport.export(REQUEST)).action is Action.SUCCESS
        assert len(opened) == 2

    played(scene, OTEL_EXPORTER_OTLP_TIMEOUT="500")


def test_certificates_that_cannot_be_read_are_an_answer_too() -> None:
    """They may be there a moment later."""

    async def run() -> None:
        config = {"endpoint": "https://127.0.0.1:1", "tls": {"ca_cert": "/not/there.pem"}}
        transport = GrpcTransport(Destination.from_settings(Settings.from_config(config), {}))
        answer = await transport.export(REQUEST)
        assert answer.action is Action.RETRY
        assert "tls.ca_cert" in answer.reason

    asyncio.run(run())

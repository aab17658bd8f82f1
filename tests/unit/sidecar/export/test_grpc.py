"""Promises of sidecar/export/grpc.py, against a collector's double that says what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

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
HOLD = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
NARROW = {"INVALID_ARGUMENT", "INTERNAL", "RESOURCE_EXHAUSTED"}


def retry_info(seconds: float) -> tuple[str, bytes]:
    detail = AnyMessage()
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    detail.Pack(RetryInfo(retry_delay=duration))
    return "grpc-status-details-bin", Status(details=[detail]).SerializeToString()


def played(scene: Callable[[OtlpSink, GrpcTransport], Awaitable[None]]) -> None:
    async def run() -> None:
        async with OtlpSink() as sink:
            transport = GrpcTransport(Destination.from_settings(Settings.from_config({"endpoint": sink.endpoint}), {}))
            try:
                await scene(sink, transport)
            finally:
                await transport.close()

    asyncio.run(run())


@pytest.mark.parametrize("with_retry_info", [False, True])
def test_each_status_means_what_otlp_says(with_retry_info: bool) -> None:
    """The table of the specification, and the delay that the collector asks for."""

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            sink.script(ScriptedAnswer(code, "why", trailers=[retry_info(7.5)] if with_retry_info else []))
            answer = await transport.export(REQUEST)
            expected = (
                Action.RETRY
                if code.name in RETRY or (code.name == "RESOURCE_EXHAUSTED" and with_retry_info)
                else Action.HOLD_UNAUTHORIZED
                if code.name in HOLD
                else Action.SPLIT
                if code.name in NARROW
                else Action.DROP
            )
            assert (answer.action, answer.reason) == (expected, f"{code.name}: why")
            assert answer.delay_s == (7.5 if with_retry_info else None)

    played(scene)


def test_a_request_arrives_as_it_was_written() -> None:
    """And what the collector did not take of it is told."""

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        sink.script(ScriptedAnswer(rejected_spans=1, message="too old"))
        assert await transport.export(REQUEST) == ExportResult(Action.SUCCESS, "too old", 1)
        assert [span.name for span in sink.spans] == ["a"]

    played(scene)


def test_nobody_there_is_an_answer_too() -> None:
    """And the same transport finds the collector once it is there."""

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        port = sink.port
        await sink.stop()
        answer = await transport.export(REQUEST)
        assert answer.action is Action.RETRY
        await sink.start(port)
        for _ in range(100):
            if (await transport.export(REQUEST)).action is Action.SUCCESS:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("not within five seconds")

    played(scene)


def test_who_does_not_answer_gets_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the deadline the connection may be dead, however alive it looks."""
    monkeypatch.setattr(grpc_transport, "ATTEMPT_SECONDS", 0.1)
    opened = []

    async def open_channel(destination: Destination) -> grpc.aio.Channel:
        opened.append(destination)
        return await grpc_channel.open_channel(destination)

    monkeypatch.setattr(grpc_transport, "open_channel", open_channel)

    async def scene(sink: OtlpSink, transport: GrpcTransport) -> None:
        sink.script(ScriptedAnswer(delay_s=1.0))
        answer = await transport.export(REQUEST)
        assert (answer.action, answer.error_type) == (Action.RETRY, "DEADLINE_EXCEEDED")
        monkeypatch.setattr(grpc_transport, "ATTEMPT_SECONDS", 20.0)  # the next one is to be answered
        assert (await transport.export(REQUEST)).action is Action.SUCCESS
        assert len(opened) == 2

    played(scene)


def test_certificates_that_cannot_be_read_are_an_answer_too() -> None:
    """They may be there a moment later."""

    async def run() -> None:
        config = {"endpoint": "https://127.0.0.1:1", "tls": {"ca_cert": "/not/there.pem"}}
        transport = GrpcTransport(Destination.from_settings(Settings.from_config(config), {}))
        answer = await transport.export(REQUEST)
        assert answer.action is Action.RETRY
        assert "tls.ca_cert" in answer.reason

    asyncio.run(run())

"""Promises of sidecar/export/causes.py: both transports, against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from e2e.certificates import Authority
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.causes import cause_of
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import new_transport
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing_devtools.fake_collector import OtlpSink

AUTHORITY = Authority("a")
HTTP1 = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
PAGE = b"<!DOCTYPE HTML><html>"


@contextlib.asynccontextmanager
async def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen on a port that answers whatever comes with some bytes, and hangs up."""

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(4096)
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer_one, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def collector(days: int | None) -> AsyncIterator[int]:
    """Run a collector over gRPC; with TLS, if its certificate has days left."""
    credentials = None
    if days is not None:
        pair = AUTHORITY.issue("c", days)
        credentials = grpc.ssl_server_credentials([(pair.key.encode(), pair.certificate.encode())])
    async with OtlpSink(credentials=credentials) as sink:
        yield sink.port


async def exported(endpoint: str, protocol: str, ca_cert: str | None = None) -> ExportResult:
    config = {"endpoint": endpoint, "protocol": protocol, "tls": {"ca_cert": ca_cert} if ca_cert else {}}
    transport = new_transport(Destination.from_settings(Settings.from_config(config), {}))
    try:
        return await transport.export(b"")
    finally:
        await transport.close()


@pytest.mark.parametrize(
    ("answer", "protocol", "scheme", "reason", "remedy"),
    [
        (HTTP1, "grpc", "http", "the port speaks HTTP/1.1", "protocol: http/protobuf"),
        (PAGE, "grpc", "http", "the port speaks HTTP/1.1", "protocol: http/protobuf"),
        (b"220 mail\r\n", "grpc", "http", "the port does not speak gRPC", "check host and port"),
        (HTTP1, "grpc", "https", "the port does not speak TLS", "http://"),
        (HTTP1, "http/protobuf", "https", "the port does not speak TLS", "http://"),
        (b"", "grpc", "http", "closed the connection", "check scheme and port"),
        (b"", "http/protobuf", "http", "closed the connection", "check scheme and port"),
    ],
)
async def test_a_port_of_another_protocol(answer: bytes, protocol: str, scheme: str, reason: str, remedy: str) -> None:
    """The reason says in plain words which protocol the port speaks, and the remedy names the setting."""
    async with answering(answer) as port:
        result = await exported(f"{scheme}://127.0.0.1:{port}", protocol)

    assert reason in result.reason
    assert remedy in result.remedy or (remedy == "check host and port" and not result.remedy)


async def test_a_grpc_port_is_not_http() -> None:
    """OTLP over HTTP to a gRPC port: held, with the protocol to set."""
    async with collector(None) as port:
        result = await exported(f"http://127.0.0.1:{port}", "http/protobuf")

    assert (result.action, result.reason) == (Action.HOLD_NOT_OTLP, "the port speaks gRPC, not HTTP/1.1")
    assert "protocol: grpc" in result.remedy


async def test_tls_without_http2_is_not_grpc(tmp_path: Path) -> None:
    """OTLP over gRPC to an HTTPS port without HTTP/2: held, with the protocol to set."""
    pair = AUTHORITY.issue("c")
    (tmp_path / "pair.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    async with answering(HTTP1, context) as port:
        result = await exported(f"https://127.0.0.1:{port}", "grpc", AUTHORITY.certificate)

    assert (result.action, result.reason) == (Action.HOLD_NOT_OTLP, "the port speaks TLS, and no HTTP/2")
    assert "protocol: http/protobuf" in result.remedy


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("days", "host", "is_known", "reason"),
    [
        (0, "127.0.0.1", True, "has expired"),
        (1, "localhost", True, "is for another name"),
        (1, "127.0.0.1", False, "the authority of the collector's certificate is not known"),
    ],
)
async def test_a_certificate(days: int, host: str, is_known: bool, reason: str, protocol: str) -> None:
    """Both protocols give the same reason, and spans wait."""
    async with collector(days) as port:
        result = await exported(f"https://{host}:{port}", protocol, AUTHORITY.certificate if is_known else None)

    assert result.action is Action.RETRY
    assert reason in result.reason
    assert result.remedy


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_collector_that_demands_a_certificate(protocol: str) -> None:
    """With TLS 1.3 it hangs up after the handshake; the remedy names the setting."""
    pair = AUTHORITY.issue("c")
    credentials = grpc.ssl_server_credentials(
        [(pair.key.encode(), pair.certificate.encode())], AUTHORITY.certificate.encode(), True
    )
    async with OtlpSink(credentials=credentials) as sink:
        result = await exported(f"https://127.0.0.1:{sink.port}", protocol, AUTHORITY.certificate)

    assert result.action is Action.RETRY
    assert "`tls.client_cert`" in result.remedy


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:1", "the connection is refused: no program listens there"),
        ("http://collector.invalid:4317", "the name in `endpoint` does not resolve"),
    ],
)
async def test_no_collector(endpoint: str, reason: str, protocol: str) -> None:
    """Both protocols give the same reason."""
    result = await exported(endpoint, protocol)

    assert (result.action, result.reason) == (Action.RETRY, reason)


def test_other_descriptions_stay() -> None:
    """A failure without a known cause keeps the library's own text."""
    assert cause_of("the moon is in the way") is None

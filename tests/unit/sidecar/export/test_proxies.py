"""Promises of sidecar/export/proxies.py, and of both transports through a real proxy with TLS behind it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from aiohttp import web

from e2e.certificates import NAME, Authority
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import new_transport
from otlp_tracing.sidecar.export.proxies import proxy_of, proxy_problems
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing_devtools.fake_collector import OtlpSink

AUTHORITY = Authority("a private authority")
PAIR = AUTHORITY.issue("collector")
PASSWORD = "p@ss:s3cr3t"
LOGIN = base64.b64encode(f"user:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize(
    ("environment", "scheme", "host", "expected"),
    [
        ({}, "https", "c", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https", "c", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, "http", "c", None),
        ({"http_proxy": "p:3128"}, "http", "c", "http://p:3128"),
        ({"ALL_PROXY": "http://p"}, "http", "c", "http://p:80"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"}, "https", "c", "http://lower:2"),
        ({"HTTPS_PROXY": "socks5://p:1"}, "https", "c", None),
        ({"HTTPS_PROXY": "http://p:port"}, "https", "c", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https", "localhost", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https", "127.0.0.9", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https", "::1", None),
    ],
)
def test_the_proxy_is_that_of_the_scheme(
    environment: dict[str, str], scheme: str, host: str, expected: str | None
) -> None:
    """Names in lower case come first, loopback is direct, and another kind of proxy is not used."""
    assert proxy_of(scheme, host, 4317, environment) == expected


@pytest.mark.parametrize(
    ("exempt", "host", "is_direct"),
    [
        ("collector.observability.svc", "collector.observability.svc", True),
        (".svc, .cluster.local", "collector.observability.svc", True),
        ("svc", "collector.observability.SVC", True),
        ("*.svc", "collector.observability.svc", True),
        ("vc", "collector.observability.svc", False),
        ("*", "anything", True),
        ("10.0.0.0/8 192.168.0.1", "10.1.2.3", True),
        ("10.0.0.0/8,192.168.0.1", "192.168.0.1", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("fd00::/8", "fd00::5", True),
        ("fd00::5", "fd00::5", True),
        ("[fd00::5]:4317", "fd00::5", True),
        ("collector:4317", "collector", True),
        ("collector:4318", "collector", False),
        (",,", "collector", False),
    ],
)
def test_exempt_hosts_are_reached_directly(exempt: str, host: str, is_direct: bool) -> None:
    """Names with their subdomains, addresses and networks, with or without a port."""
    found = proxy_of("https", host, 4317, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": exempt})

    assert (found is None) == is_direct


def test_a_proxy_that_cannot_be_used_is_named() -> None:
    """Without its value, which can have a password."""
    (fault,) = proxy_problems({"HTTPS_PROXY": "https://u:s3cr3t@p:1", "http_proxy": "http://p:1"})

    assert str(fault) == "HTTPS_PROXY: must be http://host:port; it is not used"


class ConnectProxy:
    """A small proxy that knows one host, and asks for a password if it has one."""

    def __init__(self, port: int, login: str = "") -> None:
        self._port = port
        self._login = login
        self._writers: list[asyncio.StreamWriter] = []
        self.asked: list[str] = []

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        if self._login and f"proxy-authorization: basic {self._login}".lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            writer.close()
            return
        from_there, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(there)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_copy(reader, there), _copy(from_there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _accept(_: web.Request) -> web.Response:
    return web.Response()


@contextlib.asynccontextmanager
async def _collector(protocol: str, folder: Path) -> AsyncIterator[int]:
    if protocol == "grpc":
        credentials = grpc.ssl_server_credentials([(PAIR.key.encode(), PAIR.certificate.encode())])
        async with OtlpSink(credentials=credentials) as sink:
            yield sink.port
        return
    (folder / "pair.pem").write_text(PAIR.certificate + PAIR.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "pair.pem")
    app = web.Application()
    app.router.add_post("/v1/traces", _accept)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    yield site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    await runner.cleanup()


async def _through_proxy(
    protocol: str, folder: Path, login: str, proxy_user: str, **tls: object
) -> tuple[ExportResult, list[str]]:
    async with _collector(protocol, folder) as port:
        proxy = ConnectProxy(port, login)
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy_port = server.sockets[0].getsockname()[1]
        settings = Settings.from_config({"endpoint": f"https://{NAME}", "protocol": protocol, "tls": tls})
        environment = {
            "HTTPS_PROXY": f"http://{proxy_user}127.0.0.1:{proxy_port}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
        }
        transport = new_transport(Destination.from_settings(settings, environment))
        try:
            return await transport.export(b""), proxy.asked
        finally:
            await transport.close()
            server.close()
            await proxy.close()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_both_protocols_pass_a_proxy(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its password, to a name that only the proxy knows, and with the private authority of SSL_CERT_FILE."""
    (tmp_path / "authorities.pem").write_text(AUTHORITY.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))
    user = "user:p%40ss%3As3cr3t@"
    result, asked = await _through_proxy(protocol, tmp_path, LOGIN, user)
    skipping, _ = await _through_proxy(protocol, tmp_path, LOGIN, user, insecure_skip_verify=True)

    assert result == ExportResult(Action.SUCCESS)
    assert asked[0] == f"CONNECT {NAME}:443 HTTP/1.1"
    assert skipping == ExportResult(Action.SUCCESS)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_proxys_refusal_holds_the_spans(protocol: str, tmp_path: Path) -> None:
    """407 is said in words, without the password that was refused."""
    result, _ = await _through_proxy(protocol, tmp_path, LOGIN, "user:wr0ng@", ca_cert=AUTHORITY.certificate)

    assert (result.action, result.error_type) == (Action.HOLD_UNAUTHORIZED, "407")
    assert result.reason == "the proxy answers HTTP 407"
    assert "HTTPS_PROXY" in result.remedy


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_an_unknown_authority_is_refused_over_both_protocols(protocol: str, tmp_path: Path) -> None:
    """A certificate that nothing here vouches for is not accepted."""
    result, _ = await _through_proxy(protocol, tmp_path, "", "")

    assert result.action is Action.RETRY


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_a_proxy_that_is_away_is_named(protocol: str) -> None:
    """The collector is not blamed for it, and the spans are sent when it is back."""
    settings = Settings.from_config({"endpoint": f"https://{NAME}", "protocol": protocol})
    transport = new_transport(Destination.from_settings(settings, {"HTTPS_PROXY": "http://u:s3cr3t@127.0.0.1:1"}))
    result = await transport.export(b"")
    await transport.close()

    assert (result.action, result.reason) == (Action.RETRY, "the proxy cannot be reached")

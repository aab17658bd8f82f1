"""TCP, TLS and UDP routes, on a real Kong only: the stand-in has no stream subsystem."""

from __future__ import annotations

import dataclasses
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.collectors import Collector
from e2e.conftest import StartGateway
from e2e.declarations import declaration, service, tracing
from e2e.gateways import PluginServer, RealKong
from e2e.ports import HOST, free_port
from e2e.upstreams import RecordingUpstream
from e2e.waiting import wait_for

_SECONDS = 20.0
_PROTOCOLS = ["http", "https", "tcp", "tls", "udp"]


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1024):
            self.request.sendall(data)


class _UdpEcho(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, connection = self.request
        connection.sendto(data, self.client_address)


@pytest.fixture
def echoes() -> Iterator[tuple[int, int]]:
    """Give the ports of a TCP and of a UDP service that send everything back."""
    with (
        socketserver.ThreadingTCPServer((HOST, 0), _Echo) as tcp,
        socketserver.ThreadingUDPServer((HOST, 0), _UdpEcho) as udp,
    ):
        for server in (tcp, udp):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tcp.server_address[1], udp.server_address[1]
        for server in (tcp, udp):
            server.shutdown()


def _server(prefix: Path) -> PluginServer:
    """Return the chosen one; on Kong 3.4, which runs no external plugin for connections, Kong's own queue."""
    ours = PluginServer.ours(prefix)
    if ours.http_log is None and RealKong.version < (3, 5):
        ours = PluginServer.with_kongs_queue(ours.start, ours.http_port, prefix, PluginServer.protocol)
    if ours.http_log is None:
        return ours
    return dataclasses.replace(ours, http_log={**ours.http_log, "protocols": _PROTOCOLS})


def _talk(port: int, data: bytes) -> bytes:
    with socket.create_connection((HOST, port), _SECONDS) as connection:
        try:
            connection.sendall(data)
            return connection.recv(1024)
        except ConnectionResetError:
            return b""


def _ask(port: int, data: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_SECONDS)
        client.sendto(data, (HOST, port))
        return client.recv(1024)


def test_a_connection_has_a_span_a_log_record_and_metrics(
    start_gateway: StartGateway,
    upstream: RecordingUpstream,
    collector: Collector,
    echoes: tuple[int, int],
    on_kong: bool,
) -> None:
    """One that succeeds, one that its upstream refuses, and a UDP session. HTTP requests are traced as before.

    A UDP session ends by the longer of its service's timeouts after its last datagram, a minute by default.
    """
    if not on_kong:
        pytest.skip("needs a real Kong: the stand-in has no stream subsystem")
    echo, udp_echo = echoes
    *ports, udp_port = free_port(), free_port(), free_port()
    entry = {
        **tracing(collector.endpoint, metrics={"enabled": True, "interval": 1000}, logs={"requests": "all"}),
        "protocols": _PROTOCOLS,
    }
    content = declaration(
        service("api", upstream.url),
        *(
            _tcp_service(name, port, at)
            for name, port, at in zip(("db", "gone"), (echo, free_port()), ports, strict=True)
        ),
        {**_tcp_service("dns", udp_echo, udp_port, "udp"), "read_timeout": 1000, "write_timeout": 1000},
        plugins=[entry],
    )
    listen = ", ".join([*(f"{HOST}:{port}" for port in ports), f"{HOST}:{udp_port} udp"])
    with start_gateway(content, _server, {"KONG_STREAM_LISTEN": listen}) as gateway:
        assert gateway.get("/api/1").status == 200
        assert [_talk(port, b"hello") for port in ports] == [b"hello", b""]
        assert _ask(udp_port, b"hi") == b"hi"
        spans = wait_for(lambda: _spans(collector, 3), _SECONDS, "three spans of connections")
        assert spans
        records = wait_for(
            lambda: collector.log_records([span.trace_id for span in spans.values()]), _SECONDS, "their log records"
        )
        traced = spans["TCP db-route"].trace_id
        wait_for(lambda: traced in collector.exemplars("kong.connection.duration"), _SECONDS, "the exemplar")
        wait_for(lambda: "kong_connection_io_bytes" in collector.prometheus(), _SECONDS, "Prometheus's form")

    good, refused, session = spans["TCP db-route"], spans["TCP gone-route"], spans["UDP dns-route"]
    assert (session.attributes["network.transport"], session.attributes["kong.connection.received_bytes"]) == ("udp", 2)
    assert (session.is_error, session.attributes["kong.connection.sent_bytes"]) == (False, 2)
    assert (good.is_error, refused.is_error) == (False, True)
    assert good.attributes["kong.connection.received_bytes"] == good.attributes["kong.connection.sent_bytes"] == 5
    assert good.attributes["server.port"] == ports[0]
    assert refused.attributes["error.type"] == "connection_error"
    assert refused.attributes["kong.upstream.tries"] == 2
    assert {record["severityText"] for record in records} <= {"INFO", "ERROR"}


def _tcp_service(name: str, port: int, at: int, protocol: str = "tcp") -> dict[str, Any]:
    route = {"name": f"{name}-route", "protocols": [protocol], "destinations": [{"port": at}]}
    return {"name": name, "url": f"{protocol}://{HOST}:{port}", "retries": 1, "routes": [route]}


def _spans(collector: Collector, count: int) -> dict[str, Any] | None:
    found = {span.name: span for span in collector.spans() if span.name.startswith(("TCP ", "UDP "))}
    return found if len(found) == count else None

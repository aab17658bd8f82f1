"""The gRPC channel to a destination.

Source: OpenTelemetry specification, protocol/exporter.md; gRPC core, grpc_types.h (channel arguments).
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import socket
import ssl
from typing import Any
from urllib.parse import unquote, urlsplit

import grpc

from otlp_tracing import __version__
from otlp_tracing.sidecar.export import certificates
from otlp_tracing.sidecar.export.destination import Destination

_HANDSHAKE_SECONDS = 5.0
_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.primary_user_agent", f"otlp-tracing/{__version__}"),
    # By default gRPC waits up to two minutes between attempts to connect, long after a collector is back.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # By default gRPC does not resolve a name again within 30 s, and a collector may have moved.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    # Detects a connection that is silently dead. Only during a call: strict servers count pings outside of one.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Otherwise channels to one address share connections, and a new channel would inherit a dead one.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC's own retries would not be counted.
    ("grpc.enable_retries", 0),
)


async def open_channel(destination: Destination) -> grpc.aio.Channel:
    """Open a channel; it connects by itself, and again whenever it must.

    Raises:
        ConfigError: if a certificate or key cannot be read or used.
        OSError: if the collector's certificate must be read from the collector, and cannot.
    """
    compression = grpc.Compression.Gzip if destination.gzip else grpc.Compression.NoCompression
    # gRPC would read the environment itself, by other rules than OTLP over HTTP.
    proxy = ("grpc.http_proxy", destination.proxy) if destination.proxy else ("grpc.enable_http_proxy", 0)
    options = (*_OPTIONS, proxy)
    if not destination.secure:
        return grpc.aio.insecure_channel(destination.target, options, compression)
    tls = destination.tls
    if tls.insecure_skip_verify:
        root, name = await asyncio.to_thread(_shown_certificate, destination)
        options = (*options, ("grpc.ssl_target_name_override", name))
    else:
        await asyncio.to_thread(certificates.context, tls)  # gRPC's own error does not name the file
        root = await asyncio.to_thread(certificates.authorities, tls)
    credentials = grpc.ssl_channel_credentials(root, *certificates.client_pair(tls))
    return grpc.aio.secure_channel(destination.target, credentials, options, compression)


def _shown_certificate(destination: Destination) -> tuple[bytes, str]:
    # gRPC cannot skip the check. Trusting exactly the certificate that the collector shows now has the same
    # effect until it changes. Then the next connection fails, and the transport opens a new channel.
    host, _ = destination.host_and_port
    unverified = certificates.unverified()
    with _connection(destination) as plain, unverified.wrap_socket(plain, server_hostname=host) as wrapped:
        pem = ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"")
    context = certificates.checking(pem)
    context.check_hostname = False
    with _connection(destination) as plain, context.wrap_socket(plain, server_hostname=host) as wrapped:
        certificate = wrapped.getpeercert() or {}
    return pem.encode(), _any_name(certificate) or host


def _connection(destination: Destination) -> socket.socket:
    host, port = destination.host_and_port
    if destination.proxy is None:
        return socket.create_connection((host, port), _HANDSHAKE_SECONDS)
    proxy = urlsplit(destination.proxy)
    connection = http.client.HTTPConnection(proxy.hostname or "", proxy.port, timeout=_HANDSHAKE_SECONDS)
    credentials = base64.b64encode(unquote(proxy.netloc.rpartition("@")[0]).encode()).decode()
    connection.set_tunnel(host, port, {"Proxy-Authorization": f"Basic {credentials}"} if credentials else {})
    connection.connect()
    return connection.sock


def _any_name(certificate: Any) -> str | None:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "IP Address"}:
            return str(name).replace("*", "any", 1)
    return None

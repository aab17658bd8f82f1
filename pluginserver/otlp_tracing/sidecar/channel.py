"""The gRPC channel to a destination.

Source: OpenTelemetry specification, protocol/exporter.md; gRPC core, grpc_types.h (channel arguments).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import grpc

from otlp_tracing import __version__
from otlp_tracing.contract.settings import Tls
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.destination import Destination

__all__ = ["open_channel"]

_HANDSHAKE_SECONDS = 5.0
_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.primary_user_agent", f"otlp-tracing/{__version__}"),
    # gRPC waits up to two minutes between attempts to connect; a collector that is back is found sooner.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


async def open_channel(destination: Destination) -> grpc.aio.Channel:
    """Open a channel; it connects by itself, and again whenever it must.

    Raises:
        ConfigError: if a certificate or key cannot be read.
        OSError: if the collector's certificate had to be asked for and was not to be had.
    """
    compression = grpc.Compression.Gzip if destination.gzip else grpc.Compression.NoCompression
    if not destination.secure:
        return grpc.aio.insecure_channel(destination.target, _OPTIONS, compression)
    tls, options = destination.tls, _OPTIONS
    root = _pem(tls.ca_cert, "tls.ca_cert")
    if tls.insecure_skip_verify:
        root, name = await asyncio.to_thread(_shown_certificate, destination.target)
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", name))
    credentials = grpc.ssl_channel_credentials(root, *_client_pair(tls))
    return grpc.aio.secure_channel(destination.target, credentials, options, compression)


def _client_pair(tls: Tls) -> tuple[bytes | None, bytes | None]:
    key, certificate = _pem(tls.client_key, "tls.client_key"), _pem(tls.client_cert, "tls.client_cert")
    if (key is None) != (certificate is None):
        raise ConfigError([Fault("tls", "", "client_cert and client_key go together; one is missing")])
    return key, certificate


def _pem(value: str | None, field: str) -> bytes | None:
    if value is None:
        return None
    if value.lstrip().startswith("-----BEGIN"):
        return value.encode()
    try:
        return Path(value).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError([Fault(field, "", f"cannot be read: {error}")]) from error


def _shown_certificate(target: str) -> tuple[bytes, str]:
    # gRPC cannot skip the check. Trusting the very certificate that the collector shows now comes to the
    # same, as long as it does not change it; then the next connection fails and the channel is made anew.
    host, _, port = target.rpartition(":")
    pem = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=_HANDSHAKE_SECONDS)
    context = ssl.create_default_context(cadata=pem)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with (
        socket.create_connection((host.strip("[]"), int(port)), _HANDSHAKE_SECONDS) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        certificate = wrapped.getpeercert() or {}
    return pem.encode(), _any_name(certificate) or host


def _any_name(certificate: Any) -> str | None:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "IP Address"}:
            return str(name).replace("*", "any", 1)
    return None

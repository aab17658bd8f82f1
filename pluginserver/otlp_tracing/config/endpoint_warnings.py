"""Warnings about an endpoint that Kong accepts, and that delivers nothing or not as written. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from otlp_tracing.config.otel_variables import likely_path
from otlp_tracing.config.otlp_ports import OTLP_PORTS, protocol_of
from otlp_tracing.config.settings import Settings


def endpoint_warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Return the warnings about an entry's endpoint, protocol and TLS, each with its field."""
    parts, tls, is_http = urlsplit(settings.endpoint or ""), settings.tls, settings.protocol == "http/protobuf"
    usual, protocol = protocol_of(parts.port), settings.protocol or "grpc"
    if usual and usual != protocol:
        text = f"port {parts.port} is usually OTLP over {usual}: set protocol to {usual}, or use port "
        yield "endpoint", f"{text}{OTLP_PORTS[protocol]}"
    likely = likely_path(parts.path, "traces")
    if is_http and parts.path.strip("/") and parts.path != likely:
        yield (
            "endpoint",
            f"the path is used as written; OTLP over HTTP usually has /v1/traces at its end, here {likely}",
        )
    if parts.query:
        yield "endpoint", "a key in the URL is stored in the spool: send it in headers"
    if parts.scheme == "http" and tls != type(tls)():
        yield "tls", "is not used: the endpoint starts with http://"
    if bool(tls.client_cert) != bool(tls.client_key):
        yield "tls", "client_cert and client_key work only together"
    for name in ("ca_cert", "client_cert", "client_key"):
        value = getattr(tls, name) or "/"
        if not value.startswith(("/", "{vault://")) and not value.lstrip().startswith("-----BEGIN"):
            yield f"tls.{name}", "is a relative path: write an absolute one; the sidecar has a folder of its own"

"""Where spans go: an endpoint, what is sent with every export, and the resource they belong to.

Made of a plugin entry's settings; what they leave unset, the environment fills (`OTEL_*`), and after it
the specification's defaults. Entries that agree share one destination.

Source: OpenTelemetry specification, protocol/exporter.md and configuration/sdk-environment-variables.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry.util.re import parse_env_headers

from otlp_tracing.contract.settings import BatchExport, Settings, Tls
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.resource import resource_attributes

__all__ = ["DEFAULT_ENDPOINT", "Destination"]

DEFAULT_ENDPOINT = "http://localhost:4317"
_DEFAULT_PORT = 4317


@dataclass(frozen=True)
class Destination:
    """One place that spans are delivered to.

    Args:
        endpoint: as configured; names the destination on /metrics and in the log.
        target: host and port, as gRPC takes it.
        secure: TLS.
        headers: lower-case names and values; secrets.
        resource_attributes: sorted by name.
    """

    endpoint: str
    target: str
    secure: bool
    headers: tuple[tuple[str, str], ...]
    resource_attributes: tuple[tuple[str, str], ...]
    tls: Tls
    gzip: bool
    batch_export: BatchExport

    @classmethod
    def of(
        cls, settings: Settings, environment: Mapping[str, str], detected: Mapping[str, str] | None = None
    ) -> Destination:
        """Resolve a plugin entry's destination.

        Args:
            settings: of the entry.
            environment: of the sidecar.
            detected: what resource.detect() found.

        Raises:
            ConfigError: if the endpoint, wherever it came from, cannot be used.
        """
        endpoint = settings.endpoint or _environment_endpoint(environment)
        target, secure = _target(endpoint)
        return cls(
            endpoint=endpoint,
            target=target,
            secure=secure,
            headers=_headers(settings, environment),
            resource_attributes=resource_attributes(settings, detected or {}),
            tls=settings.tls,
            gzip=settings.compression == "gzip",
            batch_export=settings.batch_export,
        )


def _environment_endpoint(environment: Mapping[str, str]) -> str:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if environment.get(variable):
            return environment[variable]
    return DEFAULT_ENDPOINT


def _target(endpoint: str) -> tuple[str, bool]:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError([Fault("endpoint", endpoint, "must be http://host:port or https://host:port")])
    if parts.path not in {"", "/"}:
        raise ConfigError([Fault("endpoint", endpoint, "must not have a path: OTLP over gRPC knows none")])
    return f"[{host}]:{port or _DEFAULT_PORT}" if ":" in host else f"{host}:{port or _DEFAULT_PORT}", (
        parts.scheme == "https"
    )


def _headers(settings: Settings, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if settings.headers:
        lines = (line.partition(":") for line in settings.headers)
        return tuple((name.strip().lower(), value.strip()) for name, _, value in lines)
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        if environment.get(variable):
            return tuple(parse_env_headers(environment[variable], liberal=True).items())
    return ()

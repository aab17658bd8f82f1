"""Where spans go: an endpoint, what is sent with every export, and the resource they belong to.

Made of a plugin entry's settings; what they leave unset, the environment fills (`OTEL_*`), and after it
the specification's defaults. Entries that agree share one destination.

Source: OpenTelemetry specification, protocol/exporter.md and configuration/sdk-environment-variables.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.util.re import parse_env_headers

from otlp_tracing.config.settings import BatchExport, Settings, Tls
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.spans.resource import ResourceValue, resource_attributes

# OTLP's ports. An https:// URL without a port means what it means everywhere: backends that take OTLP over HTTP
# from the internet do so on 443.
_DEFAULT_PORTS = {("grpc", "http"): 4317, ("grpc", "https"): 4317, ("http/protobuf", "http"): 4318}
_HTTPS_PORT = 443
_TRACES_PATH = "/v1/traces"


@dataclass(frozen=True)
class Destination:
    """One place that spans are delivered to.

    Args:
        endpoint: as configured; names the destination on /metrics and in the log.
        protocol: as configured.
        target: host and port, as gRPC takes it.
        url: as HTTP takes it.
        secure: TLS.
        headers: lower-case names and values; secrets.
        resource_attributes: sorted by name.
    """

    endpoint: str
    protocol: Literal["grpc", "http/protobuf"]
    target: str
    url: str
    secure: bool
    headers: tuple[tuple[str, str], ...]
    resource_attributes: tuple[tuple[str, ResourceValue], ...]
    tls: Tls
    gzip: bool
    batch_export: BatchExport

    @classmethod
    def from_settings(
        cls, settings: Settings, environment: Mapping[str, str], detected: Mapping[str, ResourceValue] | None = None
    ) -> Destination:
        """Resolve a plugin entry's destination.

        Args:
            settings: of the entry.
            environment: of the sidecar.
            detected: what resource.detect() found.

        Raises:
            ConfigError: if the endpoint, wherever it came from, cannot be used.
        """
        endpoint = settings.endpoint or _environment_endpoint(environment, settings.protocol)
        return cls(
            endpoint=endpoint,
            protocol=settings.protocol,
            **_address(endpoint, settings.protocol),
            headers=_headers(settings, environment),
            resource_attributes=resource_attributes(settings, detected or {}),
            tls=settings.tls,
            gzip=settings.compression == "gzip",
            batch_export=settings.batch_export,
        )

    @classmethod
    def from_description(cls, description: str, environment: Mapping[str, str]) -> tuple[Destination, bool]:
        """Make one of what description() says; its headers can only be the environment's.

        Args:
            description: as stored.
            environment: of the sidecar.

        Returns:
            The destination, and whether anything secret about it is missing.

        Raises:
            ValueError, KeyError, TypeError: if it says nothing of the kind.
        """
        fields = json.loads(description)
        names, has_secret_key = fields.pop("header_names"), fields.pop("has_secret_key")
        headers = _environment_headers(environment)
        is_complete = sorted(name for name, _ in headers) == sorted(names)
        found = cls(
            **{
                **fields,
                **_address(fields["endpoint"], fields["protocol"]),
                "headers": headers if is_complete else (),
                "resource_attributes": tuple((key, value) for key, value in fields["resource_attributes"]),
                "tls": Tls(**fields["tls"]),
                "batch_export": BatchExport(**fields["batch_export"]),
            }
        )
        return found, bool(names and not is_complete) or has_secret_key

    @cached_property
    def identity(self) -> bytes:
        """What makes it another destination than the next: all but limits and sizes. With its secrets."""
        fields = {**self._place(), "headers": self.headers, "key": self.tls.client_key}
        return json.dumps(fields, sort_keys=True).encode("utf-8", "surrogatepass")

    @property
    def description(self) -> str:
        """All but secrets, for from_description()."""
        fields = {**self._place(), "gzip": self.gzip, "batch_export": asdict(self.batch_export)}
        return json.dumps(fields, sort_keys=True)

    def _place(self) -> dict[str, Any]:
        key = self.tls.client_key
        has_secret_key = key is not None and is_text(key)
        tls = replace(self.tls, client_key=None) if has_secret_key else self.tls
        return {
            "endpoint": self.endpoint,
            "protocol": self.protocol,
            "header_names": sorted(name for name, _ in self.headers),
            "resource_attributes": self.resource_attributes,
            "tls": asdict(tls),
            "has_secret_key": has_secret_key,
        }


def endpoint_key(description: str) -> str:
    """Return what a destination has in common with one that differs in the values of secrets and in limits alone.

    Args:
        description: of Destination.description.
    """
    fields = json.loads(description)
    return json.dumps({name: fields[name] for name in sorted(fields) if name not in {"gzip", "batch_export"}})


def is_text(pem: str) -> bool:
    """Tell a PEM text from a path to one."""
    return pem.lstrip().startswith("-----BEGIN")


def _environment_endpoint(environment: Mapping[str, str], protocol: str) -> str:
    if endpoint := environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return endpoint
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if base:
        # The one for all signals is a base for HTTP, the one for traces is the whole URL.
        return base if protocol == "grpc" else base.rstrip("/") + _TRACES_PATH
    return f"http://localhost:{_DEFAULT_PORTS[protocol, 'http']}"


def _address(endpoint: str, protocol: str) -> dict[str, Any]:
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError([Fault("endpoint", endpoint, "must be http://host:port or https://host:port")])
    if protocol == "grpc" and parts.path not in {"", "/"}:
        raise ConfigError([Fault("endpoint", endpoint, "must not have a path: OTLP over gRPC knows none")])
    bracketed = f"[{host}]" if ":" in host else host
    target = f"{bracketed}:{port or _DEFAULT_PORTS.get((protocol, parts.scheme), _HTTPS_PORT)}"
    path = parts.path if parts.path not in {"", "/"} else _TRACES_PATH
    url = urlunsplit((parts.scheme, target, path, parts.query, ""))
    return {"target": target, "url": url, "secure": parts.scheme == "https"}


def _headers(settings: Settings, environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if settings.headers:
        lines = (line.partition(":") for line in settings.headers)
        return tuple((name.strip().lower(), value.strip()) for name, _, value in lines)
    return _environment_headers(environment)


def _environment_headers(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        if environment.get(variable):
            return tuple(parse_env_headers(environment[variable], liberal=True).items())
    return ()

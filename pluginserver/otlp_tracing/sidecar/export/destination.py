"""Where a signal is sent: an endpoint, the headers of every export, and the resource that its data belong to.

Made of a plugin entry's settings. The environment (`OTEL_*`) provides unset fields, then the specification's
defaults. Entries that agree share one destination.

Source: OpenTelemetry specification, protocol/exporter.md and configuration/sdk-environment-variables.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from otlp_tracing.config.loopback import is_loopback
from otlp_tracing.config.otel_variables import ExporterVariables, Protocol, Signal, signal_path
from otlp_tracing.config.otlp_ports import OTLP_PORTS
from otlp_tracing.config.settings import BatchExport, Settings, Tls
from otlp_tracing.config.validation import is_vault_reference, variable_hint
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.export.grpc_metadata import metadata_faults
from otlp_tracing.sidecar.export.proxies import proxy_of
from otlp_tracing.sidecar.spans.resource import ResourceValue, resource_attributes

# Without a port, https:// means 443 over both protocols, as it does for every other client: backends that take OTLP
# from the internet listen there.
_HTTPS_PORT = 443
# A letter of another alphabet is in an internationalized name; a `$`, `{` or `(` is a variable that nothing replaced.
_HOST = re.compile(r"[\w.\-]+|[0-9A-Fa-f:.]+(?:%[\w.\-]+)?")


@dataclass(frozen=True)
class Destination:
    """One collector, as a plugin entry sends to it.

    Args:
        endpoint: as configured.
        protocol: as configured.
        signal: that is sent there.
        target: host and port, for gRPC.
        url: for HTTP.
        secure: TLS.
        headers: lower-case names and values; secrets.
        resource_attributes: sorted by name.
        gzip: exports are compressed.
        proxy: URL of the proxy on the way, with its password; None without one.
        timeout_s: of one attempt.
    """

    endpoint: str
    protocol: Protocol
    signal: Signal
    target: str
    url: str
    secure: bool
    headers: tuple[tuple[str, str], ...]
    resource_attributes: tuple[tuple[str, ResourceValue], ...]
    tls: Tls
    gzip: bool
    batch_export: BatchExport
    proxy: str | None
    timeout_s: float

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        environment: Mapping[str, str],
        detected: Mapping[str, ResourceValue] | None = None,
        signal: Signal = "traces",
    ) -> Destination:
        """Return the destination of a plugin entry's signal.

        Args:
            settings: of the entry.
            environment: of the sidecar.
            detected: the result of resource.detect().
            signal: to send.

        Raises:
            ConfigError: if the endpoint or a header cannot be used, also one from the environment.
        """
        variables = ExporterVariables.read(environment, signal)
        protocol = settings.protocol or variables.protocol or "grpc"
        configured = _configured_endpoint(settings, protocol, signal)
        endpoint = configured or _environment_endpoint(variables, protocol, signal)
        # A variable's value is not part of an error: it can have a password, and Kong has not checked it.
        variable = "" if configured else variables.endpoint_variable
        headers = _headers(settings, variables)
        field = "headers" if settings.headers else variables.headers_variable
        if protocol == "grpc" and (faults := list(metadata_faults(field, headers))):
            raise ConfigError(faults)
        address = _address(endpoint, protocol, signal, variables, environment, variable=variable)
        compression = settings.compression or variables.compression
        if compression is None:
            # Gzip is a fifth of what a kept request costs the sidecar, and saves nothing within a machine.
            compression = "none" if is_loopback(_host_and_port(address["target"])[0]) else "gzip"
        return cls(
            endpoint=endpoint,
            protocol=protocol,
            signal=signal,
            **address,
            headers=headers,
            resource_attributes=resource_attributes(settings, detected or {}, environment),
            tls=_tls(settings.tls, variables),
            gzip=compression == "gzip",
            batch_export=settings.batch_export,
            timeout_s=variables.timeout_s,
        )

    @classmethod
    def from_description(cls, description: str, environment: Mapping[str, str]) -> tuple[Destination, bool]:
        """Return the destination that a description() was made of; its headers can only be the environment's.

        Args:
            description: as stored.
            environment: of the sidecar.

        Returns:
            The destination, and whether any of its secrets is missing.

        Raises:
            ValueError, KeyError, TypeError: if the text is not such a description.
        """
        fields = json.loads(description)
        names, has_secret_key = fields.pop("header_names"), fields.pop("has_secret_key")
        signal = fields.setdefault("signal", "traces")
        variables = ExporterVariables.read(environment, signal)
        headers = variables.headers
        is_complete = sorted(name for name, _ in headers) == sorted(names)
        found = cls(
            **{
                **fields,
                **_address(fields["endpoint"], fields["protocol"], signal, variables, environment),
                "headers": headers if is_complete else (),
                "resource_attributes": tuple((key, value) for key, value in fields["resource_attributes"]),
                "tls": Tls(**fields["tls"]),
                "batch_export": BatchExport(**fields["batch_export"]),
                "timeout_s": variables.timeout_s,
            }
        )
        return found, bool(names and not is_complete) or has_secret_key

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The two parts of `target`; an IPv6 address without its brackets."""
        return _host_and_port(self.target)

    @property
    def address(self) -> str:
        """The endpoint without its query, which can have a key."""
        return self.endpoint.partition("?")[0]

    @property
    def label(self) -> str:
        """Its name on /metrics, in the log and on the page; the address alone is that of traces."""
        return self.address if self.signal == "traces" else f"{self.address} ({self.signal})"

    @property
    def traits(self) -> dict[str, Any]:
        """The parts that tell it from another one of the same endpoint; no value of a header is among them."""
        return {
            "service_name": dict(self.resource_attributes).get("service.name"),
            "header_names": sorted(name for name, _ in self.headers),
        }

    @cached_property
    def identity(self) -> bytes:
        """Everything that distinguishes it from other destinations: all but limits and sizes. With its secrets."""
        fields = {**self._endpoint_fields(), "headers": self.headers, "key": self.tls.client_key}
        return json.dumps(fields, sort_keys=True).encode("utf-8", "surrogatepass")

    @property
    def description(self) -> str:
        """Everything but secrets, for from_description()."""
        fields = {**self._endpoint_fields(), "gzip": self.gzip, "batch_export": asdict(self.batch_export)}
        return json.dumps(fields, sort_keys=True)

    def _endpoint_fields(self) -> dict[str, Any]:
        key = self.tls.client_key
        has_secret_key = key is not None and is_text(key)
        tls = replace(self.tls, client_key=None) if has_secret_key else self.tls
        return {
            "endpoint": self.endpoint,
            "protocol": self.protocol,
            # Earlier versions sent traces alone, and had no field for it.
            **({} if self.signal == "traces" else {"signal": self.signal}),
            "header_names": sorted(name for name, _ in self.headers),
            "resource_attributes": self.resource_attributes,
            "tls": asdict(tls),
            "has_secret_key": has_secret_key,
        }


def endpoint_key(description: str) -> str:
    """Return a key that is equal for destinations which differ in secret values and in limits alone.

    Args:
        description: of Destination.description.
    """
    fields = json.loads(description)
    return json.dumps({name: fields[name] for name in sorted(fields) if name not in {"gzip", "batch_export"}})


def is_text(pem: str) -> bool:
    """Tell a PEM text from a path."""
    return pem.lstrip().startswith("-----BEGIN")


def _configured_endpoint(settings: Settings, protocol: Protocol, signal: Signal) -> str | None:
    own = {"metrics": settings.metrics.endpoint, "logs": settings.logs.endpoint}.get(signal)
    if own or not settings.endpoint or signal == "traces":
        return own or settings.endpoint
    if protocol == "grpc" or urlsplit(settings.endpoint).path in {"", "/"}:
        return settings.endpoint
    # A path is the whole URL's, and that of traces.
    before, traces, query = settings.endpoint.partition(signal_path("traces"))
    if not traces or query[:1] not in {"", "?"}:
        rule = f"is required: the path of `endpoint` does not end in /v1/traces, so that of {signal} is not known"
        raise ConfigError([Fault(f"{signal}.endpoint", "", rule)])
    return before + signal_path(signal) + query


def _environment_endpoint(variables: ExporterVariables, protocol: Protocol, signal: Signal) -> str:
    if not variables.endpoint:
        return f"http://localhost:{OTLP_PORTS[protocol]}"
    if variables.is_base and protocol != "grpc":
        base, mark, query = variables.endpoint.partition("?")
        return re.sub(r"(?<=[^/:])/+$", "", base) + signal_path(signal) + mark + query
    return variables.endpoint


def _address(
    endpoint: str,
    protocol: Protocol,
    signal: Signal,
    variables: ExporterVariables,
    environment: Mapping[str, str],
    *,
    variable: str = "",
) -> dict[str, Any]:
    text = endpoint.removeprefix("dns:///")  # as gRPC clients write it
    if "://" not in text:
        # The specification's default is TLS.
        text = f"{'http' if variables.insecure else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        host = unquote(parts.hostname or "")
    except ValueError:
        parts, host = urlsplit(""), ""
    port = _port(parts)
    shown = (variable, "") if variable else ("endpoint", endpoint)
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or port == 0:
        rule = "must be http://host:port or https://host:port"
        if text.count(":") > 2:
            rule += "; an IPv6 address stands in []"
        elif port == 0:
            rule += "; the port must be a number from 1 to 65535"
        raise ConfigError([Fault(*shown, rule + ("" if variable else variable_hint(endpoint)))])
    if "@" in parts.netloc:
        raise ConfigError([Fault(shown[0], "", "must not have a user and password; use a header")])
    if protocol == "grpc" and parts.path not in {"", "/"}:
        rule = "must not have a path: OTLP over gRPC has none; for OTLP over HTTP set protocol to http/protobuf"
        raise ConfigError([Fault(*shown, rule)])
    bracketed = f"[{host}]" if ":" in host else host
    port = port or (_HTTPS_PORT if parts.scheme == "https" else OTLP_PORTS[protocol])
    target = f"{bracketed}:{port}"
    path = parts.path if parts.path not in {"", "/"} else signal_path(signal)
    url = urlunsplit((parts.scheme, target, path, parts.query, ""))
    proxy = proxy_of(parts.scheme, host, port, environment)
    return {"target": target, "url": url, "secure": parts.scheme == "https", "proxy": proxy}


def _port(parts: SplitResult) -> int | None:
    """Return the port of a URL; None without one, 0 for one that no URL can have."""
    try:
        return parts.port
    except ValueError:
        return 0


def _host_and_port(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def _tls(tls: Tls, variables: ExporterVariables) -> Tls:
    tls = replace(tls, ca_cert=tls.ca_cert or variables.ca_cert)
    if tls.client_cert is None and tls.client_key is None:  # a pair comes from one place
        tls = replace(tls, client_cert=variables.client_cert, client_key=variables.client_key)
    return tls


def _headers(settings: Settings, variables: ExporterVariables) -> tuple[tuple[str, str], ...]:
    if settings.headers:
        lines = (line.partition(":") for line in settings.headers if not is_vault_reference(line))
        return tuple((name.strip().lower(), value.strip()) for name, _, value in lines)
    return variables.headers

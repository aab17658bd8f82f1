"""From an entry of Kong's bundled opentelemetry or zipkin plugin to the equivalent otlp-tracing entry. Pure.

What has no equivalent is said in a note, never left out in silence; so is what behaves better without being
asked, where a user would wonder.

Source: kong/plugins/opentelemetry/schema.lua, kong/plugins/zipkin/schema.lua and
kong/observability/tracing/propagation/init.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["BUNDLED", "Equivalent", "equivalent"]

BUNDLED = ("opentelemetry", "zipkin")
"""The plugins there are equivalents for."""

Config = dict[str, Any]

# kong/observability/tracing/propagation/init.lua, get_plugin_params: what header_type stood for.
_EVERY_FORMAT = ["b3", "w3c", "jaeger", "ot", "datadog", "aws", "gcp"]
_ZIPKIN_RATE = 0.001
_OURS = {"traces_endpoint", "endpoint", "headers", "resource_attributes", "sampling_rate", "propagation", "queue"}
_OURS |= {"header_type", "default_header_type", "http_response_header_for_traceid", "batch_span_count"}
_OURS |= {"batch_flush_delay", "http_endpoint", "sample_ratio", "local_service_name"}
_NOT_NEEDED = {
    "connect_timeout": "timeouts towards the collector are ours, 10 s an attempt",
    "send_timeout": "",
    "read_timeout": "",
    "logs_endpoint": "logs are not sent; Kong's log plugins carry the trace id in every line",
    "include_credential": "credentials are never recorded",
    "default_service_name": "the upstream is named by server.address and kong.service.name",
    "traceid_byte_count": "trace ids have 16 bytes; B3 callers with 8 are understood",
    "tags_header": "clients cannot write attributes; capture.request_headers records headers of your choice",
    "static_tags": "put what is the same for every span into resource_attributes",
    "http_span_name": "spans are named by method and route: GET /users/{id}",
    "phase_duration_flavor": "Kong's own times are kong.latency.* attributes",
}


@dataclass(frozen=True)
class Equivalent:
    """What a bundled plugin's configuration becomes.

    Args:
        config: of otlp-tracing; fields left out have their defaults.
        notes: what has no equivalent or asks for a decision, a sentence each.
    """

    config: Config
    notes: tuple[str, ...]


def equivalent(plugin: str, config: Mapping[str, Any]) -> Equivalent:
    """Translate one entry.

    Args:
        plugin: one of BUNDLED.
        config: as a person wrote it; what is not set has the bundled plugin's default.
    """
    translated, notes = (_of_opentelemetry if plugin == "opentelemetry" else _of_zipkin)(config)
    _batches(config, translated)
    propagation, remarks = _propagation(plugin, config)
    if propagation:
        translated["propagation"] = propagation
    return Equivalent(translated, (*notes, *remarks, *_rest(config)))


def _of_opentelemetry(config: Mapping[str, Any]) -> tuple[Config, list[str]]:
    translated: Config = {}
    notes = []
    endpoint = config.get("traces_endpoint", config.get("endpoint"))
    if endpoint:
        # It speaks OTLP over HTTP only; a collector that takes it takes ours the same way.
        translated |= {"endpoint": endpoint, "protocol": "http/protobuf"}
        notes.append("endpoint: sent over HTTP as before; most collectors take gRPC on port 4317 too, the default")
    if headers := config.get("headers"):
        translated["headers"] = [_header_line(name, str(value)) for name, value in headers.items()]
        notes += [
            f"headers: {name}: a vault reference must be the whole line, so the secret has to hold `{name}: …`"
            for name, value in headers.items()
            if _is_reference(str(value))
        ]
    attributes = {"service.name": "kong", **(config.get("resource_attributes") or {})}
    translated["resource_attributes"] = [{"key": key, "value": str(value)} for key, value in attributes.items()]
    if config.get("sampling_rate") is not None:
        translated["sampling"] = {"rate": config["sampling_rate"]}
    else:
        notes.append("sampling.rate: was tracing_sampling_rate of kong.conf, 0.01 unless set; put it here")
        translated["sampling"] = {"rate": 0.01}
    return translated, notes


def _header_line(name: str, value: str) -> str:
    return value if _is_reference(value) else f"{name}: {value}"


def _is_reference(value: str) -> bool:
    return value.startswith("{vault://")


def _of_zipkin(config: Mapping[str, Any]) -> tuple[Config, list[str]]:
    notes = []
    if config.get("http_endpoint"):
        notes.append(
            f"endpoint: {config['http_endpoint']} takes Zipkin's format; send to a collector with a zipkin exporter "
            "(kong/collector/zipkin.yaml)"
        )
    return {
        "endpoint": "http://otel-collector:4317",
        "resource_attributes": [{"key": "service.name", "value": config.get("local_service_name", "kong")}],
        "sampling": {"rate": config.get("sample_ratio", _ZIPKIN_RATE)},
    }, notes


def _batches(config: Mapping[str, Any], translated: Config) -> None:
    queue = config.get("queue") or {}
    size = queue.get("max_batch_size", config.get("batch_span_count"))
    seconds = queue.get("max_coalescing_delay", config.get("batch_flush_delay"))
    batch = {}
    if size is not None:
        batch["send_batch_size"] = min(max(int(size), 1), 8192)
    if seconds is not None:
        batch["timeout"] = min(max(round(float(seconds) * 1000), 1), 600_000)
    if queue.get("max_retry_time") is not None:
        batch["max_retry_time"] = int(queue["max_retry_time"])
    if batch:
        translated["batch_export"] = batch


def _propagation(plugin: str, config: Mapping[str, Any]) -> tuple[Config, list[str]]:
    given = config.get("propagation") or {}
    default = (
        given.get("default_format") or config.get("default_header_type") or ("b3" if plugin == "zipkin" else "w3c")
    )
    if any(given.get(name) is not None for name in ("extract", "inject", "clear")):
        extract, inject = given.get("extract") or [], given.get("inject") or []
    else:
        extract, inject = _of_header_type(config.get("header_type", "preserve"), default)
    notes = []
    written = [name for name in inject if name != "preserve"]
    if "preserve" in inject:
        written = list(dict.fromkeys([*written, default]))
        notes.append(
            f"propagation.inject: preserve is how it always is: the caller's format is written too; {default} is "
            "written besides, to callers of any format"
        )
    propagation: Config = {"inject": written, "clear": list(given.get("clear") or [])}
    if extract:
        propagation["extract"] = extract
    else:
        propagation["incoming"] = "ignore"
    if name := config.get("http_response_header_for_traceid"):
        propagation["response_header"] = name
    return {name: value for name, value in propagation.items() if value or name == "inject"}, notes


def _of_header_type(header_type: str, default: str) -> tuple[list[str], list[str]]:
    if header_type == "ignore":
        return [], [default]
    return _EVERY_FORMAT, ["preserve"] if header_type == "preserve" else ["preserve", header_type]


def _rest(config: Mapping[str, Any]) -> Iterator[str]:
    for name in config:
        if name not in _OURS:
            reason = _NOT_NEEDED.get(name, "has no equivalent")
            if reason:
                yield f"{name}: {reason}"
    queue = config.get("queue") or {}
    for name in queue:
        if name not in {"max_batch_size", "max_coalescing_delay", "max_retry_time"}:
            yield f"queue.{name}: spans wait on disk, bounded by batch_export.spool_max_bytes"

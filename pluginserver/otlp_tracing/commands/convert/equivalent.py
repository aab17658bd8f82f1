"""The otlp-tracing configuration that does what one of Kong's bundled opentelemetry or zipkin plugin did.

A field without an equivalent has a note, and so has a behaviour that changes for the better.

Source: kong/plugins/opentelemetry/schema.lua, kong/plugins/zipkin/schema.lua and
kong/observability/tracing/propagation/init.lua of Kong 3.9.3, and kong/tools/queue.lua.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

BUNDLED = ("opentelemetry", "zipkin")
"""The plugins that have an equivalent."""

Config = dict[str, Any]

# kong/observability/tracing/propagation/init.lua, get_plugin_params: the formats that header_type meant.
_EVERY_FORMAT = ["b3", "w3c", "jaeger", "ot", "datadog", "aws", "gcp"]
_ZIPKIN_RATE = 0.001
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_USERINFO = re.compile(r"//[^/]*@")
_FIELD_NAME = re.compile(r"\w{1,40}")
_CARRIED_OVER = {
    "traces_endpoint",
    "endpoint",
    "headers",
    "resource_attributes",
    "sampling_rate",
    "propagation",
    "queue",
}
_CARRIED_OVER |= {"header_type", "default_header_type", "http_response_header_for_traceid", "batch_span_count"}
_CARRIED_OVER |= {"batch_flush_delay", "http_endpoint", "sample_ratio", "local_service_name", "static_tags"}
_NOT_NEEDED = {
    "connect_timeout": "an attempt to export takes at most 10 s",
    "send_timeout": "",
    "read_timeout": "",
    "logs_endpoint": "the lines of Kong's own log are not sent; logs.enabled sends a record of each request",
    "include_credential": "credentials are never recorded",
    "default_service_name": "the upstream is named by server.address and kong.service.name",
    "traceid_byte_count": "trace ids have 16 bytes; B3 callers with 8 are understood",
    "tags_header": "clients cannot write attributes; capture.request_headers records headers of your choice",
    "http_span_name": "spans are named by method and route: GET /users/{id}",
    "phase_duration_flavor": "Kong's own times are kong.latency.* attributes",
}


@dataclass(frozen=True)
class Equivalent:
    """The equivalent of a bundled plugin's configuration.

    Args:
        config: of otlp-tracing; missing fields have their defaults.
        notes: a sentence for each field that has no equivalent, or that asks for a decision.
    """

    config: Config
    notes: tuple[str, ...]


# Forms of kong/plugins/{opentelemetry,zipkin}/schema.lua; a field of another form is not carried over.
_NUMBER, _NAME, _RECORD = (int, float), (str,), (dict,)
_FORMS: Mapping[str, tuple[type, ...]] = {
    "headers": _RECORD, "resource_attributes": _RECORD, "queue": _RECORD, "propagation": _RECORD,
    "header_type": _NAME, "default_header_type": _NAME, "default_format": _NAME, "traces_endpoint": _NAME,
    "endpoint": _NAME, "http_endpoint": _NAME, "local_service_name": _NAME, "max_batch_size": _NUMBER,
    "max_coalescing_delay": _NUMBER, "max_retry_time": _NUMBER, "batch_span_count": _NUMBER,
    "batch_flush_delay": _NUMBER, "extract": (list,), "inject": (list,), "clear": (list,),
    "static_tags": (list,),
}  # fmt: skip
_RETRY_SECONDS = 60
"""The default of queue.max_retry_time, which a dump always has."""
_LONGEST_RETRY_SECONDS = 2_592_000  # the bound of batch_export.max_retry_time: 30 days
_QUEUE_DEFAULTS = {
    "max_batch_size": (1, 200),
    "max_coalescing_delay": (1,),
    "batch_span_count": (200,),
    "batch_flush_delay": (3,),
}
"""Defaults of Kong 3.4 to 3.9, in a dump too; a batch of one span is no wish of a person's."""


def equivalent(plugin: str, config: object) -> Equivalent:
    """Translate one entry.

    Args:
        plugin: one of BUNDLED.
        config: of any form; a field that is null or missing has the bundled plugin's default.
    """
    notes: list[str] = []
    given = _well_formed(config, "", notes)
    translated, more = (_of_opentelemetry if plugin == "opentelemetry" else _of_zipkin)(given)
    notes += more
    _batches(given, translated, notes)
    propagation, remarks = _propagation(plugin, given)
    if propagation:
        translated["propagation"] = propagation
    return Equivalent(translated, (*notes, *remarks, *_rest(given)))


def _well_formed(config: object, path: str, notes: list[str]) -> Config:
    if not isinstance(config, dict):
        notes.append("config: is not a record; nothing of it is carried over")
        return {}
    found = {}
    for name, value in config.items():
        if value is None:
            continue
        form = _FORMS.get(name)
        is_number = not isinstance(value, float) or math.isfinite(value)
        if form and (not isinstance(value, form) or isinstance(value, bool) or not is_number):
            notes.append(f"{path}{name}: is not of the form that the bundled plugin takes; it is not carried over")
        elif form and name in {"queue", "propagation"}:
            found[name] = _well_formed(value, f"{name}.", notes)
        else:
            found[name] = value
    return found


def _of_opentelemetry(config: Mapping[str, Any]) -> tuple[Config, list[str]]:
    translated: Config = {}
    notes = []
    endpoint = config.get("traces_endpoint") or config.get("endpoint")
    if endpoint:
        # The bundled plugin speaks OTLP over HTTP only.
        translated |= {"endpoint": endpoint, "protocol": "http/protobuf"}
        notes.append("endpoint: sent over HTTP as before; most collectors take gRPC on port 4317 too, the default")
    if headers := config.get("headers"):
        translated["headers"] = [_header_line(name, str(value)) for name, value in headers.items()]
        notes += [
            f"headers: {name}: a vault reference must be the whole line, so the secret has to hold `{name}: …`"
            for name, value in headers.items()
            if _is_reference(str(value))
        ]
    given = {key: value for key, value in (config.get("resource_attributes") or {}).items() if value is not None}
    attributes = {"service.name": "kong", **given}
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
        endpoint = _QUERY.sub("?…", _USERINFO.sub("//…@", config["http_endpoint"]))
        notes.append(
            f"endpoint: {endpoint} takes Zipkin's format; send to a collector with a zipkin exporter "
            "(kong/collector/zipkin.yaml)"
        )
    tags = [one for one in config.get("static_tags", []) if isinstance(one, dict) and _is_tag(one)]
    if len(tags) < len(config.get("static_tags", [])):
        notes.append("static_tags: a tag without a name or a value is not carried over")
    return {
        "endpoint": "http://otel-collector:4317",
        "resource_attributes": [{"key": "service.name", "value": config.get("local_service_name", "kong")}]
        + [{"key": str(one.get("name")), "value": str(one.get("value"))} for one in tags],
        "sampling": {"rate": config.get("sample_ratio", _ZIPKIN_RATE)},
    }, notes


def _is_tag(tag: Mapping[str, Any]) -> bool:
    return bool(tag.get("name")) and all(isinstance(tag.get(one), str | int | float) for one in ("name", "value"))


def _batches(config: Mapping[str, Any], translated: Config, notes: list[str]) -> None:
    queue = config.get("queue") or {}
    # The older field counts, if a dump has it besides the default of the newer one.
    size = _not_default("batch_span_count", config) or _not_default("max_batch_size", queue)
    seconds = _not_default("batch_flush_delay", config) or _not_default("max_coalescing_delay", queue)
    batch = {}
    if size is not None:
        batch["send_batch_size"] = min(max(int(size), 1), 8192)
    if seconds is not None:
        batch["timeout"] = min(max(round(float(seconds) * 1000), 1), 600_000)
    if queue.get("max_retry_time", _RETRY_SECONDS) != _RETRY_SECONDS:
        batch["max_retry_time"] = min(max(int(queue["max_retry_time"]), 0), _LONGEST_RETRY_SECONDS)
    elif "max_retry_time" in queue:
        notes.append(
            f"queue.max_retry_time: {_RETRY_SECONDS}, its default, is left out: spans wait until they are sent"
        )
    if batch:
        translated["batch_export"] = batch


def _not_default(name: str, given: Mapping[str, Any]) -> Any:
    return None if given.get(name) in _QUEUE_DEFAULTS[name] else given.get(name)


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
            "propagation.inject: preserve is the normal behaviour: the caller's format is written too; "
            f"{default} is written besides, whatever the caller's format"
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
        if name not in _CARRIED_OVER:
            reason = _NOT_NEEDED.get(name, "has no equivalent")
            if reason:
                yield f"{name if _FIELD_NAME.fullmatch(str(name)) else '…'}: {reason}"
    rest = (config.get("queue") or {}).keys() - {"max_batch_size", "max_coalescing_delay", "max_retry_time"}
    if names := sorted(f"queue.{name}" for name in rest if _FIELD_NAME.fullmatch(str(name))):
        yield f"{', '.join(names)}: spans wait on disk, bounded by batch_export.spool_max_bytes"

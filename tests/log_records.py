"""Kong's log records side by side: the parts that two requests of the same kind have in common."""

from __future__ import annotations

from typing import Any


def without_zipkin(record: dict[str, Any]) -> dict[str, Any]:
    """Remove the fields that the bundled tracing plugins put into a recorded record."""
    record.pop("trace_id", None)
    headers = record["request"]["headers"]
    record["request"]["headers"] = {name: value for name, value in headers.items() if not name.startswith("x-b3-")}
    return record


def shape(value: Any) -> Any:
    """Give the keys and types at every depth."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def stable(record: dict[str, Any]) -> dict[str, Any]:
    """Give the parts without a time, an address or a random id; ids of routes and services are not random."""
    request, response = record["request"], record["response"]
    tries = [(one.get("state"), one.get("code"), one["ip"]) for one in record.get("tries", [])]
    parts: dict[str, Any] = {name: record.get(name) for name in ("upstream_uri", "upstream_status", "source")}
    for name in ("route", "service", "consumer"):
        entity = {key: value for key, value in record.get(name, {}).items() if key not in {"created_at", "updated_at"}}
        parts[name] = entity if name != "service" else {key: value for key, value in entity.items() if key != "port"}
    return {
        **parts,
        "tries": tries,
        "workspace": (record.get("workspace"), record.get("workspace_name")),
        "request": {name: request[name] for name in ("method", "uri", "querystring")},
        "response": (response["status"], sorted(response["headers"])),
        "unproxied": record["latencies"]["proxy"] == -1,
    }

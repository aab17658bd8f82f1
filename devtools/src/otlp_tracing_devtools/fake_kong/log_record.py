"""The table that `kong.log.serialize()` returns, field by field as Kong 3.9.1 and 3.4.2 have it.

Reads a finished request; changes nothing. Not there, since no bundled tracing plugin runs: `trace_id`.

Source: kong/pdk/log.lua of Kong 3.9.1 and 3.4.2; transcripts 01-25 and kong-3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import DEFAULT_WORKSPACE_ID
from otlp_tracing_devtools.fake_kong.lua_values import EMPTY_ARRAY, encode_json
from otlp_tracing_devtools.fake_kong.paths import decode_query
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError
from otlp_tracing_devtools.fake_kong.version import RECEIVE_LATENCY, REQUEST_ID, SIXTEEN_DIGITS, SOURCE

_SOURCES = {"error": "kong", "exit": "kong", "service": "upstream"}
_REDACTED = ("authorization", "proxy-authorization")


def serialize(context: RequestContext) -> bytes:
    """Give the record as JSON.

    Raises:
        PluginError: a value set with `kong.log.set_serialize_value` cannot be put where its key says.
    """
    root = _record(context)
    for key, value, mode in context.serialize_values:
        _set_value(root, key, value, mode)
    return encode_json(root, 16 if context.version >= SIXTEEN_DIGITS else 14)


def _record(context: RequestContext) -> dict[str, Any]:
    times = context.times
    root: dict[str, Any] = {
        "request": _request(context),
        "upstream_uri": _upstream_uri(context),
        "upstream_status": ", ".join(context.upstream_statuses),
        "response": {
            "status": context.status,
            "headers": context.response_headers.as_lua_table(),
            "size": context.sent_bytes,
        },
        "latencies": {
            "kong": times.kong_ms,
            "proxy": times.waiting_ms,
            "request": times.total_ms / 1000 * 1000,  # $request_time is in seconds
        },
        "tries": EMPTY_ARRAY if context.tries == [] else context.tries,
        "client_ip": context.client_ip,
        "started_at": times.start_ms,
    }
    if context.version >= SOURCE:
        root["source"] = _SOURCES[context.source]
    if context.version >= RECEIVE_LATENCY:
        root["latencies"]["receive"] = times.receive_ms
        root["workspace"], root["workspace_name"] = DEFAULT_WORKSPACE_ID, "default"
    else:
        root["latencies"]["kong"] += times.receive_ms
    root.update(_entities(context))
    return {name: value for name, value in root.items() if value is not None}


def _request(context: RequestContext) -> dict[str, Any]:
    headers = context.headers.as_lua_table()
    headers.update((name, "REDACTED") for name in _REDACTED if name in headers)
    request: dict[str, Any] = {
        **({"id": context.id} if context.version >= REQUEST_ID else {}),
        "uri": context.target,
        "url": f"{context.scheme}://{context.host}:{context.server_port}{context.target}",
        "querystring": decode_query(context.query),
        "method": _method(context),
        "headers": headers,
        "size": context.received_bytes(),
    }
    if context.tls:
        request["tls"] = {"version": context.tls.version, "cipher": context.tls.cipher, "client_verify": "NONE"}
    return request


def _method(context: RequestContext) -> str:
    """Nginx answers an error as a GET for its error page, and over HTTP/2 that shows; kong/pdk/request.lua."""
    lost = context.unexpected and context.http_version >= 2 and context.method != "HEAD"
    return "GET" if lost else context.method


def _upstream_uri(context: RequestContext) -> str:
    path = context.upstream_path
    return f"{path}?{context.query}" if path and context.query is not None else path


def _entities(context: RequestContext) -> dict[str, Mapping[str, Any] | None]:
    # Kong shows a credential by its id alone; its owner is in `consumer`.
    return {
        "route": context.route.record if context.route else None,
        "service": context.service.record if context.service else None,
        "consumer": context.consumer.record if context.consumer else None,
        "authenticated_entity": {"id": context.credential.id} if context.credential else None,
    }


def _set_value(root: dict[str, Any], key: str, value: Any, mode: str) -> None:
    *parents, last = key.split(".")
    node = root
    for name in parents:
        child = node.get(name)
        if child is None:
            if mode == "replace":
                return
            child = node[name] = {}
        elif not isinstance(child, dict):
            raise PluginError(
                f"The key '{key}' could not be used as a serialize value. Subkey '{name}' is not a table."
            )
        elif node is root:
            child = node[name] = dict(child)  # an entity's record is shared by all requests
        node = child
    exists = node.get(last) is not None
    if mode == "set" or (mode == "add" and not exists) or (mode == "replace" and exists):
        node[last] = value

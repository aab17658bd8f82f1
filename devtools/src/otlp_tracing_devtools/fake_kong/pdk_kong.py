"""PDK calls about the log, the context, nginx and the node.

Source: kong/pdk/log.lua, node.lua, vault.lua and exposed_api in plugin_servers/plugin.lua of Kong 3.9.1.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from otlp_tracing_devtools.fake_kong.lua_values import lua_tostring
from otlp_tracing_devtools.fake_kong.pdk_method import BEFORE_ANSWER, IN_LOG, Method, PdkEvent
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError
from otlp_tracing_devtools.fake_kong.vault import dereference

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.plugins")

_NOWHERE: frozenset[str] = frozenset()
_LEVELS = {
    "emerg": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "crit": logging.CRITICAL,
    "err": logging.ERROR,
    "warn": logging.WARNING,
    "notice": logging.INFO,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


def _log_at(level: int) -> Callable[..., None]:
    def write(event: PdkEvent, *words: Any) -> None:
        message = "".join("nil" if word is None else lua_tostring(word) for word in words)
        _log.log(level, "[%s] %s", event.entry.name, message)

    return write


def _set_serialize_value(event: PdkEvent, key: Any, value: Any, options: Any) -> None:
    if not isinstance(key, str):
        raise PluginError("key must be a string")
    mode = options.get("mode", "set") if isinstance(options, dict) else "set"
    if mode not in {"set", "add", "replace"}:
        raise PluginError("mode must be 'set', 'add' or 'replace'")
    event.context.serialize_values.append((key, value, mode))


def _get_ctx(event: PdkEvent, key: Any) -> Any:
    context = event.context
    own: dict[str, Callable[[], Any]] = {
        "KONG_PROCESSING_START": lambda: context.times.start_ms,
        "authenticated_consumer": lambda: context.consumer.record if context.consumer else None,
        "authenticated_credential": lambda: context.credential.record if context.credential else None,
        "route": lambda: context.route.record if context.route else None,
        "service": lambda: context.service.record if context.service else None,
        "plugin_id": lambda: event.entry.id,
    }
    if key in context.ngx_ctx:
        return context.ngx_ctx[key]
    return own[key]() if key in own else None


def _set_ctx(event: PdkEvent, key: Any, value: Any) -> None:
    event.context.ngx_ctx[key] = value


def _get_variable(event: PdkEvent, name: Any) -> str | None:
    context = event.context
    if isinstance(name, str) and name.startswith("http_"):
        return context.headers.get(name.removeprefix("http_").replace("_", "-"))
    variables: dict[str, Callable[[], str]] = {
        "kong_request_id": lambda: context.id,
        "request": lambda: f"{context.method} {context.target} HTTP/{context.http_version}",
        "request_id": lambda: secrets.token_hex(16),  # nginx's own, which is another one than Kong's
        "remote_addr": lambda: context.client_ip,
        "remote_port": lambda: str(context.client_port),
        "server_port": lambda: str(context.server_port),
        "scheme": lambda: context.scheme,
        "host": lambda: context.host,
        "request_method": lambda: context.method,
        "request_uri": lambda: context.target,
        "uri": lambda: context.raw_path,
        "args": lambda: context.query or "",
        "request_time": lambda: f"{context.times.total_ms / 1000:.3f}",
        "request_length": lambda: str(context.received_bytes()),
        "server_protocol": lambda: f"HTTP/{context.http_version}",
        "upstream_uri": lambda: context.upstream_path,
        "upstream_host": lambda: context.upstream_host or "",
    }
    return variables[name]() if name in variables else None


def _set_shared(event: PdkEvent, key: Any, value: Any) -> None:
    event.context.shared[key] = value


def _vault_get(_event: PdkEvent, reference: Any) -> str | None:
    if not isinstance(reference, str):
        raise PluginError("reference must be a string")
    return dereference(reference)


def _statistics(_event: PdkEvent) -> dict[str, int]:
    names = ("active", "reading", "writing", "waiting", "accepted", "handled")
    return {"total_requests": 1, **{f"connections_{name}": 1 for name in names}}


_CALLS: Mapping[str, Method] = {
    "kong.log.serialize": Method(lambda event: event.context.record.decode("utf-8", "surrogateescape"), IN_LOG),
    "kong.log.set_serialize_value": Method(_set_serialize_value),
    "kong.ctx.shared.get": Method(lambda event, key: event.context.shared.get(key)),
    "kong.ctx.shared.set": Method(_set_shared),
    "kong.nginx.get_ctx": Method(_get_ctx),
    "kong.nginx.set_ctx": Method(_set_ctx),
    "kong.nginx.get_var": Method(_get_variable, BEFORE_ANSWER),
    "kong.nginx.get_subsystem": Method(lambda _: "http"),
    "kong.nginx.get_statistics": Method(_statistics),
    "kong.nginx.get_tls1_version_str": Method(lambda event: event.context.tls.version if event.context.tls else None),
    "kong.nginx.req_start_time": Method(lambda event: event.context.times.start_ms / 1000),
    "kong.node.get_id": Method(lambda event: event.context.node_id),
    "kong.node.get_hostname": Method(lambda _: socket.gethostname()),
    "kong.node.get_memory_stats": Method(lambda _: {"lua_shared_dicts": {}, "workers_lua_vms": [{"pid": os.getpid()}]}),
    "kong.cluster.get_id": Method(lambda _: None),
    "kong.plugin.get_id": Method(lambda event: event.entry.id),
    "kong.ip.is_trusted": Method(lambda _, _ip: False),
    "kong.vault.get": Method(_vault_get),
    "kong.tracing.get_sampling_decision": Method(lambda _: None, _NOWHERE),
    "kong.tracing.start_span": Method(lambda _: None, _NOWHERE),
    "kong.tracing.active_span": Method(lambda _: None, _NOWHERE),
    "kong.version": Method(lambda _: None, _NOWHERE),  # a string: "attempt to call"
    "kong.version_num": Method(lambda _: None, _NOWHERE),
}

KONG_METHODS: Mapping[str, Method] = {
    **_CALLS,
    **{f"kong.log.{name}": Method(_log_at(level)) for name, level in _LEVELS.items()},
}
"""The calls under kong.log, kong.ctx, kong.nginx, kong.node, kong.plugin and kong.vault."""

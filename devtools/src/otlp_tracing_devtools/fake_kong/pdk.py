"""The PDK as Kong shows it to external plugins, in the calls that otlp-tracing, the recorded plugin and tests make.

Each call throws outside its phases, as in Kong. An unknown name is answered with nil.

Source: exposed_api in kong/runloop/plugin_servers/plugin.lua; kong/pdk/request.lua, service/request.lua, response.lua,
log.lua and private/checks.lua of Kong 3.9.1; transcripts/probes-*.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otlp_tracing_devtools.fake_kong.answers import table_answer
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import PluginEntry
from otlp_tracing_devtools.fake_kong.headers import MAX_LUA_HEADERS, Headers
from otlp_tracing_devtools.fake_kong.lua_values import encode_text, lua_tostring
from otlp_tracing_devtools.fake_kong.msgpack_codec import EmptyMap
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError, RequestExited
from otlp_tracing_devtools.fake_kong.version import HEADER_LISTS

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.plugins")

_IN_LOG = frozenset({"log"})
_BEFORE_ANSWER = frozenset({"rewrite", "access"})
_ANY_PHASE = frozenset({"rewrite", "access", "log"})


@dataclass(frozen=True)
class _Event:
    """One phase of one request for one plugin entry."""

    context: RequestContext
    phase: str
    entry: PluginEntry


@dataclass(frozen=True)
class _Method:
    """A PDK function: takes an `_Event` and the plugin's arguments."""

    function: Callable[..., Any]
    phases: frozenset[str] = _ANY_PHASE

    def fitted(self, values: list[Any]) -> list[Any]:
        """Give as many arguments as the function takes: Lua drops surplus ones and fills up with nil."""
        wanted = _parameters(self.function)
        return values if wanted is None else [*values, *[None] * wanted][:wanted]


@functools.cache
def _parameters(function: Callable[..., Any]) -> int | None:
    """Count a function's parameters behind the event; None when it takes any number."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return len(parameters) - 1


class Pdk:
    """Runs the PDK calls of one event."""

    def __init__(self, context: RequestContext, phase: str, entry: PluginEntry) -> None:
        self._event = _Event(context, phase, entry)

    async def call(self, method: str, arguments: Any) -> Any:
        """See `PdkCaller`. Only the first result counts: an error message beside nil is lost in Kong, too."""
        found = _METHODS.get(method)
        if found is None:
            _log.error("[%s] could not find pdk method: %s", self._event.entry.name, method)
            return None
        if self._event.phase not in found.phases:
            only = ", ".join(sorted(found.phases))
            raise PluginError(f"function cannot be called in {self._event.phase} phase (only in: {only})")
        values = arguments if isinstance(arguments, list) else [] if arguments is None else [arguments]
        return found.function(self._event, *found.fitted(values))


def _get_header(event: _Event, name: Any) -> str | None:
    if not isinstance(name, str):
        raise PluginError("header name must be a string")
    return event.context.headers.get(name.replace("_", "-"))  # `_` in a name means `-`, as in nginx


def _get_headers(event: _Event, most: Any) -> Any:
    """Give every value as a list, as a multi map has it."""
    table = event.context.headers.as_lua_table(int(most or MAX_LUA_HEADERS))
    return {name: value if isinstance(value, list) else [value] for name, value in table.items()} or EmptyMap()


def _set_header(event: _Event, name: Any, value: Any) -> None:
    if isinstance(value, (list, dict)) and event.context.version < HEADER_LISTS:
        raise PluginError(f'invalid header value for "{name}": got table, expected string, number or boolean')
    _set_request_lines(event, name, _lines(name, value))


def _set_headers(event: _Event, headers: Any) -> None:
    if headers == []:
        return
    if not isinstance(headers, dict):
        raise PluginError("headers must be a table")
    for name, lines in [(name, _lines(name, value)) for name, value in headers.items()]:  # all are checked first
        _set_request_lines(event, name, lines)


def _set_request_lines(event: _Event, name: str, lines: list[str]) -> None:
    if name.lower() == "host":
        event.context.upstream_host = lines[0] if lines else None
    event.context.headers.set(name, lines)


def _set_response_header(event: _Event, name: Any, value: Any) -> None:
    event.context.extra_response_headers.set(name, _lines(name, value))


def _exit(event: _Event, status: Any, body: Any, headers: Any) -> None:
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
        raise PluginError("code must be a number between 100 and 599")
    lines = Headers()
    for name, value in (headers or {}).items():
        lines.set(name, _lines(name, value))
    if isinstance(body, (dict, list)):
        answer = table_answer(event.context, status, body)
        raise RequestExited(status, answer.body, Headers([*lines, *answer.headers]))
    if body is not None and not isinstance(body, str):
        raise PluginError("body must be a nil, string or table")
    raise RequestExited(status, encode_text(body or ""), lines)


def _lines(name: Any, value: Any) -> list[str]:
    """Check a header as Kong does and give its lines; an empty string becomes one space.

    Raises:
        PluginError: the name is no string, or the value neither string, number, boolean nor list of strings.
    """
    if not isinstance(name, str):
        raise PluginError(f"invalid header name: got {_type_name(name)}, expected string")
    if isinstance(value, dict):
        value = list(value.values()) if all(isinstance(key, int) for key in value) else []
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise PluginError(f'invalid header value in array "{name}": got {_type_name(item)}, expected string')
        return [item or " " for item in value]
    if value is None:
        rule = "got nil, expected array of string, string, number or boolean"
        raise PluginError(f'invalid header value for "{name}": {rule}')
    return [lua_tostring(value) or " "]


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", dict: "table", list: "table"}
    return names.get(type(value), "nil")


def _get_variable(event: _Event, name: Any) -> str | None:
    context = event.context
    variables = {
        "request": f"{context.method} {context.target} HTTP/{context.http_version}",
        # It trusts no peer, as a Kong without `trusted_ips`.
        "upstream_x_forwarded_proto": context.scheme,
        "upstream_x_forwarded_host": context.host,
        "upstream_x_forwarded_port": str(context.server_port),
    }
    return variables.get(name)


def _set_serialize_value(event: _Event, key: Any, value: Any, options: Any) -> None:
    if not isinstance(key, str):
        raise PluginError("key must be a string")
    mode = options.get("mode", "set") if isinstance(options, dict) else "set"
    if mode not in {"set", "add", "replace"}:
        raise PluginError("mode must be 'set', 'add' or 'replace'")
    event.context.serialize_values.append((key, value, mode))


def _notice(event: _Event, *words: Any) -> None:
    message = "".join("nil" if word is None else lua_tostring(word) for word in words)
    _log.info("[%s] %s", event.entry.name, message)


def _set_shared(event: _Event, key: Any, value: Any) -> None:
    event.context.shared[key] = value


_METHODS: Mapping[str, _Method] = {
    "kong.ctx.shared.get": _Method(lambda event, key: event.context.shared.get(key)),
    "kong.ctx.shared.set": _Method(_set_shared),
    "kong.log.notice": _Method(_notice),
    "kong.log.serialize": _Method(lambda event: event.context.record.decode("utf-8", "surrogateescape"), _IN_LOG),
    "kong.log.set_serialize_value": _Method(_set_serialize_value),
    "kong.nginx.get_var": _Method(_get_variable, _BEFORE_ANSWER),
    "kong.request.get_header": _Method(_get_header),
    "kong.request.get_headers": _Method(_get_headers),
    "kong.response.exit": _Method(_exit, _BEFORE_ANSWER),
    "kong.response.get_source": _Method(lambda event: event.context.source, _IN_LOG),
    "kong.response.get_status": _Method(lambda event: event.context.status, _IN_LOG),
    "kong.response.set_header": _Method(_set_response_header, _BEFORE_ANSWER),
    "kong.service.request.set_header": _Method(_set_header, _BEFORE_ANSWER),
    "kong.service.request.set_headers": _Method(_set_headers, _BEFORE_ANSWER),
}

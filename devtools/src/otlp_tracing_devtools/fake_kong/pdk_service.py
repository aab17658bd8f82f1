"""PDK calls that change the request to the upstream or the answer to the client.

Source: kong/pdk/service.lua, service/request.lua, response.lua, private/checks.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from otlp_tracing_devtools.fake_kong.answers import error_answer, table_answer
from otlp_tracing_devtools.fake_kong.context import Peer, RequestContext
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.lua_values import encode_json, encode_text, lua_tostring
from otlp_tracing_devtools.fake_kong.paths import escape
from otlp_tracing_devtools.fake_kong.pdk_method import BEFORE_ANSWER, IN_ACCESS, IN_LOG, Method, PdkEvent
from otlp_tracing_devtools.fake_kong.pdk_request import first_header, multi_map
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError, RequestExited
from otlp_tracing_devtools.fake_kong.version import HEADER_LISTS

_NOWHERE: frozenset[str] = frozenset()
_METHODS = frozenset({
    "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE",
    "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
})  # fmt: skip


def header_values(name: Any, value: Any) -> list[str]:
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


def _set_header(event: PdkEvent, name: Any, value: Any) -> None:
    if isinstance(value, (list, dict)) and event.context.version < HEADER_LISTS:
        raise PluginError(f'invalid header value for "{name}": got table, expected string, number or boolean')
    _set_values(event, name, header_values(name, value))


def _set_values(event: PdkEvent, name: str, values: list[str]) -> None:
    if name.lower() == "host":
        event.context.upstream_host = values[0] if values else None
    event.context.headers.set(name, values)


def _add_header(event: PdkEvent, name: Any, value: Any) -> None:
    values = header_values(name, value)
    if isinstance(value, (list, dict)):
        raise PluginError("bad argument #2 to '__newindex' (a list of lists is no header value)")
    if name.lower() == "host":
        event.context.upstream_host = values[0]
    event.context.headers.set(name, [*event.context.headers.get_all(name), *values])


def _clear_header(event: PdkEvent, name: Any) -> None:
    if not isinstance(name, str):
        raise PluginError("header must be a string")
    event.context.headers.remove(name)


def _set_headers(event: PdkEvent, headers: Any) -> None:
    for name, values in _checked_headers(headers):
        _set_values(event, name, values)


def _checked_headers(headers: Any) -> list[tuple[str, list[str]]]:
    """Check all before any is set."""
    if headers == []:
        return []
    if not isinstance(headers, dict):
        raise PluginError("headers must be a table")
    return [(name, header_values(name, value)) for name, value in headers.items()]


def _set_method(event: PdkEvent, method: Any) -> None:
    if method not in _METHODS:
        raise PluginError(f"invalid method: {method}")
    event.context.method = method


def _set_path(event: PdkEvent, path: Any) -> None:
    if not isinstance(path, str) or not path.startswith("/"):
        raise PluginError("path must start with /")
    event.context.upstream_path = escape(path)


def _set_raw_query(event: PdkEvent, query: Any) -> None:
    if not isinstance(query, str):
        raise PluginError("query must be a string")
    event.context.query = query


def _set_query(event: PdkEvent, arguments: Any) -> None:
    if not isinstance(arguments, dict):
        raise PluginError("args must be a table")
    parts = []
    for name, value in sorted(arguments.items()):
        for item in value if isinstance(value, list) else [value]:
            parts.append(_argument(name) if item is True else f"{_argument(name)}={_argument(lua_tostring(item))}")
    event.context.query = "&".join(parts)


def _argument(text: str) -> str:
    return quote_plus(encode_text(text)).replace("+", "%20")


def _set_raw_body(event: PdkEvent, body: Any) -> None:
    if not isinstance(body, str):
        raise PluginError("body must be a string")
    event.context.raw_body = encode_text(body)


def _set_target(event: PdkEvent, host: Any, port: Any) -> None:
    if not isinstance(host, str):
        raise PluginError("host must be a string")
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise PluginError("port must be an integer between 0 and 65535")
    event.context.peer = Peer(host, port)


def _set_upstream(event: PdkEvent, name: Any) -> None:
    if name not in event.declaration.upstreams:
        raise PluginError(f"could not find an Upstream named '{name}'")
    event.context.peer = Peer(name, 80)


def _set_retries(event: PdkEvent, retries: Any) -> None:
    if not isinstance(retries, int) or not 0 <= retries <= 32767:
        raise PluginError("retries must be an integer between 0 and 32767")
    event.context.retries = retries


def _response_headers(context: RequestContext) -> Headers:
    return context.extra_response_headers


def _set_response_header(event: PdkEvent, name: Any, value: Any) -> None:
    _response_headers(event.context).set(name, header_values(name, value))


def _set_response_headers(event: PdkEvent, headers: Any) -> None:
    for name, values in _checked_headers(headers):
        _response_headers(event.context).set(name, values)


def _add_response_header(event: PdkEvent, name: Any, value: Any) -> None:
    for line in header_values(name, value):
        _response_headers(event.context).add(name, line)


def _clear_response_header(event: PdkEvent, name: Any) -> None:
    _response_headers(event.context).remove(str(name))


def _exit(event: PdkEvent, status: Any, body: Any, headers: Any) -> None:
    lines = _answer_headers(status, 100, headers)
    if isinstance(body, (dict, list)):
        if "content-type" in lines:
            encoded = encode_json(body)
        else:
            answer = table_answer(event.context, status, body)
            encoded, lines = answer.body, Headers([*lines, *answer.headers])
    elif body is None or isinstance(body, str):
        encoded = encode_text(body or "")
    else:
        raise PluginError("body must be a nil, string or table")
    raise RequestExited(status, encoded, lines)


def _error(event: PdkEvent, status: Any, message: Any, headers: Any) -> None:
    lines = _answer_headers(status, 300, headers)
    if isinstance(message, (dict, list)):
        message = encode_json(message).decode("utf-8", "surrogateescape")
    answer = error_answer(event.context, status, message)
    for name, value in answer.headers:
        if name not in lines:
            lines.add(name, value)
    raise RequestExited(status, answer.body, lines)


def _answer_headers(status: Any, lowest: int, headers: Any) -> Headers:
    if not isinstance(status, int) or isinstance(status, bool):
        raise PluginError("code must be a number")
    if not lowest <= status <= 599:
        raise PluginError(f"code must be a number between {lowest} and 599")
    lines = Headers()
    for name, values in _checked_headers({} if headers is None else headers):
        if name.lower() != "transfer-encoding":
            lines.set(name, values)
    return lines


SERVICE_METHODS: Mapping[str, Method] = {
    "kong.service.request.set_header": Method(_set_header, BEFORE_ANSWER),
    "kong.service.request.add_header": Method(_add_header, BEFORE_ANSWER),
    "kong.service.request.clear_header": Method(_clear_header, BEFORE_ANSWER),
    "kong.service.request.set_headers": Method(_set_headers, BEFORE_ANSWER),
    "kong.service.request.set_method": Method(_set_method, BEFORE_ANSWER),
    "kong.service.request.set_path": Method(_set_path, BEFORE_ANSWER),
    "kong.service.request.set_raw_query": Method(_set_raw_query, BEFORE_ANSWER),
    "kong.service.request.set_query": Method(_set_query, BEFORE_ANSWER),
    "kong.service.request.set_raw_body": Method(_set_raw_body, BEFORE_ANSWER),
    "kong.service.set_target": Method(_set_target, BEFORE_ANSWER),
    "kong.service.set_upstream": Method(_set_upstream, IN_ACCESS),
    "kong.service.set_retries": Method(_set_retries, IN_ACCESS),
    "kong.service.response.get_status": Method(lambda _: None, _NOWHERE),
    "kong.service.response.get_header": Method(lambda _: None, _NOWHERE),
    "kong.service.response.get_headers": Method(lambda _: None, _NOWHERE),
    "kong.service.response.get_raw_body": Method(lambda _: None, _NOWHERE),
    "kong.service.response.get_body": Method(lambda _: None, _NOWHERE),
    "kong.response.get_status": Method(lambda event: event.context.status, IN_LOG),
    "kong.response.get_header": Method(lambda event, name: first_header(event.context.response_headers, name), IN_LOG),
    "kong.response.get_headers": Method(lambda event: multi_map(event.context.response_headers.as_lua_table()), IN_LOG),
    "kong.response.get_source": Method(lambda event: event.context.source, IN_LOG),
    "kong.response.get_raw_body": Method(lambda _: None, _NOWHERE),
    "kong.response.set_header": Method(_set_response_header, BEFORE_ANSWER),
    "kong.response.set_headers": Method(_set_response_headers, BEFORE_ANSWER),
    "kong.response.add_header": Method(_add_response_header, BEFORE_ANSWER),
    "kong.response.clear_header": Method(_clear_response_header, BEFORE_ANSWER),
    "kong.response.exit": Method(_exit, BEFORE_ANSWER),
    "kong.response.error": Method(_error, BEFORE_ANSWER),
}
"""The calls under kong.service and kong.response. Those of an upstream's response work in phases that
a plugin server never sees, so they throw in all it does see."""

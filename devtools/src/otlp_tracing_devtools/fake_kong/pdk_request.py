"""PDK calls about the client and its request.

Source: kong/pdk/request.lua, client.lua, router.lua of Kong 3.9.1; transcripts/probes-log-pdk-calls.txt.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.lua_values import as_text
from otlp_tracing_devtools.fake_kong.msgpack_codec import Binary, EmptyMap
from otlp_tracing_devtools.fake_kong.paths import decode_query, normalize
from otlp_tracing_devtools.fake_kong.pdk_method import ANY_PHASE, BEFORE_ANSWER, IN_ACCESS, Method, PdkEvent
from otlp_tracing_devtools.fake_kong.plugin_rpc import PluginError

AUTH_AND_LATER = frozenset({"access", "log"})


def multi_map(table: Mapping[str, Any]) -> Any:
    """Shape headers or a query for a plugin: every value a list, `true` an empty one."""
    lists = {
        name: [] if value is True else value if isinstance(value, list) else [value] for name, value in table.items()
    }
    return lists or EmptyMap()


def first_header(headers: Headers, name: Any) -> str | None:
    """Give a header's first value; `_` in a name means `-`, as in nginx."""
    if not isinstance(name, str):
        raise PluginError("header name must be a string")
    return headers.get(name.replace("_", "-"))


def _get_query_argument(event: PdkEvent, name: Any) -> Any:
    if not isinstance(name, str):
        raise PluginError("query argument name must be a string")
    value = decode_query(event.context.query).get(name)
    return value[0] if isinstance(value, list) else value


async def _get_raw_body(event: PdkEvent) -> Binary:
    body = await event.context.read_body()
    if body is None:
        raise PluginError("attempt to get length of local 'str' (a nil value)")  # probes: Kong throws here, too
    return Binary(body)


async def _get_body(event: PdkEvent, mime_type: Any) -> Any:
    content_type = str(mime_type or event.context.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if content_type == "application/x-www-form-urlencoded":
        return decode_query(as_text(await event.context.read_body() or b""))
    if content_type == "application/json":
        try:
            body = json.loads(await event.context.read_body() or b"")
        except ValueError:
            return None
        return body if isinstance(body, (dict, list)) else None
    return None


def _load_consumer(event: PdkEvent, wanted: Any, by_username: Any) -> Any:
    if not isinstance(wanted, str) or not wanted:
        raise PluginError("consumer_id must be a string")
    consumers = event.declaration.consumers
    if _is_uuid(wanted):
        return consumers[wanted].record if wanted in consumers else None
    if not by_username:
        raise PluginError("cannot load a consumer with an id that is not a uuid")
    return next((consumer.record for consumer in consumers.values() if consumer.username == wanted), None)


def _authenticate(event: PdkEvent, consumer: Any, credential: Any) -> None:
    if consumer is None and credential is None:
        raise PluginError("either credential or consumer must be provided")
    known = event.declaration.consumers
    keys = event.declaration.credentials.values()
    consumer_id = consumer.get("id") if isinstance(consumer, dict) else None
    credential_id = credential.get("id") if isinstance(credential, dict) else None
    event.context.consumer = known.get(consumer_id or "")
    event.context.credential = next((key for key in keys if key.id == credential_id), None)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return len(text) == 36


def _get_protocol(event: PdkEvent) -> str | None:
    route = event.context.route
    if route is None:
        return None
    return route.protocols[0] if len(route.protocols) == 1 else event.context.scheme


REQUEST_METHODS: Mapping[str, Method] = {
    "kong.request.get_scheme": Method(lambda event: event.context.scheme, BEFORE_ANSWER),
    "kong.request.get_host": Method(lambda event: event.context.host, BEFORE_ANSWER),
    "kong.request.get_port": Method(lambda event: event.context.server_port, BEFORE_ANSWER),
    # No address is trusted (trusted_ips is empty by default), so the "forwarded" values are Kong's own.
    "kong.request.get_forwarded_scheme": Method(lambda event: event.context.scheme, BEFORE_ANSWER),
    "kong.request.get_forwarded_host": Method(lambda event: event.context.host, BEFORE_ANSWER),
    "kong.request.get_forwarded_port": Method(lambda event: event.context.server_port, BEFORE_ANSWER),
    "kong.request.get_forwarded_path": Method(lambda event: normalize(event.context.raw_path), BEFORE_ANSWER),
    "kong.request.get_forwarded_prefix": Method(
        lambda event: event.context.match.prefix if event.context.match else None, BEFORE_ANSWER
    ),
    "kong.request.get_http_version": Method(lambda event: event.context.http_version, BEFORE_ANSWER),
    "kong.request.get_method": Method(lambda event: event.context.method, BEFORE_ANSWER),
    "kong.request.get_path": Method(lambda event: normalize(event.context.raw_path), BEFORE_ANSWER),
    "kong.request.get_raw_path": Method(lambda event: event.context.raw_path, BEFORE_ANSWER),
    "kong.request.get_path_with_query": Method(lambda event: event.context.target, BEFORE_ANSWER),
    "kong.request.get_raw_query": Method(lambda event: event.context.query or "", BEFORE_ANSWER),
    "kong.request.get_query": Method(lambda event: multi_map(decode_query(event.context.query)), BEFORE_ANSWER),
    "kong.request.get_query_arg": Method(_get_query_argument, BEFORE_ANSWER),
    "kong.request.get_header": Method(lambda event, name: first_header(event.context.headers, name)),
    "kong.request.get_headers": Method(lambda event: multi_map(event.context.headers.as_lua_table())),
    "kong.request.get_raw_body": Method(_get_raw_body, BEFORE_ANSWER),
    "kong.request.get_body": Method(_get_body, BEFORE_ANSWER),
    "kong.request.get_start_time": Method(lambda event: event.context.times.start_ms),
    "kong.request.get_uri_captures": Method(lambda event: event.context.captures),
    "kong.client.get_ip": Method(lambda event: event.context.client_ip, BEFORE_ANSWER),
    "kong.client.get_forwarded_ip": Method(lambda event: event.context.client_ip, BEFORE_ANSWER),
    "kong.client.get_port": Method(lambda event: event.context.client_port, BEFORE_ANSWER),
    "kong.client.get_forwarded_port": Method(lambda event: event.context.client_port, BEFORE_ANSWER),
    "kong.client.get_protocol": Method(_get_protocol, IN_ACCESS),
    "kong.client.get_consumer": Method(
        lambda event: event.context.consumer.record if event.context.consumer else None, AUTH_AND_LATER
    ),
    "kong.client.get_credential": Method(
        lambda event: event.context.credential.record if event.context.credential else None, AUTH_AND_LATER
    ),
    "kong.client.load_consumer": Method(_load_consumer, AUTH_AND_LATER),
    "kong.client.authenticate": Method(_authenticate, IN_ACCESS),
    "kong.router.get_route": Method(
        lambda event: event.context.route.record if event.context.route else None, ANY_PHASE
    ),
    "kong.router.get_service": Method(
        lambda event: event.context.service.record if event.context.service else None, ANY_PHASE
    ),
}
"""The calls under kong.request, kong.client and kong.router."""

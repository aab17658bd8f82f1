"""The few plugins of Kong's own that the stand-in has: enough to end a request before other plugins.

key-auth, rate-limiting and request-termination behave as in Kong, as far as their fields below cover it. There is no
other bundled plugin but `file-log`, `http-log` and `prometheus`. Those and `rate-limiting` are in their own modules.

Source: kong/plugins/*/handler.lua and schema.lua, kong/constants.lua of Kong 3.9.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otlp_tracing.config.validation import FieldList
from otlp_tracing_devtools.fake_kong.answers import error_answer, table_answer
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.entities import Credential, Declaration
from otlp_tracing_devtools.fake_kong.file_log import FILE_LOG_FIELDS, FileLog
from otlp_tracing_devtools.fake_kong.headers import Headers
from otlp_tracing_devtools.fake_kong.http_log import HTTP_LOG_FIELDS, HttpLog
from otlp_tracing_devtools.fake_kong.lua_values import encode_text
from otlp_tracing_devtools.fake_kong.paths import decode_query
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin, Plugin
from otlp_tracing_devtools.fake_kong.plugin_rpc import RequestExited
from otlp_tracing_devtools.fake_kong.rate_limiting import RATE_LIMITING_FIELDS, RateLimiting

_FLAG = {"type": "boolean", "required": True}
_KEY_AUTH: FieldList = [
    {"key_names": {"type": "array", "required": True, "elements": {"type": "string"}, "default": ["apikey"]}},
    {"hide_credentials": {**_FLAG, "default": False}},
    {"key_in_header": {**_FLAG, "default": True}},
    {"key_in_query": {**_FLAG, "default": True}},
    {"run_on_preflight": {**_FLAG, "default": True}},
    {"realm": {"type": "string"}},
]
_REQUEST_TERMINATION: FieldList = [
    {"status_code": {"type": "integer", "required": True, "default": 503, "between": [100, 599]}},
    {"message": {"type": "string"}},
    {"content_type": {"type": "string"}},
    {"body": {"type": "string"}},
    {"trigger": {"type": "string"}},
]
_TERMINATION_MESSAGES = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}


def bundled_plugins(declaration: Declaration, http_log: HttpLog) -> Mapping[str, Plugin]:
    """Give the plugins of this module, file-log, http-log and rate-limiting."""
    access, log = frozenset({"access"}), frozenset({"log"})
    plugins = [
        Plugin("key-auth", 1250, access, _KEY_AUTH, KeyAuth(declaration.credentials), frozenset({"consumer"})),
        Plugin("rate-limiting", 910, access, RATE_LIMITING_FIELDS, RateLimiting()),
        Plugin("http-log", 12, log, HTTP_LOG_FIELDS, http_log),
        Plugin("file-log", 9, log, FILE_LOG_FIELDS, FileLog()),
        Plugin("request-termination", 2, access, _REQUEST_TERMINATION, RequestTermination()),
    ]
    return {plugin.name: plugin for plugin in plugins}


class KeyAuth:
    """A key in a header or in the query names the consumer."""

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = credentials

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:  # noqa: ARG002
        """Authenticate, or answer 401."""
        config = plugin.config
        if context.method == "OPTIONS" and not config["run_on_preflight"]:
            return
        key = self._key(context, config)
        credential = self._credentials.get(key) if key else None
        if key == "":
            _refuse(context, config, "No API key found in request")
        elif credential is None:
            _refuse(context, config, "Unauthorized" if key else "Duplicate API key found")
        else:
            _set_consumer(context, credential)

    def _key(self, context: RequestContext, config: Mapping[str, Any]) -> str | None:
        """Give the key, an empty string without one, None for several."""
        for name in config["key_names"]:
            found = context.headers.get_all(name) if config["key_in_header"] else []
            value: Any = found[0] if len(found) == 1 else found
            if not found and config["key_in_query"]:
                value = decode_query(context.query).get(name) or []
            if isinstance(value, str):
                if config["hide_credentials"]:
                    context.headers.remove(name)
                return value
            if value:
                return None
        return ""


def _refuse(context: RequestContext, config: Mapping[str, Any], message: str) -> None:
    realm = config.get("realm")
    answer = error_answer(context, 401, message)
    answer.headers.set("WWW-Authenticate", f'Key realm="{realm}"' if realm else "Key")
    raise RequestExited(401, answer.body, answer.headers)


def _set_consumer(context: RequestContext, credential: Credential) -> None:
    consumer = credential.consumer
    context.consumer, context.credential = consumer, credential
    lines = {
        "X-Consumer-ID": consumer.id,
        "X-Consumer-Custom-ID": consumer.custom_id,
        "X-Consumer-Username": consumer.username,
        "X-Credential-Identifier": credential.id,
    }
    for name, value in lines.items():
        context.headers.set(name, value if value is not None else [])
    context.headers.remove("X-Anonymous-Consumer")


class RequestTermination:
    """Answers every request itself."""

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:  # noqa: ARG002
        """Answer, unless a trigger is configured and not in the request."""
        config = plugin.config
        trigger = config.get("trigger")
        if trigger and trigger not in context.headers and trigger not in decode_query(context.query):
            return
        status: int = config["status_code"]
        if config.get("body") is not None:
            headers = Headers([("Content-Type", config.get("content_type") or "application/json; charset=utf-8")])
            raise RequestExited(status, encode_text(config["body"]), headers)
        message = config.get("message") or _TERMINATION_MESSAGES.get(status)
        if message is None:
            raise RequestExited(status, b"", Headers())
        answer = table_answer(context, status, {"message": message})
        raise RequestExited(status, answer.body, answer.headers)

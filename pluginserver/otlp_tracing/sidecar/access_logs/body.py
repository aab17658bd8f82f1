"""The text of log records: a template with the names of attributes in braces.

A value between quotation marks is escaped as JSON has it: in JSON, in logfmt, and in the forms of access logs. In a
template that is JSON as a whole, a value outside of them is a JSON value: a number, a string with its marks, a list, or
null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from otlp_tracing.config.settings import SpanAttribute
from otlp_tracing.config.validation import did_you_mean
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.spans.model import Attributes, AttributeValue
from otlp_tracing.sidecar.spans.span_name import PLACEHOLDER, unclosed

REQUEST_MS = "kong.latency.request_ms"
"""The attribute with the duration, which a span has in its times."""

_KNOWN = (
    "http.request.method", "http.request.method_original", "http.route", "http.request.size",
    "http.response.status_code", "http.response.size", "url.scheme", "url.path", "url.query", "server.address",
    "server.port", "client.address", "user_agent.original", "network.protocol.version", "network.transport",
    "network.type", "error.type", "rpc.system.name", "rpc.method", "rpc.method_original", "rpc.response.status_code",
    "tls.protocol.name", "tls.protocol.version", "tls.cipher", "tls.client.subject", "tls.client.issuer",
    "tls.client.hash.sha1", "nginx.ssl_server_name", "nginx.ssl_client_verify", "kong.request.id", "kong.route.id",
    "kong.route.name", "kong.service.id", "kong.service.name", "kong.consumer.id", "kong.consumer.username",
    "kong.workspace.id", "kong.workspace.name", "kong.response.source", "kong.latency.kong_ms",
    "kong.latency.proxy_ms", "kong.latency.receive_ms", "kong.latency.rewrite_ms", "kong.latency.access_ms",
    "kong.latency.balancer_ms", "kong.latency.header_filter_ms", "kong.latency.body_filter_ms",
    "kong.connection.protocol", "kong.connection.status", "kong.connection.received_bytes",
    "kong.connection.sent_bytes", "kong.upstream.address", "kong.upstream.port", "kong.upstream.tries",
    "otlp_tracing.sampling.reason", "otlp_tracing.sampling.rule", "otlp_tracing.sampling.probability", REQUEST_MS,
)  # fmt: skip
_CAPTURED = ("http.request.header.", "http.response.header.", "baggage.")
_UNKNOWN = "-"  # as in nginx's logs
# A template can name an attribute of some kilobytes a thousand times; a record larger than OTLP's bound would be lost.
_LONGEST = 16 << 10
_NO_PARTS = [""]


class Body:
    """A template of texts.

    Args:
        template: as configured; None or an empty text for records without a text.
        own: attributes of the entry's own, which can be named too.

    Raises:
        ConfigError: for the name of an attribute that no log record has, and for a brace that is not closed.
    """

    def __init__(self, template: str | None, own: Iterable[SpanAttribute] = ()) -> None:
        self._parts = PLACEHOLDER.split(template or "")
        self._is_json = _is_json("0".join(self._parts[::2]))
        self._is_quoted = _quoted(self._parts)
        if name := unclosed(self._parts):
            raise ConfigError([Fault("logs.body", name, "has no closing brace")])
        names = self._parts[1::2]
        known = [*_KNOWN, *(one.name for one in own)]
        if unknown := [name for name in names if name not in known and not name.startswith(_CAPTURED)]:
            meant = did_you_mean(unknown[0], known) or "; write names of attributes in the braces"
            raise ConfigError([Fault("logs.body", f"{{{unknown[0]}}}", f"no log record has this attribute{meant}")])

    def text(self, attributes: Attributes) -> str:
        """Return the text for a record, whose attributes are redacted already."""
        if self._parts == _NO_PARTS:
            return ""
        text = self._text(attributes, _LONGEST)
        if len(text) > _LONGEST and self._is_json:
            # Cut, the text would be no JSON any more. An escaped character has up to six.
            text = self._text(attributes, _LONGEST // len(self._parts) // 6)
        return text[:_LONGEST]

    def _text(self, attributes: Attributes, longest: int) -> str:
        return "".join(
            [
                self._value(attributes.get(part), longest, is_quoted=self._is_quoted[number]) if number % 2 else part
                for number, part in enumerate(self._parts)
            ]
        )

    def _value(self, value: AttributeValue | None, longest: int, *, is_quoted: bool) -> str:
        if not self._is_json and not is_quoted:
            return _shown(value)
        if is_quoted:
            return _json(_shown(value)[:longest])[1:-1]
        if isinstance(value, list):
            return _json([one[: longest // len(value)] for one in value])
        return _json(value[:longest] if isinstance(value, str) else value)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _quoted(parts: list[str]) -> list[bool]:
    """Tell for each part whether it begins between quotation marks."""
    quoted, is_open = [], False
    for number, part in enumerate(parts):
        quoted.append(is_open)
        if number % 2 == 0:
            is_open ^= re.sub(r"\\.", "", part, flags=re.DOTALL).count('"') % 2 == 1
    return quoted


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shown(value: AttributeValue | None) -> str:
    if value is None:
        return _UNKNOWN
    return ", ".join(value) if isinstance(value, list) else str(value)

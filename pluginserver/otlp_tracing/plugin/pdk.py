"""Kong's plugin development kit, as far as tracing needs it: the only module that names `kong.*`.

Every method is one round trip to Kong. The PDK's names are unchecked and its results depend on the
server's style: `(data, err)` or data and an exception (kong-pdk, `--no-lua-style`); here both are one.

Source: https://docs.konghq.com/gateway/3.9.x/plugin-development/pdk/; kong_pdk/pdk/__init__.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otlp_tracing.context import LOG_FIELD
from otlp_tracing.errors import TracingError

# Kong reads 100 headers unless told otherwise; a trace header behind the hundredth is one all the same.
_MAX_HEADERS = 1000


class KongCallError(TracingError):
    """Kong answered a call with an error, or with something that the PDK does not promise."""


class KongCalls:
    """The calls of one event.

    Args:
        kong: the object that a phase is given.
    """

    __slots__ = ("_call",)

    def __init__(self, kong: Any) -> None:
        # Both our facade and kong_pdk's have it: the way through the names makes an object for each of them.
        self._call: Callable[..., Any] = kong.call

    def request_headers(self) -> Mapping[str, Sequence[str]]:
        """Return the request's headers, lower-case names to every value. Phase: access."""
        headers = _result(self._call("kong.request.get_headers", _MAX_HEADERS))
        # Lua's empty table is an empty list as well.
        if not headers:
            return {}
        if not isinstance(headers, Mapping):
            raise KongCallError(f"kong.request.get_headers gave {type(headers).__name__}")
        return headers

    def request_line(self) -> str:
        """Return the request's first line as it came, such as `GET /users HTTP/1.1`. Phase: access."""
        return self.variable("request")

    def variable(self, name: str) -> str:
        """Return a variable of nginx; empty where it is unset. Phase: access."""
        value = _result(self._call("kong.nginx.get_var", name))
        return value if isinstance(value, str) else ""

    def set_upstream_headers(self, headers: Mapping[str, Sequence[str]]) -> None:
        """Set headers of the upstream request; an empty list removes one. Phase: access."""
        _result(self._call("kong.service.request.set_headers", headers))

    def remember(self, context: Mapping[str, Any]) -> None:
        """Put the trace context into the log record, for `log` and every other log plugin. Phase: access."""
        _result(self._call("kong.log.set_serialize_value", LOG_FIELD, context))

    def remember_trace_id(self, trace_id: str) -> None:
        """Put the trace id into the log record as Kong's own plugins do from 3.5 on. Phase: access.

        Source: kong/observability/tracing/propagation/init.lua, propagate.
        """
        _result(self._call("kong.log.set_serialize_value", "trace_id", {"w3c": trace_id}))

    def set_response_header(self, name: str, value: str) -> None:
        """Set a header of the response to the client. Phase: access."""
        _result(self._call("kong.response.set_header", name, value))

    def read_log(self) -> bytes:
        """Return the request's log record: JSON, with whatever bytes its strings hold. Phase: log."""
        record = _result(self._call("kong.log.serialize"))
        if isinstance(record, bytes):
            return record
        if isinstance(record, str):
            # Our server hands over bytes that are not UTF-8 as surrogates (kong_server/protocol/msgpack.py).
            return record.encode("utf-8", "surrogateescape")
        raise KongCallError(f"kong.log.serialize gave {type(record).__name__}")


def _result(answer: Any) -> Any:
    if not isinstance(answer, tuple):
        return answer
    data, error = answer
    if error is not None:
        raise KongCallError(str(error))
    return data

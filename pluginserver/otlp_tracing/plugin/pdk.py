"""Kong's plugin development kit, as far as tracing needs it: the only module that names `kong.*`.

A phase yields its calls, each a tuple of the method and its arguments, and is sent their answers. Every call is one
round trip to Kong. The PDK's names are unchecked and its results depend on the server's style: `(data, err)`, or data
and an exception (kong-pdk, `--no-lua-style`); the readers here take both.

Source: https://docs.konghq.com/gateway/3.9.x/plugin-development/pdk/; kong_pdk/pdk/__init__.py.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

from otlp_tracing.errors import TracingError

Call = tuple[Any, ...]
"""The method, and its arguments."""

Calls = Generator[Call, Any, None]
"""A phase: yields its calls, and is sent the answer to each."""

# Kong reads 100 headers unless told otherwise, and a trace header can come after the hundredth.
GET_HEADERS: Final = ("kong.request.get_headers", 1000)
"""Read the request's headers. Phase: access."""

GET_REQUEST_LINE: Final = ("kong.nginx.get_var", "request")
"""Read the request's first line as it came, such as `GET /users HTTP/1.1`. Phase: access."""

READ_LOG: Final = ("kong.log.serialize",)
"""Read the request's log record. Phase: log."""


class KongCallError(TracingError):
    """Kong answered a call with an error, or with something that the PDK does not promise."""


def get_variable(name: str) -> Call:
    """Read a variable of nginx. Phase: access."""
    return ("kong.nginx.get_var", name)


def set_upstream_headers(headers: Mapping[str, Sequence[str]]) -> Call:
    """Set headers of the upstream request; an empty list removes one. Phase: access."""
    return ("kong.service.request.set_headers", headers)


def set_log_field(name: str, value: Mapping[str, Any]) -> Call:
    """Put a field into the log record, for `log` and every other log plugin. Phase: access."""
    return ("kong.log.set_serialize_value", name, value)


def set_response_header(name: str, value: str) -> Call:
    """Set a header of the response to the client. Phase: access."""
    return ("kong.response.set_header", name, value)


def headers_of(answer: Any) -> Mapping[str, Sequence[str]]:
    """Return the request's headers, lower-case names to every value."""
    headers = result(answer)
    # Lua's empty table is an empty list as well.
    if not headers:
        return {}
    if not isinstance(headers, Mapping):
        raise KongCallError(f"kong.request.get_headers gave {type(headers).__name__}")
    return headers


def text_of(answer: Any) -> str:
    """Return a variable's value; empty where it is unset."""
    value = result(answer)
    return value if isinstance(value, str) else ""


def log_of(answer: Any) -> bytes:
    """Return the log record: JSON, with whatever bytes its strings hold."""
    record = result(answer)
    if isinstance(record, bytes):
        return record
    if isinstance(record, str):
        # Our server hands over bytes that are not UTF-8 as surrogates (kong_server/protocol/msgpack.py).
        return record.encode("utf-8", "surrogateescape")
    raise KongCallError(f"kong.log.serialize gave {type(record).__name__}")


def result(answer: Any) -> Any:
    """Return an answer's data.

    Raises:
        KongCallError: for an error.
    """
    if not isinstance(answer, tuple):
        return answer
    data, error = answer
    if error is not None:
        raise KongCallError(str(error))
    return data


def make_calls(calls: Calls, kong: Any) -> None:
    """Run a phase with the `kong` object of any plugin server, which waits for each answer."""
    answer: Any = None
    try:
        while True:
            method, *arguments = calls.send(answer)
            try:
                answer = kong.call(method, *arguments)
            except Exception as error:
                answer = None, error
    except StopIteration:
        return

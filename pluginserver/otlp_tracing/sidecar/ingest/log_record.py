"""Kong's log record, `kong.log.serialize()`, as typed values, with every difference between Kongs still in it.

Every field is optional: Kong 3.4 lacks some that 3.9 has, a request that found no route has no tries, and any log
plugin can change the record. Fields that nothing reads are skipped, and a field of a wrong type is read as absent.
Of the headers those are read that every request needs; all of them take more time than all other fields. See
decode_headers for the rest. The Outline is the part that a request needs that is neither kept nor logged: reading it
takes half of the time. request_record.py brings the record into one form.

Source: kong/pdk/log.lua of Kong 3.4.2 and 3.9.1; recorded examples in tests/testdata/transcripts/.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from otlp_tracing.errors import WireError
from otlp_tracing.log_limit import LimitedLog

# An attribute has 64 bits, with a sign. A larger number, which another plugin wrote, is as one of a wrong type: one
# of them would cost its span, its log record, or all metrics of a destination.
_LARGEST = 1 << 62
Number = (
    Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
    | Annotated[float, msgspec.Meta(ge=-float(_LARGEST), le=float(_LARGEST))]
)
DEBUG_OUTPUT_HEADER = "x-kong-request-debug-output"
"""The response header with the times of each phase and plugin, for a request with Kong's debug token."""
_MAX_IGNORED = 8  # fields of a wrong type in one record; each costs another pass over it
_FIELD = re.compile(r"at `\$\.([^`\[]+)")  # in msgspec's errors, without the place in a list
_ESSENTIAL = frozenset({"request", "response", "latencies"})  # a record in which one is no object is not Kong's
_ignored = LimitedLog(logging.getLogger("otlp_tracing.sidecar.ingest.log_record"))


class Tls(msgspec.Struct, frozen=True):
    """The client's connection, in OpenSSL's words: "TLSv1.3", "TLS_AES_256_GCM_SHA384"."""

    version: str | None = None
    cipher: str | None = None


class OutlineRequestHeaders(msgspec.Struct, frozen=True):
    """The part of RequestHeaders in an Outline."""

    content_type: Any = msgspec.field(default=None, name="content-type")


class RequestHeaders(OutlineRequestHeaders, frozen=True):
    """Headers that the upstream saw; each a text, or a list if it came more than once."""

    host: Any = None
    user_agent: Any = msgspec.field(default=None, name="user-agent")
    forwarded_host: Any = msgspec.field(default=None, name="x-forwarded-host")
    forwarded_proto: Any = msgspec.field(default=None, name="x-forwarded-proto")
    forwarded_port: Any = msgspec.field(default=None, name="x-forwarded-port")


class OutlineResponseHeaders(msgspec.Struct, frozen=True):
    """The part of ResponseHeaders in an Outline."""

    server: Any = None
    grpc_status: Any = msgspec.field(default=None, name="grpc-status")


class ResponseHeaders(OutlineResponseHeaders, frozen=True):
    """Headers that the client got; each as in RequestHeaders."""

    debug_output: Any = msgspec.field(default=None, name=DEBUG_OUTPUT_HEADER)


class OutlineRequest(msgspec.Struct, frozen=True):
    """The part of a Request in an Outline."""

    method: str = ""
    uri: str = ""
    headers: OutlineRequestHeaders | list[Any] | None = None


class Request(OutlineRequest, frozen=True):
    """The client's request.

    Args:
        headers: Lua's empty table is a list to some of its JSON encoders, and an object to others.
        size: bytes, head and body.
        tls: None without TLS.
    """

    url: str = ""
    id: str | None = None
    headers: RequestHeaders | list[Any] | None = None
    size: Number | None = None
    tls: Tls | None = None


class OutlineResponse(msgspec.Struct, frozen=True):
    """The part of a Response in an Outline."""

    status: Number | None = None
    headers: OutlineResponseHeaders | list[Any] | None = None


class Response(OutlineResponse, frozen=True):
    """The response to the client; its size in bytes, head and body. For the headers see Request."""

    headers: ResponseHeaders | list[Any] | None = None
    size: Number | None = None


class OutlineLatencies(msgspec.Struct, frozen=True):
    """The part of Latencies in an Outline."""

    request: Number | None = None
    session: Number | None = None


class Latencies(OutlineLatencies, frozen=True):
    """Milliseconds; -1 where the request never went upstream. A connection has `session` in the place of `request`."""

    kong: Number | None = None
    proxy: Number | None = None
    receive: Number | None = None


class Session(msgspec.Struct, frozen=True):
    """A connection of the stream subsystem; its record has no request and no response.

    Args:
        status: nginx's $status of the stream module: 200, 400, 403, 500, 502 or 503.
        received: bytes from the client. A Kong that has no number writes a text.
        sent: bytes to the client.
        server_port: None or an empty text for TLS.
        tls: None if Kong does not end TLS.
    """

    status: Number | None = None
    received: Number | str | None = None
    sent: Number | str | None = None
    server_port: Number | str | None = None
    tls: Tls | None = None


class OutlineTry(msgspec.Struct, frozen=True):
    """The part of a Try in an Outline."""

    state: str | None = None
    code: Number | None = None


class Try(OutlineTry, frozen=True):
    """One attempt of the balancer.

    Args:
        state: "failed" (no response), "next" (a response that calls for another try), otherwise None.
        code: the status that belongs to the state.
        balancer_start: milliseconds since 1970.
        balancer_start_ns: nanoseconds since 1970, a float that is good to 1 µs (3.4: 0.1 ms).
    """

    ip: str | None = None
    port: Number | None = None
    balancer_start: Number | None = None
    balancer_start_ns: Number | None = None


class Named(msgspec.Struct, frozen=True):
    """The part of a Route or a Service in an Outline."""

    id: str | None = None
    name: str | None = None


class Route(Named, frozen=True):
    """The route that matched; for its tags see entities.py. With `router_flavor = expressions` it may have no paths."""

    paths: list[str] | dict[str, Any] | None = None
    expression: str | None = None
    protocols: Any = None
    tags: Any = None


class Service(Named, frozen=True):
    """The service behind the route; for its tags see entities.py."""

    protocol: str | None = None
    host: str | None = None
    port: Number | None = None
    tags: Any = None


class Consumer(msgspec.Struct, frozen=True):
    """The authenticated consumer; for its tags see entities.py."""

    id: str | None = None
    username: str | None = None
    custom_id: str | None = None
    tags: Any = None


class Outline(msgspec.Struct, frozen=True):
    """The fields of a LogRecord that every request needs, kept or not."""

    request: OutlineRequest = OutlineRequest()
    response: OutlineResponse = OutlineResponse()
    latencies: OutlineLatencies = OutlineLatencies()
    tries: Sequence[OutlineTry] | dict[str, Any] | None = None
    route: Named | None = None
    service: Named | None = None
    session: Session | None = None
    started_at: Number | None = None
    upstream_uri: str | None = None
    upstream_status: str | Number | None = None
    source: str | None = None
    otlp_tracing: Any = None
    otlp_tracing_nginx: Any = None


class LogRecord(Outline, frozen=True):
    """One request, or one connection of the stream subsystem.

    Args:
        session: of a connection; None for a request.
        started_at: milliseconds since 1970.
        upstream_status: a status a try, "502, 200"; "-" where there was no response. A number for a response that Kong
            buffers for a plugin, such as ai-proxy.
        source: "upstream" or "kong"; None before 3.6.
        ai: statistics of the bundled ai plugins, see spans/gen_ai.py.
        otlp_tracing: the context that the plugin's `access` wrote; None if it did not run.
        otlp_tracing_nginx: of the `pre-function` snippet, see nginx_facts.py; None without it.
    """

    request: Request = Request()
    response: Response = Response()
    latencies: Latencies = Latencies()
    tries: list[Try] | dict[str, Any] | None = None
    route: Route | None = None
    service: Service | None = None
    consumer: Consumer | None = None
    client_ip: str | None = None
    workspace: str | None = None
    workspace_name: str | None = None
    ai: Any = None


class _WithHeaders(msgspec.Struct, frozen=True):
    headers: Any = None


class _AllHeaders(msgspec.Struct, frozen=True):
    request: _WithHeaders = _WithHeaders()
    response: _WithHeaders = _WithHeaders()


_decoder = msgspec.json.Decoder(LogRecord)
_outline_decoder = msgspec.json.Decoder(Outline)
_headers_decoder = msgspec.json.Decoder(_AllHeaders)


def decode_log(log: bytes, on_ignored: Callable[[str], None] = lambda _: None) -> LogRecord:
    """Read a record as Kong wrote it.

    A string that is not UTF-8 is read as Latin-1, and only that one. A field of a wrong type is left out: another
    plugin can set any field (kong.log.set_serialize_value), and Kong's own types differ between versions. A `session`
    beside a request is such a plugin's too.

    Args:
        log: the record.
        on_ignored: is called with the name of each field that is left out.

    Raises:
        WireError: the bytes are not a log record.
    """
    try:
        record = _decoder.decode(log)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        record = _decode_again(log, on_ignored)
    if record.session is not None and record.request.uri:
        on_ignored("session")
        return msgspec.structs.replace(record, session=None)
    return record


def decode_outline(log: bytes) -> Outline | None:
    """Read the outline of a request's record; None for a record that only decode_log can read, or a connection's.

    Args:
        log: the record.
    """
    try:
        outline = _outline_decoder.decode(log)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    return outline if outline.session is None else None


def completed(outline: Outline, log: bytes, on_ignored: Callable[[str], None]) -> LogRecord:
    """Return the record of an outline; the outline's fields alone if the rest cannot be read.

    Args:
        outline: of the record.
        log: the record.
        on_ignored: as of decode_log.
    """
    try:
        return decode_log(log, on_ignored)
    except WireError as error:
        # The request is known by its outline, and may be counted by now: it is not refused any more.
        _ignored.warning("log record read in part: %s", error)
        return msgspec.convert(msgspec.to_builtins(outline), LogRecord)


def decode_headers(log: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read all headers of the request and of the response, by their names in lower case; empty where there are none.

    Args:
        log: a record that decode_log has read.
    """
    try:
        found = _headers_decoder.decode(log)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        found = msgspec.convert(_repaired_document(log), _AllHeaders)
    request, response = found.request.headers, found.response.headers
    return request if isinstance(request, dict) else {}, response if isinstance(response, dict) else {}


def _decode_again(log: bytes, on_ignored: Callable[[str], None]) -> LogRecord:
    try:
        return _decode_valid(_repaired_document(log), on_ignored)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"not a log record: {error}") from error


def _repaired_document(log: bytes) -> Any:
    text = log.decode("utf-8", "surrogateescape")
    return _repaired(json.loads(text, parse_float=_finite, parse_constant=_finite))


def _decode_valid(document: Any, on_ignored: Callable[[str], None]) -> LogRecord:
    for _ in range(_MAX_IGNORED + 1):
        try:
            return _decoder.decode(msgspec.json.encode(document))
        except msgspec.ValidationError as error:
            field = _FIELD.search(str(error))
            if field is None or field[1] in _ESSENTIAL:
                raise
            _ignored.warning("log record field ignored: %s", error)
            on_ignored(field[1])
            if field[1] == "tries" and isinstance(document["tries"], list):
                _repair_tries(document["tries"])
            else:
                _remove(document, field[1].split("."))
    raise WireError(f"not a log record: more than {_MAX_IGNORED} fields have a wrong type")


def _remove(document: dict[str, Any], path: list[str]) -> None:
    for name in path[:-1]:
        document = document[name]
    del document[path[-1]]


def _repair_tries(tries: list[Any]) -> None:
    """Remove a field of a wrong type from each try; one that is no object stays as a try without facts."""
    for number, attempt in enumerate(tries):
        try:
            msgspec.convert(attempt, Try)
        except msgspec.ValidationError as error:
            field = _FIELD.search(str(error))
            if field is None:
                tries[number] = {}
            else:
                del attempt[field[1]]


def _finite(text: str) -> float:
    # json takes NaN and 1e999 where msgspec takes neither; nothing after this expects them.
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(key): _repaired(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    return value


def _text(value: str) -> str:
    if value.isascii():
        return value
    try:
        raw = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a character, as \ud83d
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")

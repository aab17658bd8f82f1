"""A request, or a connection, in one form, whatever Kong wrote it.

It is decoded and normalised once, before anything else reads it.

Tries are a list, headers are dictionaries, path and query are apart, and the answers to three questions are there:
which gRPC call the request is, the source of its answer, and why it is an error.

nginx counts a try that got no answer as failed with 502 (no connection, or a broken one) or 504 (a timeout), and
writes the same codes into `upstream_status`. An upstream can answer with these codes itself. Before Kong 3.6 the record
does not have the source of the answer: there a last 502 or 504 without the upstream's Server header is no answer.

Source: nginx, ngx_http_upstream_next; kong/runloop/handler.lua, which calls a last try failed on any status above 499
once the retries are used up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from otlp_tracing.context import RequestNotes, is_grpc
from otlp_tracing.sidecar.ingest.grpc_status import is_server_error, status_name
from otlp_tracing.sidecar.ingest.log_record import (
    LogRecord,
    Outline,
    OutlineRequestHeaders,
    OutlineResponseHeaders,
    OutlineTry,
    RequestHeaders,
    ResponseHeaders,
    Try,
    completed,
    decode_headers,
    decode_log,
    decode_outline,
)
from otlp_tracing.sidecar.ingest.nginx_facts import NginxFacts

NO_ANSWER: Mapping[float | None, str] = {502: "connection_error", 504: "timeout"}
"""`error.type` of a try without an answer, by nginx's status."""
_SOURCES = frozenset({"upstream", "kong"})
# Such a request is most likely not kept, so its outline is enough. These bytes decide about the cost and not about the
# result: the rest of a record that has them is read when it is asked for.
_NOT_SAMPLED: Final = b'"sampled":false'
_NO_REQUEST_HEADERS: Final = RequestHeaders()
_NO_RESPONSE_HEADERS: Final = ResponseHeaders()


class RequestRecord:
    """One request.

    Args:
        outline: Kong's record, or the outline of it, for the fields that need no normalising.
        log_bytes: the record, for the rest of it.
        on_ignored: as of decode_log, for the rest of it.
        method: of the client's request; empty if it is not known.
        sent_method: of the request that Kong sent upstream; a plugin can change it.
        forwarded: host, proto or port: the X-Forwarded header that Kong took from the peer; empty without one.
        path: as the client sent it, without the query.
        query: without the question mark; empty without one.
        status: of the response to the client, or of the connection, in nginx's codes; 0 if the record has none.
        has_failed_try: a try of the balancer failed, or was followed by another.
        duration_ms: of the request or the connection, in milliseconds; 0 if the record has none.
        source: of the answer, "upstream" or "kong".
        received_call: path of the gRPC call that the client made; None if it made none.
        sent_call: path of the gRPC call that Kong sent upstream; None if it sent none.
        grpc_status: name of the status code, in the response headers or, by nginx's facts, the trailers; or None.
        nginx: the facts of the `pre-function` snippet; None without it.
        error_type: why the request is an error: a gRPC status that is the server's fault, or a 5xx. None if it is not.
        service: name of Kong's service, otherwise its id; empty without one.
        route: the same of Kong's route.
    """

    __slots__ = (
        "_headers", "_log", "_log_bytes", "_on_ignored", "_statuses", "duration_ms", "error_type", "forwarded",
        "grpc_status", "has_failed_try", "method", "nginx", "outline", "path", "query", "received_call", "route",
        "sent_call", "sent_method", "service", "source", "status",
    )  # fmt: skip

    outline: Final[Outline]
    method: Final[str]
    sent_method: Final[str]
    forwarded: Final[str]
    path: Final[str]
    query: Final[str]
    status: Final[int]
    has_failed_try: Final[bool]
    duration_ms: Final[float]
    source: Final[str]
    received_call: Final[str | None]
    sent_call: Final[str | None]
    grpc_status: Final[str | None]
    nginx: Final[NginxFacts | None]
    error_type: str | None
    service: Final[str]
    route: Final[str]

    def __init__(
        self, outline: Outline, log_bytes: bytes = b"{}", on_ignored: Callable[[str], None] = lambda _: None
    ) -> None:
        request, service, route = outline.request, outline.service, outline.route
        self.outline = outline
        self._log_bytes: Final = log_bytes
        self._on_ignored: Final = on_ignored
        self._log: LogRecord | None = outline if isinstance(outline, LogRecord) else None
        self._headers: tuple[dict[str, Any], dict[str, Any]] | None = None
        self._statuses: list[int | None] | None = None
        content_type = request.headers.content_type if isinstance(request.headers, OutlineRequestHeaders) else None
        answered = outline.response.headers
        known = answered if isinstance(answered, OutlineResponseHeaders) else _NO_RESPONSE_HEADERS
        path, _, query = request.uri.partition("?")
        source = outline.source if outline.source in _SOURCES else _source(self.statuses, known.server)
        status = _status(outline.response.status if outline.session is None else outline.session.status)
        notes = RequestNotes.from_log_field(outline.otlp_tracing)
        method = sent_method = request.method
        received = sent = None
        self.nginx = NginxFacts(outline.otlp_tracing_nginx) if outline.otlp_tracing_nginx is not None else None
        grpc_status = self._grpc_status(known.grpc_status)
        if notes is not None and notes.method is not None:
            method = notes.method
            if sent_method == "GET" and source == "kong":  # the GET for nginx's error page
                sent_method = method
        elif status == 413 and method == "GET" and source == "kong" and route is None:
            # nginx refuses a body before `access`, which then notes nothing; over HTTP/2 any method is a GET here.
            method = ""
        if is_grpc(line(content_type) or ""):
            # The headers are those that the upstream saw: a plugin that translates (grpc-gateway) makes a call of a
            # request that was none. The call's path is not in the record.
            is_call = path.count("/") == 2
            if notes is None or notes.is_grpc:
                if notes is not None and is_call:
                    method = sent_method = "POST"  # the only one; the GET for nginx's error page replaces it too
                upstream_path = (outline.upstream_uri or "").partition("?")[0]
                if method == "POST" and is_call and upstream_path in {"", path}:
                    received = path
                if upstream_path.count("/") == 2:
                    sent = upstream_path
            elif notes.method is None and not notes.has_body:
                method = "GET"
        self.method = method
        self.sent_method = sent_method
        self.forwarded = notes.forwarded if notes is not None else ""
        self.path, self.query = path, query
        self.status = status
        self.has_failed_try = _has_failed_try(outline)
        self.duration_ms = _duration_ms(outline)
        self.source = source
        self.received_call, self.sent_call = received, sent
        self.grpc_status = grpc_status
        is_failed_call = received is not None and is_server_error(grpc_status)
        self.error_type = (
            grpc_status if is_failed_call else _error_type(status, is_connection=outline.session is not None)
        )
        self.service = (service.name or service.id or "") if service else ""
        self.route = (route.name or route.id or "") if route else ""

    def _grpc_status(self, answered: object) -> str | None:
        code = self.nginx.grpc_status if self.nginx is not None else None
        return status_name(code if answered is None else line(answered))

    @property
    def log(self) -> LogRecord:
        """Kong's record, which is read at the first use if only its outline was."""
        log = self._log
        if log is None:
            log = self._log = completed(self.outline, self._log_bytes, self._on_ignored)
        return log

    @property
    def known_request_headers(self) -> RequestHeaders:
        """The headers that most kept requests need, as the upstream saw them."""
        headers = self.log.request.headers
        return headers if isinstance(headers, RequestHeaders) else _NO_REQUEST_HEADERS

    @property
    def known_response_headers(self) -> ResponseHeaders:
        """The headers that most kept requests need, as the client got them."""
        headers = self.log.response.headers
        return headers if isinstance(headers, ResponseHeaders) else _NO_RESPONSE_HEADERS

    @property
    def tries(self) -> list[Try]:
        """The tries of the balancer, in order."""
        tries = self.log.tries
        return tries if isinstance(tries, list) else []

    @property
    def statuses(self) -> list[int | None]:
        """The status of each try, None without an answer."""
        statuses = self._statuses
        if statuses is None:
            tries = self.outline.tries
            statuses = self._statuses = _statuses(
                self.outline.upstream_status, tries if isinstance(tries, list) else []
            )
        return statuses

    @property
    def host(self) -> str | None:
        """The Host header that the upstream saw."""
        return line(self.known_request_headers.host)

    @property
    def user_agent(self) -> str | None:
        """The User-Agent header that the upstream saw."""
        return line(self.known_request_headers.user_agent)

    @property
    def request_headers(self) -> dict[str, Any]:
        """All that the upstream saw, by lower-case name."""
        return self._all_headers()[0]

    @property
    def response_headers(self) -> dict[str, Any]:
        """All that the client got, by lower-case name."""
        return self._all_headers()[1]

    def _all_headers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        headers = self._headers
        if headers is None:
            headers = self._headers = decode_headers(self._log_bytes)
        return headers

    def with_start(self, started_at: int) -> RequestRecord:
        """Return the record of a request that began at another time, in milliseconds since 1970."""
        log = msgspec.structs.replace(self.log, started_at=started_at)
        return RequestRecord(log, self._log_bytes, self._on_ignored)


def decode(log: bytes, on_ignored: Callable[[str], None] = lambda _: None, *, whole: bool = False) -> RequestRecord:
    """Read a record as Kong wrote it, or only its outline if the request is not sampled.

    Args:
        log: the record.
        on_ignored: as of decode_log; also called later, when the rest of the record is read.
        whole: the rest is going to be asked for. To read it at once costs less than to read it after the outline.

    Raises:
        WireError: the bytes are not a log record.
    """
    outline = decode_outline(log) if not whole and _NOT_SAMPLED in log else None
    return RequestRecord(decode_log(log, on_ignored) if outline is None else outline, log, on_ignored)


def first_line(headers: Mapping[str, Any], name: str) -> str | None:
    """Return a header's first line; the name in lower case."""
    return line(headers.get(name))


def lines(headers: Mapping[str, Any], name: str) -> list[str]:
    """Return all lines of a header; the name in lower case."""
    value = headers.get(name)
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def line(value: object) -> str | None:
    """Return the first line of a header's value."""
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else None


def _duration_ms(log: Outline) -> float:
    took_ms = log.latencies.request if log.session is None else log.latencies.session
    return took_ms if took_ms is not None and took_ms > 0 else 0


def _has_failed_try(outline: Outline) -> bool:
    if isinstance(outline.tries, list):
        for attempt in outline.tries:
            if attempt.state:
                return True
    return False


def _status(status: float | None) -> int:
    # Any other number is another plugin's, and each would be a series of the metrics.
    return int(status) if status is not None and 0 <= status < 1000 else 0


def _error_type(status: int, *, is_connection: bool) -> str | None:
    if is_connection and status in NO_ANSWER:
        return NO_ANSWER[status]
    return str(status) if status >= 500 else None


def _statuses(upstream_status: str | float | None, tries: Sequence[OutlineTry]) -> list[int | None]:
    # nginx's $upstream_status: a status a try, with a comma between, a colon after an internal redirect.
    if isinstance(upstream_status, int | float):
        upstream_status = str(int(upstream_status))
    if upstream_status and len(upstream_status) == 3 and upstream_status.isdecimal() and len(tries) == 1:
        return [int(upstream_status)]  # as nearly all are
    texts = (upstream_status or "").replace(":", ",").split(",")
    statuses: list[int | None] = []
    for number, attempt in enumerate(tries):
        text = texts[number].strip() if number < len(texts) else ""
        if text.isdecimal() and len(text) <= 3:  # more digits are another plugin's
            statuses.append(int(text))
        elif attempt.state == "failed" and attempt.code in NO_ANSWER and attempt.code is not None:
            statuses.append(int(attempt.code))
        else:
            statuses.append(None)
    return statuses


def _source(statuses: list[int | None], server: object) -> str:
    if not statuses:
        return "kong"
    if statuses[-1] not in NO_ANSWER:
        return "upstream"
    # Kong before 3.6 puts no Server header on its own answer for an upstream.
    name = line(server)
    return "upstream" if name and not name.startswith("kong/") else "kong"

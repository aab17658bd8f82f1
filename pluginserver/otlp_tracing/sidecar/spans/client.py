"""What CLIENT spans say: where each try of the balancer went, as which request, and what became of it.

nginx counts a try that got no answer as failed with 502 (no connection, or one that broke) or 504 (a
timeout), and writes the same codes into `upstream_status`. An upstream can answer with these codes itself.
For a try that was followed by another they mean that there was no answer, unless `proxy_next_upstream`
has been told to go on after answers of 502 and 504, which it is not by default. For the last try the
record says who answered; before Kong 3.6 it does not, and there an answer of 502 or 504 without a Server
header of the upstream's counts as none.

Source: nginx, ngx_http_upstream_next; kong/runloop/handler.lua, which calls a last try failed on any status
above 499 once the retries are used up; semantic conventions 1.44, docs/http/http-spans.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from otlp_tracing.sidecar.ingest.log_record import LogRecord, Try
from otlp_tracing.sidecar.spans.grpc import Call
from otlp_tracing.sidecar.spans.header_capture import header
from otlp_tracing.sidecar.spans.legacy_semconv import client_names
from otlp_tracing.sidecar.spans.model import Attributes, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.server import DEFAULT_PORTS, protocol_version

__all__ = ["client_attributes", "response_source", "tries_of"]

_SCHEMES = {"grpc": "http", "grpcs": "https", "ws": "http", "wss": "https"}
_NO_ANSWER: Mapping[float | None, str] = {502: "connection_error", 504: "timeout"}


def tries_of(record: LogRecord) -> list[Try]:
    """Return the tries; Lua's empty table is an object to some of its JSON encoders."""
    return record.tries if isinstance(record.tries, list) else []


def response_source(record: LogRecord) -> str:
    """Tell who answered, "upstream" or "kong"."""
    if record.source is not None:
        return record.source
    tries = tries_of(record)
    if not tries:
        return "kong"
    last = _statuses(record, tries)[-1]
    if last not in _NO_ANSWER:
        return "upstream"
    # Kong before 3.6 puts no Server header on what it answers for an upstream.
    server = header(record.response.headers, "server")
    return "upstream" if server and not server.startswith("kong/") else "kong"


def client_attributes(record: LogRecord, source: str, call: Call | None, rules: SpanRules) -> list[Attributes]:
    """Return the attributes of the CLIENT spans, one a try; those with an `error.type` are errors.

    Args:
        record: of the request.
        source: as response_source has it.
        call: the gRPC call that was sent, if it was one.
        rules: of the plugin entry.
    """
    tries = tries_of(record)
    statuses = _statuses(record, tries)
    shared = _upstream_attributes(record, call, rules)
    spans = []
    for number, (attempt, status) in enumerate(zip(tries, statuses, strict=True)):
        attributes = {**shared, **_peer(attempt, number)}
        if number < len(tries) - 1:
            attributes.update(_outcome(status, attempt.state != "failed" or attempt.code not in _NO_ANSWER))
        else:
            attributes.update(_last_outcome(record, status, source, call))
        if rules.old_names:
            attributes.update(client_names(attributes))
        spans.append(attributes)
    return spans


def _upstream_attributes(record: LogRecord, call: Call | None, rules: SpanRules) -> Attributes:
    service = record.service
    return present({
        **rules.methods.attributes(record.request.method),
        "server.address": service.host if service else None,
        "server.port": int(service.port) if service and service.port else None,
        "url.full": _upstream_url(record),
        **(call.attributes() if call else {}),
    })  # fmt: skip


def _upstream_url(record: LogRecord) -> str | None:
    service = record.service
    if service is None or not service.host:
        return None
    scheme = _SCHEMES.get(service.protocol or "", service.protocol or "http")
    host = f"[{service.host}]" if ":" in service.host else service.host
    port = f":{int(service.port)}" if service.port and service.port != DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{host}{port}{record.upstream_uri or '/'}"


def _peer(attempt: Try, number: int) -> Attributes:
    return present({
        "network.peer.address": attempt.ip,
        "network.peer.port": int(attempt.port) if attempt.port else None,
        "http.request.resend_count": number or None,
    })  # fmt: skip


def _last_outcome(record: LogRecord, status: int | None, source: str, call: Call | None) -> Attributes:
    outcome = _outcome(status, source == "upstream")
    if "http.response.status_code" in outcome:
        version = protocol_version(record, source, call)
        if version:
            outcome["network.protocol.version"] = version
        if call is not None and call.status and source == "upstream":
            outcome["rpc.response.status_code"] = call.status
            if call.client_error:
                outcome["error.type"] = call.client_error
    return outcome


def _outcome(status: int | None, is_answer: bool) -> Attributes:
    if status is None:
        return {}
    if not is_answer and status in _NO_ANSWER:
        return {"error.type": _NO_ANSWER[status]}
    outcome: Attributes = {"http.response.status_code": status}
    if status >= 400:
        outcome["error.type"] = str(status)
    return outcome


def _statuses(record: LogRecord, tries: list[Try]) -> list[int | None]:
    # nginx's $upstream_status: a status a try, with a comma between, a colon after an internal redirect.
    texts = (record.upstream_status or "").replace(":", ",").split(",")
    statuses = [int(text) if text.strip().isdecimal() else None for text in texts[: len(tries)]]
    statuses += [None] * (len(tries) - len(statuses))
    return [_code(attempt) if status is None else status for attempt, status in zip(tries, statuses, strict=True)]


def _code(attempt: Try) -> int | None:
    if attempt.state != "failed" or attempt.code is None or attempt.code not in _NO_ANSWER:
        return None
    return int(attempt.code)

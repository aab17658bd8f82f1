"""The CLIENT spans' attributes: the address of each try of the balancer, the request sent there, and its outcome.

For a try that was followed by another, 502 and 504 mean that there was no answer, unless `proxy_next_upstream` is set
to continue after answers of 502 and 504, which is not the default. For the last try the record has
the source of the answer.

Source: nginx, ngx_http_upstream_next; semantic conventions 1.44, docs/http/http-spans.md.
"""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.entities import tag_value, tags_of
from otlp_tracing.sidecar.ingest.request_record import NO_ANSWER, RequestRecord
from otlp_tracing.sidecar.spans.gen_ai import gen_ai_attributes
from otlp_tracing.sidecar.spans.grpc import Call
from otlp_tracing.sidecar.spans.legacy_semconv import client_names
from otlp_tracing.sidecar.spans.model import Attributes, add_text, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.server import protocol_version
from otlp_tracing.sidecar.spans.server_address import DEFAULT_PORTS

_PEER = "service.peer.name"
_SCHEMES = {"grpc": "http", "grpcs": "https", "ws": "http", "wss": "https"}


def client_attributes(record: RequestRecord, call: Call | None, rules: SpanRules) -> list[Attributes]:
    """Return the attributes of the CLIENT spans, one a try; those with an `error.type` are errors.

    Args:
        record: of the request.
        call: the gRPC call that was sent, if it was one.
        rules: of the plugin entry.
    """
    shared = _upstream_attributes(record, call, rules)
    last = len(record.tries) - 1
    spans = []
    for number, attempt in enumerate(record.tries):
        attributes = shared if number == last else dict(shared)
        if attempt.ip:
            attributes["network.peer.address"] = attempt.ip
        if attempt.port:
            attributes["network.peer.port"] = int(attempt.port)
        if number:
            attributes["http.request.resend_count"] = number
        if record.nginx is not None and number < len(record.nginx.tries):
            for name, seconds in record.nginx.tries[number].items():
                attributes[f"nginx.upstream_{name}_time"] = seconds
        status, error_type = try_outcome(record, call, number)
        if status is not None:
            attributes["http.response.status_code"] = status
        if number == last and status is not None:
            _add_answer(attributes, record, call)
        if number == last and record.log.ai is not None:
            attributes.update(gen_ai_attributes(record, rules))
        if error_type is not None:
            attributes["error.type"] = error_type
        if rules.old_names:
            attributes.update(client_names(attributes))
        spans.append(attributes)
    return spans


def _upstream_attributes(record: RequestRecord, call: Call | None, rules: SpanRules) -> Attributes:
    attributes = rules.methods.attributes(record.sent_method)
    service = record.log.service
    if service is not None:
        add_text(attributes, "server.address", service.host)
        port = int(service.port) if service.port else None
        if port is not None:
            attributes["server.port"] = port
        if service.host:
            scheme = _SCHEMES.get(service.protocol or "", service.protocol or "http")
            host = f"[{service.host}]" if ":" in service.host else service.host
            shown = f":{port}" if port is not None and port != DEFAULT_PORTS.get(scheme) else ""
            attributes["url.full"] = f"{scheme}://{host}{shown}{record.log.upstream_uri or '/'}"
        # A service calls itself by its own `service.name`, which need not be the name that Kong has for it.
        add_text(attributes, _PEER, tag_value(tags_of(service), _PEER) or service.name)
    if call is not None:
        attributes.update(present(call.attributes()))
    return attributes


def try_outcome(record: RequestRecord, call: Call | None, number: int) -> tuple[int | None, str | None]:
    """Return the status of a try's answer, None without one, and its `error.type`, None if it is not an error.

    Args:
        record: of the request.
        call: the gRPC call that was sent, if it was one.
        number: of the try, from 0.
    """
    status, attempt = record.statuses[number], record.tries[number]
    if number < len(record.tries) - 1:
        is_answer = attempt.state != "failed" or attempt.code not in NO_ANSWER
        call = None
    else:
        is_answer = record.source == "upstream"
    if status is None:
        return None, None
    if not is_answer and status in NO_ANSWER:
        return None, NO_ANSWER[status]
    if call is not None and is_answer and call.status and call.client_error:
        return status, call.client_error
    return status, str(status) if status >= 400 else None


def _add_answer(attributes: Attributes, record: RequestRecord, call: Call | None) -> None:
    version = protocol_version(record, call)
    if version:
        attributes["network.protocol.version"] = version
    if call is not None and call.status and record.source == "upstream":
        attributes["rpc.response.status_code"] = call.status

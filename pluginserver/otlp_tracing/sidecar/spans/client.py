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
from otlp_tracing.sidecar.spans.model import Attributes, SharedAttributes, add_text, present
from otlp_tracing.sidecar.spans.rules import SpanRules
from otlp_tracing.sidecar.spans.server import protocol_version
from otlp_tracing.sidecar.spans.server_address import DEFAULT_PORTS

_PEER = "service.peer.name"
_SCHEMES = {"grpc": "http", "grpcs": "https", "ws": "http", "wss": "https"}


def client_attributes(
    record: RequestRecord, call: Call | None, rules: SpanRules
) -> tuple[list[Attributes], SharedAttributes]:
    """Return the attributes of the CLIENT spans, one a try, and those of them that they share, which are the first.

    Those with an `error.type` are errors.

    Args:
        record: of the request.
        call: the gRPC call that was sent, if it was one.
        rules: of the plugin entry.
    """
    shared = _shared_attributes(record, rules)
    upstream = _upstream_attributes(record, call, shared)
    last = len(record.tries) - 1
    spans = []
    for number, attempt in enumerate(record.tries):
        attributes = upstream if number == last else dict(upstream)
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
    return spans, shared


def _shared_attributes(record: RequestRecord, rules: SpanRules) -> SharedAttributes:
    service = record.log.service
    host = port = peer = None
    if service is not None:
        host, port = service.host, service.port
        # A service calls itself by its own `service.name`, which need not be the name that Kong has for it.
        peer = tag_value(tags_of(service), _PEER) or service.name
    key = (record.sent_method, host, port, peer)
    shared = rules.shared.get(key)
    if shared is None:
        attributes = rules.methods.attributes(record.sent_method)
        add_text(attributes, "server.address", host)
        if port:
            attributes["server.port"] = int(port)
        add_text(attributes, _PEER, peer)
        shared = rules.shared.add(key, attributes)
    return shared


def _upstream_attributes(record: RequestRecord, call: Call | None, shared: SharedAttributes) -> Attributes:
    attributes = shared.attributes.copy()
    service = record.log.service
    if service is not None:
        port = int(service.port) if service.port else None
        if service.host:
            scheme = _SCHEMES.get(service.protocol or "", service.protocol or "http")
            host = f"[{service.host}]" if ":" in service.host else service.host
            shown = f":{port}" if port is not None and port != DEFAULT_PORTS.get(scheme) else ""
            attributes["url.full"] = f"{scheme}://{host}{shown}{record.log.upstream_uri or '/'}"
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

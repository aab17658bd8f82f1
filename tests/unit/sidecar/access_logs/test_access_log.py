"""Promises of sidecar/access_logs/access_log.py."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.access_logs.access_log import AccessLog, severity
from otlp_tracing.sidecar.access_logs.body import Body
from otlp_tracing.sidecar.otlp.encoder import SCHEMA_URL, encode_resource, encode_span, request
from spans_of import CONTEXT, GRPC, record_of, spans_of


def access_log(**logs: Any) -> AccessLog:
    settings = Settings.from_config({"logs": logs}).logs
    return AccessLog(settings, Body(settings.body))


@pytest.mark.parametrize(
    ("logs", "wanted"),
    [
        ({"requests": "all"}, [True, True, True, True]),
        ({"requests": "sampled"}, [True, False, True, False]),
        ({"requests": "all", "min_severity": "warn"}, [False, False, True, True]),
        ({"requests": "sampled", "min_severity": "error"}, [False, False, False, False]),
    ],
)
def test_the_settings_say_which_requests_are_logged(logs: dict[str, Any], wanted: list[bool]) -> None:
    """All of them or those of kept traces, from a severity on."""
    requests = [(200, True), (200, False), (404, True), (404, False)]

    log = access_log(**logs)
    assert [log.wants(record_of(response={"status": one}), is_kept=kept) for one, kept in requests] == wanted


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"response": {"status": 302}}, "INFO"),
        ({"response": {"status": 429}}, "WARN"),
        ({"response": {"status": 502}}, "ERROR"),
        ({"session": {"status": 200}}, "INFO"),
        ({"session": {"status": 403}}, "WARN"),
        ({"session": {"status": 502}}, "ERROR"),
        (GRPC | {"response": {"status": 200, "headers": {"grpc-status": "14"}}}, "ERROR"),
    ],
)
def test_the_severity_is_the_outcome(fields: dict[str, Any], text: str) -> None:
    """ERROR for what is an error on the SERVER span too, also under the status 200 of gRPC."""
    assert severity(record_of(**fields)).text == text


def test_a_record_is_the_server_span_in_other_words() -> None:
    """Ids, flags, attributes and the time of its end; the duration is an attribute, the body a text of attributes."""
    fields: dict[str, Any] = {"latencies": {"request": 250}}
    server = spans_of(**fields)[0]
    encoded = access_log(requests="all", body="{http.request.method} {kong.latency.request_ms}").encode(
        record_of(**fields), CONTEXT, dict(server.attributes)
    )
    (record,) = ScopeLogs.FromString(encoded).log_records

    assert (record.trace_id, record.span_id) == (CONTEXT.trace_id, CONTEXT.span_id)
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (server.end_unix_ns, server.end_unix_ns)
    assert (record.severity_number, record.severity_text, record.flags) == (9, "INFO", CONTEXT.flags)
    assert record.body.string_value == "GET 250"
    found = {one.key: _value(one.value) for one in record.attributes}
    assert found == {**server.attributes, "kong.latency.request_ms": 250}


def test_shared_attributes_are_encoded_once() -> None:
    """A record that shares attributes with spans and other records has the same bytes as one that shares none."""
    log, (server, *_) = access_log(requests="all"), spans_of()
    assert server.shared is not None
    encode_span(server)
    for path in ("/a", "/b"):
        attributes = {**server.attributes, "url.path": path}
        encoded = log.encode(record_of(), CONTEXT, dict(attributes), server.shared)
        assert encoded == log.encode(record_of(), CONTEXT, dict(attributes))


def test_a_request_is_one_of_the_logs_service() -> None:
    """The messages around log records and spans have the same numbers, so one function makes both."""
    encoded = access_log(requests="all").encode(record_of(), CONTEXT, {})
    message = ExportLogsServiceRequest.FromString(request(encode_resource({"service.name": "kong"}), [encoded] * 2))

    (resource_logs,) = message.resource_logs
    (scope_logs,) = resource_logs.scope_logs
    assert resource_logs.resource.attributes[0].value.string_value == "kong"
    assert (scope_logs.scope.name, scope_logs.schema_url) == ("otlp_tracing", SCHEMA_URL)
    assert len(scope_logs.log_records) == 2
    assert not scope_logs.log_records[0].HasField("body")


def _value(value: Any) -> object:
    return getattr(value, value.WhichOneof("value"))

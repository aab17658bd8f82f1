"""Promises of plugin/handler.py."""

from __future__ import annotations

from typing import Any

import pytest

from doubles import FakeKong, ManualClock
from otlp_tracing.config.settings import Sampling
from otlp_tracing.context import RequestContext, handed_over_by
from otlp_tracing.handoff.frames import VERSION, Decoder, Hello, Refused, encode
from otlp_tracing.metrics import Counters
from otlp_tracing.plugin.emitter import Origin
from otlp_tracing.plugin.handler import Phases
from otlp_tracing.plugin.pdk import make_calls
from otlp_tracing.sampling.head_policy import HeadPolicy
from otlp_tracing.sampling.token_bucket import Allowance

HEADERS = {"traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], "tracestate": ["v=1"]}


class RecordingEmitter:
    """An emitter that keeps all records."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.worker_id = b"worker-1"
        self.policy = HeadPolicy()
        self.moves = False
        self.announced: list[Origin] = []
        self.refused: list[Origin] = []
        self.submitted: list[tuple[Origin, bytes]] = []

    def allowance(self, _origin: Origin, sampling: Sampling) -> Allowance | None:
        return Allowance(sampling, ManualClock()) if self.moves else None

    def announce(self, origin: Origin) -> None:
        self.announced.append(origin)

    def refuse(self, origin: Origin) -> None:
        self.refused.append(origin)

    def submit(self, origin: Origin, log: bytes) -> None:
        self.submitted.append((origin, log))


@pytest.fixture
def emitter() -> RecordingEmitter:
    return RecordingEmitter()


def counted(emitter: RecordingEmitter) -> dict[tuple[str, ...], int]:
    return {(name.removeprefix("otlp_tracing_"), *labels): value for name, labels, value in emitter.counters.totals()}


def test_access_makes_three_calls_and_log_one(emitter: RecordingEmitter) -> None:
    """Every call is a round trip to Kong: their number is the price of tracing."""
    phases = Phases({}, emitter)
    access, log = FakeKong({"kong.request.get_headers": HEADERS}), FakeKong({"kong.log.serialize": "{}"})
    make_calls(phases.access(), access)
    make_calls(phases.log(), log)

    assert [method for method, _ in access.calls] == [
        "kong.request.get_headers",
        "kong.service.request.set_headers",
        "kong.log.set_serialize_value",
    ]
    assert [method for method, _ in log.calls] == ["kong.log.serialize"]


@pytest.mark.parametrize(
    ("headers", "asked", "notes"),
    [
        ({"content-length": ["3"]}, True, {"method": "PUT"}),
        ({"content-type": ["text/plain"]}, True, {"method": "PUT"}),
        ({"origin": ["https://a.example"]}, True, {"method": "PUT"}),
        ({"content-type": ["application/grpc-web"]}, True, {"method": "PUT"}),
        ({"content-type": ["application/grpc+proto"]}, False, {"grpc": True}),
        ({"content-length": ["3"], "connection": ["keep-alive"]}, False, {"body": True}),
        ({"transfer-encoding": ["chunked"]}, False, {"body": True}),
        ({"origin": ["https://a.example"], "connection": ["keep-alive"]}, False, {}),
        ({"accept": ["*/*"]}, False, {}),
        ({}, False, {}),
    ],
)
def test_facts_that_kong_may_lose_are_noted(
    emitter: RecordingEmitter, headers: dict[str, list[str]], asked: bool, notes: dict[str, Any]
) -> None:
    """Only requests that may be over HTTP/2 and are probably no GET cost the question for their method."""
    kong = FakeKong({"kong.request.get_headers": headers, "kong.nginx.get_var": "PUT /a HTTP/2.0"})
    make_calls(Phases({}, emitter).access(), kong)
    (field,) = (arguments[1] for method, arguments in kong.calls if method == "kong.log.set_serialize_value")

    assert ("kong.nginx.get_var" in [method for method, _ in kong.calls]) == asked
    assert {name: field[name] for name in ("method", "grpc", "body") if name in field} == notes


@pytest.mark.parametrize(
    ("headers", "variable", "answer", "noted"),
    [
        ({"x-forwarded-proto": ["https"]}, "proto", "https", "proto"),
        ({"x-forwarded-proto": ["https"]}, "proto", "http", None),
        ({"x-forwarded-proto": ["https", "http"]}, "proto", "https, http", "proto"),
        ({"x-forwarded-proto": ["https"], "x-forwarded-port": ["443"]}, "proto", "https", "proto"),
        ({"x-forwarded-proto": ["https"], "x-forwarded-host": ["a"], "host": ["b"]}, "host", "a", "host"),
        ({"x-forwarded-proto": ["https"], "x-forwarded-host": ["b"], "host": ["b"]}, "proto", "https", "proto"),
        ({"x-forwarded-port": ["443"]}, "port", "443", "port"),
        ({"x-forwarded-port": ["443"]}, "port", "8000", None),
        ({"x-forwarded-for": ["192.0.2.1"], "x-forwarded-host": ["b"], "host": ["b"]}, None, "", None),
    ],
)
def test_trusted_forwarded_headers_are_noted(
    emitter: RecordingEmitter, headers: dict[str, list[str]], variable: str | None, answer: str, noted: str | None
) -> None:
    """Kong is asked once, for the header that tells most; without one of the three it is not asked."""
    kong = FakeKong({"kong.request.get_headers": headers, "kong.nginx.get_var": answer})
    make_calls(Phases({}, emitter).access(), kong)
    asked = [arguments for method, arguments in kong.calls if method == "kong.nginx.get_var"]

    assert asked == ([(f"upstream_x_forwarded_{variable}",)] if variable else [])
    assert kong.calls[-1][1][1].get("forwarded") == noted


def test_the_request_line_is_asked_for_once(emitter: RecordingEmitter) -> None:
    """A sampling rule and the method that may be lost share one answer."""
    kong = FakeKong({"kong.request.get_headers": {"content-length": ["3"]}, "kong.nginx.get_var": "POST /a HTTP/2.0"})
    make_calls(Phases({"sampling": {"rules": [{"name": "a", "methods": ["POST"], "rate": 1}]}}, emitter).access(), kong)

    assert [method for method, _ in kong.calls].count("kong.nginx.get_var") == 1
    assert kong.calls[-1][1][1]["method"] == "POST"


def test_a_record_names_its_entry(emitter: RecordingEmitter) -> None:
    """Kong's own queue brings the record alone; where rates move, it also names the process that decided."""
    fixed, moving = FakeKong({"kong.request.get_headers": {}}), FakeKong({"kong.request.get_headers": {}})
    make_calls(Phases({}, emitter).access(), fixed)
    emitter.moves = True
    make_calls(Phases({}, emitter).access(), moving)
    fields = [kong.calls[-1][1][1] for kong in (fixed, moving)]
    key = emitter.announced[0].key

    assert [handed_over_by(field) for field in fields] == [(key, b""), (key, b"worker-1")]
    assert all(RequestContext.from_log_field(field) for field in fields)
    assert counted(emitter) == {("requests_begun_total",): 2}


def test_the_client_is_told_its_trace_by_a_fourth_call(emitter: RecordingEmitter) -> None:
    """Only where a response header is configured, and after everything that tracing needs."""
    kong = FakeKong({"kong.request.get_headers": HEADERS})
    make_calls(Phases({"propagation": {"response_header": "X-Trace-Id"}}, emitter).access(), kong)

    assert [method for method, _ in kong.calls[2:]] == ["kong.log.set_serialize_value", "kong.response.set_header"]
    assert kong.calls[3][1] == ("X-Trace-Id", "0af7651916cd43dd8448eb211c80319c")


def test_the_log_record_gets_the_trace_id_in_kongs_form(emitter: RecordingEmitter) -> None:
    """Only if it is asked for, since it is one call more; pipelines made for Kong's own plugin read it."""
    kong = FakeKong({"kong.request.get_headers": HEADERS})
    make_calls(Phases({"log_correlation": True}, emitter).access(), kong)

    assert [arguments[0] for method, arguments in kong.calls if method == "kong.log.set_serialize_value"] == [
        "otlp_tracing",
        "trace_id",
    ]
    assert kong.calls[3][1][1] == {"w3c": "0af7651916cd43dd8448eb211c80319c"}


def test_clearing_and_injecting_are_one_call(emitter: RecordingEmitter) -> None:
    """However many headers are written and removed, they take one round trip."""
    kong = FakeKong({"kong.request.get_headers": {**HEADERS, "x-internal": ["1"], "baggage": ["a=1"]}})
    config = {"propagation": {"inject": ["w3c", "b3", "datadog"], "clear": ["x-internal"], "baggage": "strip"}}
    make_calls(Phases(config, emitter).access(), kong)
    sent = kong.calls[1][1][0]

    assert len(kong.calls) == 3
    assert {name for name, lines in sent.items() if not lines} == {"x-internal", "baggage"}
    assert {"traceparent", "tracestate", "x-b3-traceid", "x-datadog-trace-id"} <= sent.keys()


def test_what_upstream_sees_is_what_the_log_remembers(emitter: RecordingEmitter) -> None:
    """The parent-id sent upstream is the upstream_span_id in the log record."""
    kong = FakeKong({"kong.request.get_headers": HEADERS})
    make_calls(Phases({}, emitter).access(), kong)
    sent, remembered = kong.calls[1][1][0], kong.calls[2][1]
    context = RequestContext.from_log_field(remembered[1])

    assert remembered[0] == "otlp_tracing"
    assert context is not None
    assert sent["traceparent"][0].split("-")[2] == context.upstream_span_id.hex()
    assert sent["tracestate"] == ["v=1"]


@pytest.mark.parametrize(("received", "sent"), [(["broken="], [[]]), (None, [])])
def test_a_tracestate_is_removed_only_where_there_is_one(
    emitter: RecordingEmitter, received: list[str] | None, sent: list[list[str]]
) -> None:
    """A header to be removed is named in the call; an absent one is left alone."""
    headers: dict[str, list[str]] = {"traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"]}
    kong = FakeKong({"kong.request.get_headers": headers | ({"tracestate": received} if received else {})})
    make_calls(Phases({}, emitter).access(), kong)

    assert [lines for name, lines in kong.calls[1][1][0].items() if name == "tracestate"] == sent


def test_the_log_is_handed_over_unread(emitter: RecordingEmitter) -> None:
    """Anything that Kong logged is sent to the sidecar, valid or not."""
    make_calls(Phases({"endpoint": "http://a:1"}, emitter).log(), FakeKong({"kong.log.serialize": "no json at all"}))

    assert [log for _, log in emitter.submitted] == [b"no json at all"]


@pytest.mark.parametrize("method", sorted(FakeKong.KNOWN))
@pytest.mark.parametrize("odd", [RuntimeError("boom"), 5, "text", {"a": {"b": 1}}])
def test_no_answer_of_kongs_leaves_a_phase(emitter: RecordingEmitter, method: str, odd: Any) -> None:
    """Whatever a call raises or gives, the phase returns and the request continues."""
    phases = Phases({"propagation": {"response_header": "x-trace"}, "capture": {"baggage": ["a"]}}, emitter)
    make_calls(phases.access(), FakeKong({"kong.request.get_headers": HEADERS, method: odd}))
    make_calls(phases.log(), FakeKong({"kong.log.serialize": "{}", method: odd}))


def test_a_failure_is_counted(emitter: RecordingEmitter) -> None:
    """A request that could not be captured is told from one that was not there."""
    make_calls(Phases({}, emitter).access(), FakeKong({"kong.request.get_headers": RuntimeError("boom")}))
    make_calls(Phases({}, emitter).log(), FakeKong({"kong.log.serialize": RuntimeError("boom")}))

    assert counted(emitter) == {
        ("events_failed_total", "access"): 1,
        ("events_failed_total", "log"): 1,
        ("requests_untraced_total", "capture_failed"): 1,
    }


def test_a_configuration_that_cannot_work_traces_nothing(
    emitter: RecordingEmitter, caplog: pytest.LogCaptureFixture
) -> None:
    """The instance starts, reports its fault once, calls nothing, and counts."""
    phases = Phases({"endpoint": "nowhere", "headers": ["x" * (2 << 20)]}, emitter)
    kong = FakeKong()
    make_calls(phases.access(), kong)
    make_calls(phases.log(), kong)

    assert kong.calls == []
    assert not emitter.submitted
    assert counted(emitter) == {("requests_untraced_total", "bad_configuration"): 1}
    assert len(caplog.records) == 1
    assert "endpoint" in caplog.text


def test_a_secret_that_kong_does_not_find_is_named(emitter: RecordingEmitter, caplog: pytest.LogCaptureFixture) -> None:
    """Kong 3.9 passes an empty line for a reference without a value; the log names the reference."""
    Phases({"headers": [""], "$refs": {"headers": ["{vault://env/otlp-header}"]}}, emitter)

    assert "disabled for this entry: headers = {vault://env/otlp-header}: Kong finds no value for it" in caplog.text


def test_the_sidecar_hears_of_an_entry_that_traces_nothing(emitter: RecordingEmitter) -> None:
    """With Kong's ids and the faults that the log has, also where a value is no text, or no frame could hold it."""
    ids = {"__plugin_id": "p", "route_id": "r"}
    unset = {"headers": [""], "$refs": {"headers": ["{vault://env/otlp-header}"]}}
    for config in ({**ids, "endpoint": "\udc80"}, {**ids, **unset}, {**ids, "headers": [f"x: {'y' * (1 << 20)}"]}):
        Phases(config, emitter)

    hello = encode(Hello(VERSION, b"worker-1"))
    frames = [frame for one in emitter.refused for frame in list(Decoder().feed(hello + one.frame))[1:]]
    assert not emitter.announced
    assert [(frame.name, frame.route, frame.service) for frame in frames if isinstance(frame, Refused)] == [
        ("p", "r", "")
    ] * 3
    first, second, third = ("; ".join(frame.faults) for frame in frames if isinstance(frame, Refused))
    assert first.startswith("endpoint = ")
    assert second.startswith("headers = {vault://env/otlp-header}: Kong finds no value")
    assert "the limit is" in third


def test_a_configuration_too_large_for_a_frame_traces_nothing(emitter: RecordingEmitter) -> None:
    """A megabyte of configuration is refused like any other that cannot work."""
    phases = Phases({"headers": [f"x: {'y' * (1 << 20)}"]}, emitter)
    make_calls(phases.log(), FakeKong())

    assert counted(emitter) == {("requests_untraced_total", "bad_configuration"): 1}

"""Promises of propagation/trust_boundary.py."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.config.settings import Capture, Propagation, Settings
from otlp_tracing.context import RequestContext, SpanContext
from otlp_tracing.propagation.caller import Headers
from otlp_tracing.propagation.formats import FORMATS
from otlp_tracing.propagation.trust_boundary import TrustBoundary

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OURS = SpanContext(b"\x01" * 16, b"\x02" * 8, 1)
OUR_TRACEPARENT = f"00-{'01' * 16}-{'02' * 8}-01"
CALLER: Headers = {
    "host": ["a"],
    "traceparent": [f"00-{TRACE}-{SPAN}-01"],
    "tracestate": ["v=1"],
    "x-b3-traceid": [TRACE],
    "x-b3-spanid": [SPAN],
    "x-b3-parentspanid": [SPAN],
    "x-amzn-trace-id": ["Root=1-67891233-abcdef012345678912345678"],
    "x-datadog-origin": ["rum"],
    "baggage": ["a=1, broken, b=2"],
    "uberctx-c": ["3"],
}
EVERY_TRACE_HEADER = {header for format_ in FORMATS.values() for header in format_.HEADERS}


def boundary(captured: tuple[str, ...] = (), **settings: Any) -> TrustBoundary:
    return TrustBoundary.of(Propagation(**settings), Capture(captured))


def sent(received: Headers = CALLER, **settings: Any) -> dict[str, list[str]]:
    return boundary(**settings).inject(OURS, received)


def test_formats_are_tried_in_the_order_configured() -> None:
    """The first that finds a context counts."""
    headers = {"traceparent": [f"00-{TRACE}-{SPAN}-01"], "b3": [f"{'a' * 32}-{SPAN}-0"]}
    first, _ = boundary(extract=("w3c", "b3")).extract(headers)
    second, _ = boundary(extract=("b3", "w3c")).extract(headers)
    none, _ = boundary(extract=("jaeger",)).extract(headers)

    assert first is not None
    assert first.trace_id.hex() == TRACE
    assert second is not None
    assert second.trace_id.hex() == "a" * 32
    assert none is None


def test_every_format_configured_is_written() -> None:
    """Several at once, all of one span."""
    headers = sent({}, inject=("w3c", "b3-single", "datadog"))

    assert headers["traceparent"] == [OUR_TRACEPARENT]
    assert headers["b3"] == [f"{'01' * 16}-{'02' * 8}-1"]
    assert headers["x-datadog-parent-id"] == [str(0x0202020202020202)]
    assert "x-b3-traceid" not in headers


def test_a_believed_callers_header_names_our_span() -> None:
    """A header of a format that is read and not injected would name the caller's span if it were left alone."""
    headers = sent()

    assert headers["x-b3-traceid"] == ["01" * 16]
    assert headers["x-b3-spanid"] == ["02" * 8]
    assert headers["x-b3-parentspanid"] == []


def test_headers_of_formats_that_are_not_read_are_left_alone() -> None:
    """To a gateway that does not read X-Ray's, a load balancer's header is an application's."""
    assert not {"x-amzn-trace-id", "x-datadog-origin"} & sent().keys()
    assert sent(extract=("w3c", "aws"))["x-amzn-trace-id"][0].startswith("Root=1-01010101-")


def test_cleared_headers_go() -> None:
    """Present headers are removed in any case of letters, except injected ones."""
    received = {**CALLER, "x-internal": ["1"]}
    headers = sent(received, clear=("X-Internal", "X-B3-Traceid", "baggage", "traceparent", "x-absent"))

    assert headers["x-internal"] == headers["x-b3-traceid"] == headers["baggage"] == []
    assert headers["traceparent"] == [OUR_TRACEPARENT]
    assert "x-absent" not in headers


@pytest.mark.parametrize("incoming", ["ignore", "restart_and_link"])
def test_a_caller_that_is_not_believed_gets_nothing_through(incoming: str) -> None:
    """Not a trace header of any known format, no tracestate, no baggage."""
    headers = sent(incoming=incoming)

    assert {name for name, lines in headers.items() if not lines} == CALLER.keys() - {"host", "traceparent"}
    assert headers["traceparent"] == [OUR_TRACEPARENT]


@pytest.mark.parametrize("incoming", ["ignore", "restart_and_link"])
@pytest.mark.parametrize(
    "name", ["x_b3_traceid", "x_b3-spanid", "uber_trace_id", "uberctx_a", "ot_baggage_a", "grpc-trace-bin"]
)
def test_a_caller_that_is_not_believed_cannot_spell_its_way_through(incoming: str, name: str) -> None:
    """CGI and WSGI take an underscore for a hyphen; nor does gRPC's binary header pass. Injected headers stay."""
    headers = sent({name: ["1"], "x_request_id": ["2"]}, incoming=incoming, inject=("w3c", "b3", "jaeger"))

    assert headers[name] == []
    assert "x_request_id" not in headers
    assert headers["x-b3-traceid"] == ["01" * 16]


def test_an_ignored_caller_is_as_good_as_none() -> None:
    """Neither a parent nor a link nor captured baggage."""
    ignoring = boundary(("a",), incoming="ignore")

    assert ignoring.extract(CALLER) == (None, None)
    assert ignoring.capture(CALLER) == ()


def test_a_restart_links_to_the_caller() -> None:
    """The caller's span, its flags and its tracestate, and no parent."""
    caller, link = boundary(incoming="restart_and_link").extract(CALLER)

    assert caller is None
    assert link == SpanContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), 1, "v=1")
    assert boundary(incoming="restart_and_link").extract({}) == (None, None)


def test_a_caller_without_a_span_is_not_linked_to() -> None:
    """A link needs a span to point at."""
    restarting = boundary(incoming="restart_and_link", extract=("aws",))

    assert restarting.extract(CALLER) == (None, None)


def test_baggage_is_passed_rebuilt_or_stripped() -> None:
    """Valid baggage is passed on unless the configuration strips it, Jaeger's and OpenTracing's with it."""
    jaeger = {**CALLER, "uber-trace-id": [f"{TRACE}:{SPAN}:0:1"], "ot-baggage-d": ["\x00"]}

    assert sent()["baggage"] == ["a=1,b=2"]
    assert sent({"baggage": ["broken"]})["baggage"] == []
    assert (sent(jaeger)["uberctx-c"], sent(jaeger)["ot-baggage-d"]) == (["3"], [])
    assert [sent(jaeger, baggage="strip")[name] for name in ("baggage", "uberctx-c", "ot-baggage-d")] == [[], [], []]


@pytest.mark.parametrize("name", ["uberctx-k", "ot-baggage-k"])
@pytest.mark.parametrize("value", ["9" * 9_000, "a\x01b", "a\x7f"])
def test_baggage_is_bounded_without_a_trace_header_beside_it(name: str, value: str) -> None:
    """A member of Jaeger's or OpenTracing's that comes alone is read like any other: an invalid one is dropped."""
    assert sent({name: [value]})[name] == []
    assert sent({name: [" sound "]})[name] == ["sound"]


def test_a_secrets_baggage_member_loses_its_value_at_once() -> None:
    """Kong's other log plugins would write it; a pseudonym is made in the sidecar, which needs the value."""
    headers = {"baggage": ["api_key=hunter2,b=2"]}

    def captured(**redaction: Any) -> tuple[tuple[str, str], ...]:
        settings = Settings.from_config({"redaction": redaction, "capture": {"baggage": ["api_key", "b"]}})
        return TrustBoundary.of(settings.propagation, settings.capture, settings.redaction).capture(headers)

    assert captured() == captured(mode="drop") == captured(mode="hash") == (("api_key", "[REDACTED]"), ("b", "2"))
    assert captured(sensitive_keys=["b"]) == (("api_key", "hunter2"), ("b", "[REDACTED]"))
    assert captured(mode="hash", hash_key="0123456789abcdef")[0] == ("api_key", "hunter2")


@pytest.mark.parametrize("incoming", ["trust", "restart_and_link"])
def test_baggage_is_captured_though_it_goes_no_further(incoming: str) -> None:
    """The members named, and none where none is named."""
    assert boundary(("b", "x"), incoming=incoming, baggage="strip").capture(CALLER) == (("b", "2"),)
    assert boundary(incoming=incoming).capture(CALLER) == ()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (None, None),
        ("X-Trace-Id", ("X-Trace-Id", TRACE)),
        ("Server-Timing", ("Server-Timing", f"trace;desc=00-{TRACE}-{SPAN}-03")),
        ("server-timing", ("server-timing", f"trace;desc=00-{TRACE}-{SPAN}-03")),
    ],
)
def test_the_client_is_told_its_trace_where_that_is_configured(
    name: str | None, answer: tuple[str, str] | None
) -> None:
    """The bare trace id, or the metric that W3C Trace Context level 3 describes, with the SERVER span's id."""
    context = RequestContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), b"\x03" * 8, None, 3, "")

    assert boundary(response_header=name).answer(context) == answer


text = (
    st.text(max_size=8)
    | st.text(st.characters(categories=["Cs", "Cc", "Nd"]), max_size=8)
    | st.sampled_from([line for lines in CALLER.values() for line in lines])
)
settings = st.builds(
    Propagation,
    extract=st.lists(st.sampled_from([name for name in FORMATS if name != "b3-single"]), unique=True).map(tuple),
    inject=st.lists(st.sampled_from(list(FORMATS)), unique=True).map(tuple),
    clear=st.lists(st.sampled_from(sorted(CALLER))).map(tuple),
    incoming=st.sampled_from(["trust", "ignore", "restart_and_link"]),
    baggage=st.sampled_from(["pass", "strip"]),
)


@given(settings, st.dictionaries(st.sampled_from([*sorted(EVERY_TRACE_HEADER), *CALLER]), st.lists(text, max_size=2)))
def test_no_trace_header_goes_on_as_it_came(propagation: Propagation, received: dict[str, list[str]]) -> None:
    """Whatever comes and however it is configured: written from our span, removed, or of a format not read."""
    headers = TrustBoundary.of(propagation, Capture(("a",))).inject(OURS, received)
    ours = {("01" * 16)[:16], str(0x0101010101010101), str(0x0202020202020202)}
    read = {header for name in propagation.extract for header in FORMATS[name].HEADERS}
    touched = EVERY_TRACE_HEADER if propagation.incoming != "trust" else read

    assert {name for name in received if name in touched} <= headers.keys()
    for name, lines in headers.items():
        assert lines or name in received
        assert all(line and re.fullmatch("[ -~]+", line) for line in lines)
        if name in EVERY_TRACE_HEADER and name.endswith(("parent", "traceid", "trace-id", "context", "b3")):
            assert all(any(part in line.replace("-", "") for part in ours) for line in lines)

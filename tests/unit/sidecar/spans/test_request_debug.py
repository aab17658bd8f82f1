"""Promises of sidecar/spans/request_debug.py; the output is that of a real Kong 3.9.3."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_records import recorded
from otlp_tracing.sidecar.ingest.log_record import DEBUG_OUTPUT_HEADER
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.model import SpanRecord
from otlp_tracing.sidecar.spans.request_debug import MAX_STEPS, DebugOutput
from semconv import faults
from spans_of import CONTEXT, rules_of, spans_of

PLUGIN = "7e720b45-45cf-5af0-b0ce-cb98d8203831"


def output_of(name: str) -> str:
    return str(recorded("3.9", name)["response"]["headers"][DEBUG_OUTPUT_HEADER])


def spans_with(output: object) -> list[SpanRecord]:
    """Make spans of a request of a second with this header."""
    return spans_of(response={"headers": {DEBUG_OUTPUT_HEADER: output}}, latencies={"request": 1000}, tries=[{}])


def nested(**phases: Any) -> str:
    return json.dumps({"child": phases})


def test_the_steps_of_a_real_kong_are_in_the_order_of_its_phases() -> None:
    """Each phase with its plugins by name and id, the router first, and the upstream."""
    steps = DebugOutput(output_of("debugged")).steps

    assert [(step.kind, step.name) for step in steps] == [
        ("phase", "rewrite"),
        ("plugin", "pre-function"),
        ("phase", "access"),
        ("router", "router"),
        ("plugin", "pre-function"),
        ("phase", "balancer"),
        ("phase", "upstream"),
        ("phase", "header_filter"),
        ("plugin", "pre-function"),
    ]
    assert [step.parent for step in steps] == [None, 0, None, 2, 2, None, None, None, 7]
    assert all(len(step.plugin_id) == 36 for step in steps if step.kind == "plugin")
    phases = [step for step in steps if step.parent is None]
    for before, after in itertools.pairwise(phases):
        assert after.start_ms == pytest.approx(before.start_ms + before.duration_ms)


def test_calls_of_plugins_and_names_are_steps() -> None:
    """DNS, HTTP, sockets and Redis inside a plugin, and DNS inside the balancer."""
    call = {"total_time": 4, "child": {"connections": {"child": {"tcp://a:1": {"total_time": 1}}}}}
    one = {
        "total_time": 5,
        "child": {"external_http": {"total_time": 4, "child": {"http://a": call}}, "redis": {"total_time": 1}},
    }
    plugins = {"total_time": 6, "child": {"key-auth": {"total_time": 5, "child": {"id-1": one}}}}
    dns = {
        "total_time": 2,
        "child": {"a.test": {"total_time": 2, "child": {"resolve": {"total_time": 2, "cache_hit": False}}}},
    }
    steps = DebugOutput(
        nested(
            access={"total_time": 7, "child": {"plugins": plugins}}, balancer={"total_time": 3, "child": {"dns": dns}}
        )
    ).steps

    assert [(step.kind, step.name, step.parent) for step in steps] == [
        ("phase", "access", None),
        ("plugin", "key-auth", 0),
        ("http", "http://a", 1),
        ("connection", "tcp://a:1", 2),
        ("redis", "redis", 1),
        ("phase", "balancer", None),
        ("dns", "a.test", 5),
        ("other", "resolve", 6),
    ]


@pytest.mark.parametrize("name", ["debugged", "debugged_unrouted"])
def test_a_record_with_the_output_has_spans_of_its_steps(name: str) -> None:
    """INTERNAL ones, each inside its parent, and with names that are few."""
    record = decode(json.dumps(recorded("3.9", name)).encode())
    spans = assemble(record, CONTEXT, rules_of())
    by_id = {span.span_id: span for span in spans}
    internal = [span for span in spans if span.kind == "internal"]

    assert [fault for span in spans for fault in faults(span)] == []
    assert len(by_id) == len(spans)
    assert {span.name for span in internal} <= {
        "kong.rewrite",
        "kong.access",
        "kong.balancer",
        "kong.header_filter",
        "kong.router",
        "kong.plugin",
        "kong.other",
    }
    assert [span.attributes["kong.plugin.name"] for span in internal if span.name == "kong.plugin"] == [
        "pre-function"
    ] * (3 if name == "debugged" else 2)
    for span in internal:
        parent = by_id[span.parent_span_id or b""]
        assert parent.start_unix_ns <= span.start_unix_ns <= span.end_unix_ns <= parent.end_unix_ns


@pytest.mark.parametrize(
    "output", ["", "[]", "null", "{", "[" * 5000, {"a": 1}, ["x"], json.dumps({"truncated": True})]
)
def test_an_output_that_kong_does_not_write_gives_no_span(output: object) -> None:
    """An upstream can send such a header too."""
    assert [span.kind for span in spans_with(output)] == ["server", "client"]


def test_the_spans_of_one_request_are_bounded() -> None:
    """However many steps a header names."""
    many = {str(number): {"total_time": 1} for number in range(1000)}
    output = nested(access={"total_time": 1, "child": many})

    assert len(DebugOutput(output).steps) == MAX_STEPS
    assert len(spans_with(output)) == MAX_STEPS + 2
    assert DebugOutput(nested(access={"total_time": 1, "padding": "x" * 70_000})).steps == []


_NODE = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "total_time": inner,
            "child": st.dictionaries(st.sampled_from(["plugins", "dns", "router", "x", "access", "rewrite"]), inner),
        },
    ),
    max_leaves=20,
)


@given(_NODE)
def test_anything_can_be_in_the_header(root: Any) -> None:
    """Spans stay inside their request."""
    server, *rest = spans_with(json.dumps(root))

    assert all(server.start_unix_ns <= span.start_unix_ns <= span.end_unix_ns <= server.end_unix_ns for span in rest)

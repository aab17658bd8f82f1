"""Promises of propagation/w3c.py: `traceparent` and `tracestate`, level 2."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.context import SpanContext
from otlp_tracing.propagation import w3c

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
STRICT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]")


def flags_of(value: str) -> int | None:
    context = w3c.extract({"traceparent": [value]})
    return context.flags if context else None


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-02", 2),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),  # flags that no version has defined are not passed on
        (f" 00-{TRACE}-{SPAN}-01\t", 1),  # HTTP trims a field's value
        (f"01-{TRACE}-{SPAN}-01", 1),  # a higher version: the first four fields are read
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1),
    ],
)
def test_a_sound_traceparent_is_read(value: str, flags: int) -> None:
    """Section 3.2: version 00 exactly, later versions as far as they are known."""
    assert flags_of(value) == flags


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",  # version 00 has no more fields
        f"00-{TRACE}-{SPAN}-01-",
        f"cc-{TRACE}-{SPAN}-01.more",  # a later version continues with a dash
        f"cc-{TRACE}-{SPAN}-010",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE}-{SPAN}-01\n",
        f"0\N{FULLWIDTH DIGIT ZERO}-{TRACE}-{SPAN}-01",
        f".0-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 600}",
        "\udcff",
    ],
)
def test_a_malformed_traceparent_is_none(value: str) -> None:
    """Section 3.2: a malformed header starts a new trace."""
    assert flags_of(value) is None


def test_two_traceparents_are_malformed() -> None:
    """A request with two parents has none."""
    assert w3c.extract({"traceparent": [f"00-{TRACE}-{SPAN}-01"] * 2}) is None


def test_tracestate_without_traceparent_is_not_looked_at() -> None:
    """Section 3.3: a new trace has no business with an old tracestate."""
    assert w3c.extract({"tracestate": ["a=1"]}) is None


def test_tracestate_lines_are_one_list() -> None:
    """Several lines mean the same as one line with commas."""
    context = w3c.extract({"traceparent": [f"00-{TRACE}-{SPAN}-01"], "tracestate": ["a=1", " b=2 ,", "c=3"]})

    assert context is not None
    assert context.members == (("a", "1"), ("b", "2"), ("c", "3"))


def test_what_goes_out_is_version_00() -> None:
    """Section 4.3: a received higher version is sent as the version that we speak."""
    context = w3c.extract({"traceparent": [f"cc-{TRACE}-{SPAN}-01-more"], "tracestate": ["a=1"]})

    span = context.span_context() if context else None

    assert span is not None
    assert w3c.inject(span) == {"traceparent": [f"00-{TRACE}-{SPAN}-01"], "tracestate": ["a=1"]}


def test_an_empty_tracestate_is_removed() -> None:
    """An empty list of values takes a header out of the upstream request."""
    context = SpanContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN))

    assert w3c.inject(context)["tracestate"] == []


near = st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?\Z")


@given(st.lists(st.text() | near, max_size=2), st.lists(st.text(), max_size=3))
def test_whatever_comes_in_what_goes_out_is_sound(traceparents: list[str], tracestates: list[str]) -> None:
    """No text raises, and no text but a sound header ever leaves."""
    context = w3c.extract({"traceparent": traceparents, "tracestate": tracestates})
    span = context.span_context() if context else None
    if span is not None:
        headers = w3c.inject(span)
        assert STRICT.fullmatch(headers["traceparent"][0])
        assert all(line.isascii() and line.isprintable() for line in headers["tracestate"])

"""Promises that every format in decision/propagation/ keeps, with its vectors in tests/testdata/propagation/."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from checkout import TESTDATA
from otlp_tracing.context import SpanContext
from otlp_tracing.propagation.formats import FORMATS, extract, inject

VECTORS = TESTDATA / "propagation"

_HEX16, _HEX32 = "(?!0{16})[0-9a-f]{16}", "(?!0{32})[0-9a-f]{32}"
STRICT = {
    "traceparent": f"00-{_HEX32}-{_HEX16}-0[0-3]",
    "tracestate": "[!-~]([ -~]*[!-~])?",
    "b3": f"{_HEX32}-{_HEX16}-[01]",
    "x-b3-traceid": _HEX32,
    "x-b3-spanid": _HEX16,
    "x-b3-sampled": "[01]",
    "uber-trace-id": f"{_HEX32}:{_HEX16}:0:[01]",
    "x-datadog-trace-id": "[1-9][0-9]{0,19}",
    "x-datadog-parent-id": "[1-9][0-9]{0,19}",
    "x-datadog-sampling-priority": "[01]",
    "x-datadog-tags": f"_dd\\.p\\.tid={_HEX16}",
    "ot-tracer-traceid": _HEX16,
    "ot-tracer-spanid": _HEX16,
    "ot-tracer-sampled": "true|false",
    "x-amzn-trace-id": f"Root=1-[0-9a-f]{{8}}-[0-9a-f]{{24}};Parent={_HEX16};Sampled=[01]",
    "x-cloud-trace-context": f"{_HEX32}/[1-9][0-9]{{0,19}};o=[01]",
}


def vectors(kind: str) -> list[Any]:
    return [
        pytest.param(name, vector, id=f"{name}: {vector.get('why', vector['headers'])}")
        for name in FORMATS
        for vector in yaml.safe_load((VECTORS / f"{name}.yaml").read_text())[kind]
    ]


def read(name: str, headers: Any) -> tuple[str | None, str | None, bool | None] | None:
    caller = FORMATS[name].extract(headers)
    if caller is None:
        return None
    return caller.trace_id.hex(), caller.span_id.hex() if caller.span_id else None, caller.sampled


@pytest.mark.parametrize(("name", "vector"), vectors("both_ways") + vectors("read"))
def test_a_sound_header_is_read(name: str, vector: Any) -> None:
    """Every header that the format's specification allows is understood as it says."""
    assert read(name, vector["headers"]) == (vector["trace_id"], vector["span_id"], vector["sampled"])


@pytest.mark.parametrize(("name", "vector"), vectors("both_ways"))
def test_a_context_is_written_as_it_would_be_read(name: str, vector: Any) -> None:
    """A context is written as the same headers that it was read from."""
    context = SpanContext(
        bytes.fromhex(vector["trace_id"]), bytes.fromhex(vector["span_id"]), 1 if vector["sampled"] else 0
    )

    assert {header: lines for header, lines in FORMATS[name].inject(context).items() if lines} == vector["headers"]


@pytest.mark.parametrize(("name", "vector"), vectors("refused"))
def test_a_malformed_header_is_none(name: str, vector: Any) -> None:
    """A header that breaks the grammar is treated as absent."""
    assert read(name, vector["headers"]) is None


@pytest.mark.parametrize("name", FORMATS)
def test_every_header_of_a_format_is_accounted_for(name: str) -> None:
    """A format says of each of its headers whether it is written or removed."""
    context = SpanContext(b"\x01" * 16, b"\x02" * 8, 1)

    assert set(FORMATS[name].inject(context)) == set(FORMATS[name].HEADERS)


@pytest.mark.parametrize("name", ["datadog", "ot"])
def test_half_an_id_of_zeros_is_not_written(name: str) -> None:
    """A format that writes the lower half of a trace id writes nothing where that is zero: readers refuse it."""
    context = SpanContext(b"\x01" * 8 + bytes(8), b"\x02" * 8, 1)

    assert not any(FORMATS[name].inject(context).values())


def test_the_first_format_that_finds_a_context_counts() -> None:
    """The order is the configuration's; a malformed header does not end the search."""
    headers = {"traceparent": ["broken"], "b3": [f"{'1' * 32}-{'2' * 16}-1"], "uber-trace-id": ["3:4:0:1"]}
    first = extract(headers, ["w3c", "jaeger", "b3"])
    other = extract(headers, ["w3c", "b3", "jaeger"])

    assert first is not None
    assert first.trace_id[-1] == 3
    assert other is not None
    assert other.trace_id[-1] == 0x11
    assert extract(headers, ["w3c"]) is None


@pytest.mark.parametrize(
    ("headers", "sampled"),
    [
        ({"b3": ["0"]}, False),
        ({"b3": ["1"]}, True),
        ({"b3": ["d"]}, True),
        ({"x-b3-sampled": ["0"]}, False),
        ({"x-b3-sampled": ["False"]}, False),
        ({"x-b3-sampled": ["1"]}, True),
        ({"x-b3-flags": ["1"]}, True),
        ({"x-b3-flags": ["1"], "x-b3-sampled": ["0"]}, True),
        ({"b3": ["0"], "x-b3-sampled": ["1"]}, False),
        ({"x-b3-spanid": ["2" * 16], "x-b3-sampled": ["0"]}, False),
    ],
)
def test_a_decision_without_a_trace_is_read(headers: dict[str, list[str]], sampled: bool) -> None:
    """B3 lets a decision travel alone; it counts only where no format names a trace."""
    caller = extract(headers, ["w3c", "b3", "jaeger"])
    beside = extract({**headers, "uber-trace-id": ["3:4:0:1"]}, ["w3c", "b3", "jaeger"])

    assert caller is not None
    assert (caller.trace_id, caller.span_id, caller.sampled) == (b"", None, sampled)
    assert beside is not None
    assert beside.trace_id[-1] == 3


def test_several_formats_are_written_at_once() -> None:
    """Each format's headers beside the others'."""
    written = inject(SpanContext(b"\x01" * 16, b"\x02" * 8, 1), FORMATS)

    assert {name for name, lines in written.items() if lines} == STRICT.keys() - {"tracestate"}


sound_values: list[str] = [
    line
    for kind in ("both_ways", "read", "refused")
    for parameter in vectors(kind)
    for lines in parameter.values[1]["headers"].values()
    for line in lines
]


@st.composite
def near(draw: st.DrawFn) -> str:
    """A value of the vectors with a piece of it replaced."""
    value = draw(st.sampled_from(sound_values))
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, min(len(value), start + 3)))
    return (
        value[:start] + draw(st.text(max_size=3) | st.sampled_from(["\n", "\udcff", "-", ":", "0", "%"])) + value[end:]
    )


anything = st.text() | st.text(st.characters(categories=["Cs", "Nd", "Cc"])) | near() | st.sampled_from(sound_values)
all_headers = st.dictionaries(st.sampled_from([*STRICT, "x-b3-flags"]), st.lists(anything, max_size=2), max_size=6)


@given(all_headers, st.permutations(list(FORMATS)))
def test_whatever_comes_in_what_goes_out_is_sound(headers: dict[str, list[str]], order: list[str]) -> None:
    """No text raises, and no text but a strict header of its format ever leaves."""
    caller = extract(headers, order)
    if caller is None or (caller.trace_id == b"" and caller.sampled is not None):
        return
    assert len(caller.trace_id) == 16
    assert any(caller.trace_id)
    span = caller.span_context() or SpanContext(caller.trace_id, b"\x01" * 8, caller.flags)
    for name, lines in inject(span, FORMATS).items():
        assert all(re.fullmatch(STRICT[name], line) for line in lines)


@given(
    st.binary(min_size=16, max_size=16).filter(lambda value: any(value[8:])),
    st.binary(min_size=8, max_size=8).filter(any),
    st.booleans(),
    st.sampled_from(list(FORMATS)),
)
def test_every_context_survives_every_format(trace_id: bytes, span_id: bytes, sampled: bool, name: str) -> None:
    """One gateway reads the headers that another writes; OpenTracing's format has room for 64 bits of a trace id."""
    caller = FORMATS[name].extract(FORMATS[name].inject(SpanContext(trace_id, span_id, int(sampled))))

    assert caller is not None
    assert caller.trace_id == (bytes(8) + trace_id[8:] if name == "ot" else trace_id)
    assert (caller.span_id, caller.sampled) == (span_id, sampled)

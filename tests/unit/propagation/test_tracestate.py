"""Promises of propagation/tracestate.py."""

from __future__ import annotations

import pytest

from otlp_tracing.propagation import tracestate as trace_state


@pytest.mark.parametrize(
    ("line", "members"),
    [
        ("", ()),
        (" , ,", ()),
        ("a=1", (("a", "1"),)),
        ("a=1,b=2", (("a", "1"), ("b", "2"))),
        ("\ta=1 , b=2 ", (("a", "1"), ("b", "2"))),
        ("a=x y", (("a", "x y"),)),
        ("a=1,a=2", (("a", "1"),)),
        ("0a@v_-*/=1", (("0a@v_-*/", "1"),)),
        ("a=" + "v" * 256, (("a", "v" * 256),)),
        (",".join(f"k{n}=1" for n in range(32)), tuple((f"k{n}", "1") for n in range(32))),
    ],
)
def test_a_sound_list_is_read(line: str, members: trace_state.Members) -> None:
    """Section 3.3.1: members in order, white space around them trimmed, of two with one key the newer."""
    assert trace_state.parse([line]) == members


@pytest.mark.parametrize(
    "line",
    [
        "a", "a=", "=1", "A=1", "a b=1", "a=1=2", "a=\N{LATIN SMALL LETTER E WITH ACUTE}", "a=\x7f", "a=1;\x00",
        "k" * 257 + "=1", "a=" + "v" * 257, "a=1,B", ",".join(f"k{n}=1" for n in range(33)), "@a=1",
    ],
)  # fmt: skip
def test_one_broken_member_voids_the_list(line: str) -> None:
    """Section 3.3: a list that cannot be parsed is not passed on in part."""
    assert trace_state.parse([line]) == ()


def test_a_member_that_is_set_moves_to_the_left() -> None:
    """Section 3.5: a changed member moves to the front, the others keep their order."""
    members = trace_state.parse(["a=1,b=2,c=3"])

    assert trace_state.render(trace_state.put(members, "b", "4")) == "b=4,a=1,c=3"
    assert trace_state.render(trace_state.remove(members, "b")) == "a=1,c=3"
    assert trace_state.get(members, "b") == "2"
    assert trace_state.get(members, "d") is None


def test_a_full_list_loses_its_rightmost_member() -> None:
    """There is room for 32 members, ours included."""
    members = trace_state.put(trace_state.parse([",".join(f"k{n}=1" for n in range(32))]), "ot", "th:8")

    assert len(members) == 32
    assert members[0] == ("ot", "th:8")
    assert members[-1] == ("k30", "1")

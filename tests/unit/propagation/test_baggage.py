"""Promises of propagation/baggage.py."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otlp_tracing.propagation import baggage


def rebuilt(*lines: str) -> str:
    return ",".join(baggage.render(baggage.parse(lines)))


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        # W3C Baggage, section 3.3.2: examples
        ("key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
         "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue"),
        ("userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
         "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false"),
        ("a=", "a="),
        ("a=1=2", "a=1=2"),
        ("a=1,a=2", "a=2"),
        ("", ""),
        (" , ,", ""),
    ],
)  # fmt: skip
def test_baggage_is_written_anew(line: str, sent: str) -> None:
    """Valid members are passed on, without the white space around them; of two with one key the later."""
    assert rebuilt(line) == sent


@pytest.mark.parametrize(
    "member",
    ["a", "=1", "a b=1", "a=1 2", 'a="1"', "a=1\\", "a=\N{LATIN SMALL LETTER E WITH ACUTE}", "a=1;", "a=1;b c",
     "a=1;=2", "(a)=1", "a=1\n", "a=\x00", "\udcff=1", "a=1;b=\x7f"],
)  # fmt: skip
def test_a_malformed_member_is_left_out_alone(member: str) -> None:
    """The others stay."""
    assert rebuilt(f"x=1,{member},y=2") == "x=1,y=2"


def test_several_lines_are_one_list() -> None:
    """As HTTP has it for any list."""
    assert rebuilt("a=1", "b=2, c=3") == "a=1,b=2,c=3"


def test_what_the_specification_has_carried_is_carried() -> None:
    """64 members of 8192 bytes in all, to the last byte."""
    members = [f"key{number:02}={'v' * 121}" for number in range(64)]
    line = ",".join(members)
    line += "v" * (8192 - len(line))

    assert len(line) == 8192
    assert rebuilt(line) == line


def test_what_is_beyond_the_limits_is_not() -> None:
    """Neither more bytes nor more members, and a line of commas is given up on early."""
    assert len(rebuilt(",".join(f"k{number}={'v' * 100}" for number in range(200)))) <= 8192
    assert rebuilt(",".join(f"k{number}=1" for number in range(500))).count(",") == 179
    assert rebuilt("," * 100_000 + "a=1") == ""


texts = st.text() | st.text(st.characters(categories=["Cs", "Cc", "Po"]))


@given(st.lists(texts | st.from_regex(r"[a-z]=[ -~]*(,[a-z]=[ -~]*)*", fullmatch=True), max_size=3))
def test_whatever_comes_in_what_goes_out_is_sound(lines: list[str]) -> None:
    """No text raises. The written header is printable, bounded, and the same when it is read again."""
    written = baggage.render(baggage.parse(lines))

    assert all(re.fullmatch(r"[!-~]+( [!-~]+)*", line) and len(line) <= 8192 for line in written)
    assert baggage.render(baggage.parse(written)) == written


def test_members_are_captured_decoded() -> None:
    """Only those named, percent-encoding undone, whatever it hides."""
    headers = {"baggage": ["user=Am%C3%A9lie;p=1,tenant=7,bad=%ff%zz"]}

    assert baggage.captured(headers, ["user", "bad", "absent"]) == (
        ("user", "Amélie"),
        ("bad", "\N{REPLACEMENT CHARACTER}%zz"),
    )


def test_jaegers_baggage_is_captured_too() -> None:
    """`uberctx-*` and `ot-baggage-*` where W3C's has no such member; their names are in lower case."""
    headers = {"baggage": ["a=1"], "uberctx-a": ["2"], "uberctx-user-id": ["x%20y"], "ot-baggage-c": ["3"]}

    assert baggage.captured(headers, ["a", "User-Id", "c"]) == (("a", "1"), ("User-Id", "x y"), ("c", "3"))


def test_a_header_a_member_is_bounded_as_well() -> None:
    """Printable values are passed on, all others are dropped, and the list keeps its bound."""
    headers = {"host": ["a"], "uberctx-a": [" 1 "], "uberctx-b": ["\x00"], "uberctx-c": ["1", "2"]}
    headers |= {f"ot-baggage-{number}": ["v" * 1000] for number in range(9)}
    written = baggage.prefixed(headers)

    assert (written["uberctx-a"], written["uberctx-b"], written["uberctx-c"]) == (["1"], [], [])
    assert sum(bool(lines) for name, lines in written.items() if name.startswith("ot-")) == 8
    assert "host" not in written

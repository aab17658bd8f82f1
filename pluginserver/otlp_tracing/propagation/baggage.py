"""Baggage: `baggage` (W3C), and the headers of Jaeger and OpenTracing, one for each member.

Members are read, bounded and written again. Members that break the grammar are left out without a log line, because a
caller could fill the log with them. No value is interpreted. Percent-encoding is undone only if a member is captured.

Source: https://www.w3.org/TR/baggage/, section 3.3 (grammar; at least 64 members and 8192 bytes are carried); Jaeger's
propagation format for `uberctx-*`; opentracing/basictracer-go for `ot-baggage-*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import unquote

Members = Mapping[str, tuple[str, str]]
"""Keys to values, as they are encoded, and their properties (`;a;b=c`)."""

MAX_MEMBERS = 180  # the minimum of an earlier draft; today's minimum is 64
MAX_BYTES = 8192
PREFIXES = ("uberctx-", "ot-baggage-")

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110
_OCTETS = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_SPACE = r"[ \t]*"
_MEMBER = re.compile(f"({_NAME}){_SPACE}={_SPACE}({_OCTETS})", re.ASCII)
_PROPERTY = re.compile(f"({_NAME})(?:{_SPACE}={_SPACE}({_OCTETS}))?", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*[\x21-\x7e]", re.ASCII)


def parse(lines: Sequence[str]) -> Members:
    """Read every `baggage` line of a request as one list.

    A malformed member is left out, of two with one key the later stays, and past either limit nothing more
    is taken. Candidates are counted, not members, so that a line of commas costs no more than a sound one.
    """
    members: dict[str, tuple[str, str]] = {}
    room = MAX_BYTES
    for text in ",".join(lines).split(",", MAX_MEMBERS)[:MAX_MEMBERS]:
        if len(text) > room:
            break
        member = _member(text)
        if member is not None:
            key, value, properties = member
            members[key] = value, properties
            room -= len(key) + len(value) + len(properties) + 2
    return members


def render(members: Members) -> list[str]:
    """Write the header's lines: one, or none for no members."""
    return [",".join(f"{key}={value}{rest}" for key, (value, rest) in members.items())] if members else []


def captured(headers: Mapping[str, Sequence[str]], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the members named, decoded; W3C's before Jaeger's and OpenTracing's."""
    members = parse(headers["baggage"]) if "baggage" in headers else {}
    found = []
    for name in names:
        value = members[name][0] if name in members else _prefixed_value(headers, name)
        if value is not None:
            found.append((name, unquote(value)))
    return tuple(found)


def prefixed(headers: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the headers of PREFIXES for the upstream; an empty list for a header that must be removed."""
    written: dict[str, list[str]] = {}
    room, count = MAX_BYTES, 0
    for name in headers:
        if name.startswith(PREFIXES):
            value, count = _sound_value(headers[name]), count + 1
            room -= len(name) + len(value or "")
            written[name] = [value] if value is not None and room >= 0 and count <= MAX_MEMBERS else []
    return written


def _member(text: str) -> tuple[str, str, str] | None:
    member, *properties = text.split(";")
    match = _MEMBER.fullmatch(member.strip(" \t"))
    if match is None:
        return None
    rest = ""
    for property_ in properties:
        parts = _PROPERTY.fullmatch(property_.strip(" \t"))
        if parts is None:
            return None
        rest += f";{parts[1]}" if parts[2] is None else f";{parts[1]}={parts[2]}"
    return match[1], match[2], rest


def _prefixed_value(headers: Mapping[str, Sequence[str]], name: str) -> str | None:
    # Header names are in lower case, whatever the member's name is.
    for prefix in PREFIXES:
        value = _sound_value(headers.get(prefix + name.lower(), ()))
        if value is not None:
            return value
    return None


def _sound_value(values: Sequence[str]) -> str | None:
    if len(values) != 1 or len(values[0]) > MAX_BYTES:
        return None
    value = values[0].strip(" \t")
    return value if _PRINTABLE.fullmatch(value) else None

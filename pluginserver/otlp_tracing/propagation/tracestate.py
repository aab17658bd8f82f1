"""The `tracestate` list: members in order, newest first, one a vendor.

Source: https://www.w3.org/TR/trace-context-2/, section 3.3 (grammar, limits, mutation).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Members = tuple[tuple[str, str], ...]
"""Keys and values, leftmost first; keys are unique."""

MAX_MEMBERS = 32  # section 3.3.1.1
_KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"({_KEY})=({_VALUE})", re.ASCII)


def parse(lines: Sequence[str]) -> Members:
    """Read every `tracestate` line of a request as one list.

    A member that breaks the grammar, or a 33rd one, voids the whole list; of two members with one
    key the first, which is the newer, stays.

    Raises:
        Nothing, whatever the text.
    """
    members: dict[str, str] = {}
    for text in ",".join(lines).split(","):
        stripped = text.strip(" \t")
        if not stripped:
            continue
        match = _MEMBER.fullmatch(stripped)
        if match is None:
            return ()
        members.setdefault(*match.groups())
    return tuple(members.items()) if len(members) <= MAX_MEMBERS else ()


def render(members: Members) -> str:
    """Write the header's value; empty for an empty list."""
    return ",".join(f"{key}={value}" for key, value in members)


def get(members: Members, key: str) -> str | None:
    """Return a member's value."""
    return next((value for name, value in members if name == key), None)


def put(members: Members, key: str, value: str) -> Members:
    """Set a member and move it to the left. The rightmost member is dropped if there is no room."""
    return ((key, value), *remove(members, key))[:MAX_MEMBERS]


def remove(members: Members, key: str) -> Members:
    """Leave a member out."""
    return tuple(member for member in members if member[0] != key)

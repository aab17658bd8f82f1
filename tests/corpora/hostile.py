"""Values of a KiB that cost redaction as much as possible."""

from __future__ import annotations

import random
from collections.abc import Mapping

from otlp_tracing.sidecar.redaction.detectors.key_shapes import KEY_SHAPES

KIB = 1024

CATASTROPHIC = {
    "(a+)+$ in a backtracking engine": "(?:a+)+$",
    "a new state with every byte": "[ab]*a[ab]{90}c",
    "the same, as large as can be": "[ab]*a[ab]{180}c",
    "alternatives without end": "(?:a|a|b|ab|ba)*c",
}
"""Patterns that a person could write by mistake, each the only one of an entry."""


def hostile_values() -> Mapping[str, str]:
    """Return values by the kind of attack."""
    chance = random.Random(1)
    anchors = "".join(f"{shape.anchor} " for shape in KEY_SHAPES)
    pieces = {
        "one letter": "a",
        "letters of a hostile pattern": "".join(chance.choices("ab", k=KIB)),
        "printable characters": "".join(chr(chance.randrange(32, 127)) for _ in range(KIB)),
        "letters and digits": "".join(chance.choices("abcdefABCDEF0123456789", k=KIB)),
        "digits": "4",
        "card numbers": "4111111111111111 ",
        "almost card numbers": "4111111111111112 ",
        "almost accounts": "GB82WEST12345698765433 ",
        "addresses": "a@b.cc ",
        "at signs": "@",
        "almost tokens": "eyJhbGciOiJIUzI1NiJ9.",
        "tokens": "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x ",
        "every key's beginning": anchors,
        "Bearer": "Bearer aaaaaaaaaaaaaaa1 ",
        "private keys' beginnings": "-----BEGIN PRIVATE KEY-----",
        "assignments": "key=a;",
        "almost assignments": "monkey=a;",
        "options of a command": "--key x ",
        "phrases": "key is a1b2c3 ",
        "a form": "%22+a+",
        "userinfo": "//a@",
        "slashes": "//",
        "percent signs": "%",
        "escapes": "%41",
        "escapes of escapes": "%252541",
        "parameters": "a=1&",
        "sensitive parameters": "key=1&",
        "names nobody sent before": "&".join(f"n{number:x}=" for number in range(KIB)),
        "separators": "&",
        "IP addresses": "1.2.3.4 ",
        "colons": ":",
        "phone numbers": "+12125550123 ",
        "escaped quotes": r"\"key\":\"a\\\"",
        "brackets": '{"key":[',
        "lists": "key=[a],",
        "tags": "<key a='b'>",
        "tags without an end": "<key a='",
        "attributes": "key='a' b='c' ",
        "references": "&quot;key&quot;:",
        "base64": "cGFzc3dvcmQ9aHVudGVyMg== ",
        "base64 of nothing": "b3JkaW5hcnkgdGV4dCBvbmx5IQ.",
        "logins": "code=ab12cd34&",
        "logins in text": '"code":"493817",',
        "white space": "key=   \t",
    }
    return {name: (piece * KIB)[:KIB] for name, piece in pieces.items()}

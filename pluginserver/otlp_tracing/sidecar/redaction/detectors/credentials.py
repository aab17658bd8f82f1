"""Credentials recognized by their context: after `Bearer`, before a URL's host.

Source: RFC 7617 (Basic), RFC 6750 (Bearer), RFC 9110, 11.4 (token68); RFC 3986, 3.2.1 (userinfo).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

URL_MASK = "REDACTED"
"""The mask in URLs."""

_SHORTEST_BEARER = 16  # OAuth's tokens are longer, words of a sentence are shorter
_SPACE = r"(?:[ \t+]|%20)"


class SchemeCredentials:
    """Finds credentials after the name of a scheme: Basic ones that decode to user and password, or a token."""

    rule = "credentials"
    trigger = rf"(?i)\b(?:basic|bearer|negotiate|digest|apikey|token){_SPACE}+[0-9A-Za-z]"
    _credentials = compiled(rf"(?i)\b(?:basic|bearer|negotiate|apikey|token){_SPACE}+[0-9A-Z._~+/\-]{{6,}}=*")
    _parts = re.compile(r"([A-Za-z]+)(?:[ \t+]|%20)+")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find credentials."""
        for start, end in searched(self._credentials, text, budget):
            budget.spend(CANDIDATE)
            head = self._parts.match(text, start)
            assert head is not None
            value = text[head.end() : end]
            if _is_basic(value) if head[1].lower() == "basic" else _is_token(value):
                yield Finding(head.end(), end, self.rule, value)


class Userinfo:
    """Finds user and password in a URL; it is always on.

    Source: semantic conventions 1.44, url.full: credentials must be replaced.
    """

    rule = "userinfo"
    trigger = r"//[^\s/?#\"'<>]*@"
    _authority = compiled(r"//[^\s/?#\"'<>]*@")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find the text between `//` and the last `@` before a path."""
        for start, end in searched(self._authority, text, budget):
            if end - start > len("//@"):
                yield Finding(start + 2, end - 1, self.rule, text[start + 2 : end - 1])


def _is_token(value: str) -> bool:
    body = value.strip("=")
    return len(body) >= _SHORTEST_BEARER and (any(map(str.isdigit, body)) or len(body) >= 2 * _SHORTEST_BEARER)


def _is_basic(value: str) -> bool:
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in decoded and all(0x20 <= byte != 0x7F for byte in decoded)

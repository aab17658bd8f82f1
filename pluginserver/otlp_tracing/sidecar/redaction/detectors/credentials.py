"""Credentials recognized by their context: after `Bearer`, before a URL's host, behind a sensitive name.

Source: RFC 7617 (Basic), RFC 6750 (Bearer), RFC 9110, 11.4 (token68); RFC 3986, 3.2.1 (userinfo).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from otlp_tracing.config.sensitive_names import SensitiveNames
from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.pseudonyms import PSEUDONYM
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

URL_MASK = "REDACTED"
"""The mask in URLs."""

_SHORTEST_BEARER = 16  # OAuth's tokens are longer, words of a sentence are shorter
# Separators of a name and its value: `=`, `:`, `:=`, `=>`, the end of a tag, `", "`.
_ASSIGNS = r"(?:[ \t]*(?:[:?.]*=>?|:)|>|[ \t]*,[ \t]*[\"'])"
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


class AssignedSecret:
    """Finds a value behind a sensitive name and `=`, `:`, the end of a tag or `","`: `password: x`.

    Args:
        names: sensitive names.
        safe: names whose values stay.
    """

    rule = "sensitive_key"
    _name = re.compile(r"[0-9A-Za-z_.\-\[\]]+")
    _value = re.compile(
        r"""(?:(?:basic|bearer|token|digest|apikey|negotiate)[ +]+)?"""
        r"""(?:"([^"]*)"?|'([^']*)'?|`([^`]*)`?|([^\s"'`&;,<>|{}()\[\]]+))""",
        re.IGNORECASE,
    )

    def __init__(self, names: SensitiveNames, safe: frozenset[str] = frozenset()) -> None:
        self._names = names
        self._safe = safe
        words = "|".join(map(re.escape, sorted(names.first_words)))
        name = rf"(?:{words})[0-9A-Z_.\-\[\]]*[\"'\]]{{0,2}}"
        self.trigger = rf"(?i){name}{_ASSIGNS}[ \t\"'`]*" + _anything_but(URL_MASK) if words else ""
        self._assignment = compiled(rf"(?i)[0-9A-Z_.\-]*{name}{_ASSIGNS}[ \t]*")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find values."""
        for start, end in searched(self._assignment, text, budget):
            budget.spend(CANDIDATE)
            name = self._name.match(text, start)
            value = self._value.match(text, end)
            if name is None or value is None or name[0] in self._safe or name[0] not in self._names:
                continue
            group = value.lastindex
            assert group is not None
            # `key://…` is a URL's scheme.
            if value[group] and not value[group].startswith(("//", URL_MASK)) and not PSEUDONYM.match(value[group]):
                yield Finding(value.start(group), value.end(group), self.rule, value[group])


def _anything_but(word: str) -> str:
    """Return a pattern for the beginning of a value that does not begin with a word; RE2 has no look-ahead."""
    begins = [rf"{word[:length]}[^{word[length]}\s\"'`&;,\[]" for length in range(len(word))]
    return rf"(?-i:{'|'.join(begins)}|{'|'.join(word[:length] + '$' for length in range(1, len(word)))})"


def _is_token(value: str) -> bool:
    body = value.strip("=")
    return len(body) >= _SHORTEST_BEARER and (any(map(str.isdigit, body)) or len(body) >= 2 * _SHORTEST_BEARER)


def _is_basic(value: str) -> bool:
    try:
        decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        return False
    return b":" in decoded and all(0x20 <= byte != 0x7F for byte in decoded)

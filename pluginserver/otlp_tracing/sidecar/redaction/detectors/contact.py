"""E-mail addresses and telephone numbers.

Source: RFC 5321, 4.5.3.1 (lengths); ITU-T E.164 (digits); the North American Numbering Plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import Work
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

__all__ = ["Email", "Phone"]

_TOP_LEVEL = re.compile(r"[A-Za-z]{2,24}|xn--[0-9A-Za-z-]{2,59}")
# `logo@2x.png`, `lodash@4.17.21`, `react@18.min.js`: what builds of web pages write, not people.
_SIZE_OR_VERSION = re.compile(r"\d+(?:\.\d+)*x?(?:\.|$)(?!com|net|org)")
_FILE_ENDINGS = frozenset({
    "avif", "css", "gif", "html", "ico", "jpeg", "jpg", "js", "json", "map", "mjs", "png", "svg", "tgz", "ttf", "webp",
    "woff", "woff2",
})  # fmt: skip


class Email:
    """An address: a local part, an at, a host with a top-level domain that is no file's ending."""

    rule = "email"
    trigger = "@"
    _address = compiled(r"[0-9A-Za-z!#$&'*+./=?^_`{|}~\-]+@[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)+")

    def find(self, text: str, work: Work) -> Iterator[Finding]:
        """Find addresses."""
        for start, end in searched(self._address, text, work):
            local, _, host = text[start:end].rpartition("@")
            # What stands before an address in a URL can be part of one: `/users/alice@…`, `q=alice@…`.
            local = re.split(r"[/=?&]", local)[-1].lstrip(".'")
            host = host.rstrip("-")
            top = host.rpartition(".")[2]
            if not local or len(local) > 64 or not _TOP_LEVEL.fullmatch(top) or top.lower() in _FILE_ENDINGS:
                continue
            if _SIZE_OR_VERSION.match(host):
                continue
            at = text.rindex("@", start, end)
            yield Finding(at - len(local), at + 1 + len(host), self.rule, f"{local}@{host}".lower())


class Phone:
    """A number in international form, or in North America's with its punctuation."""

    rule = "phone"
    trigger = r"\+[1-9][0-9 ()./\-]{6}|[2-9][0-9]{2}\)?[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}"
    _number = compiled(r"\+[1-9][0-9 ()./\-]{6,18}[0-9]|\(?\b[2-9][0-9]{2}\)?[ .\-][2-9][0-9]{2}[ .\-][0-9]{4}\b")

    def find(self, text: str, work: Work) -> Iterator[Finding]:
        """Find numbers."""
        for start, end in searched(self._number, text, work):
            digits = re.sub(r"\D", "", text[start:end])
            before, after = text[start - 1 : start], text[end : end + 1]
            if 8 <= len(digits) <= 15 and not before.isalnum() and not after.isdigit():
                yield Finding(start, end, self.rule, digits)

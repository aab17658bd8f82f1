"""E-mail addresses.

Source: RFC 5321, 4.5.3.1 (lengths).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

_TOP_LEVEL = re.compile(r"[A-Za-z]{2,24}|xn--[0-9A-Za-z-]{2,59}")
# `logo@2x.png`, `lodash@4.17.21`, `react@18.min.js`: written by web build tools.
_SIZE_OR_VERSION = re.compile(r"\d+(?:\.\d+)*x?(?:\.|$)(?!com|net|org)")
_FILE_ENDINGS = frozenset({
    "avif", "css", "gif", "html", "ico", "jpeg", "jpg", "js", "json", "map", "mjs", "png", "svg", "tgz", "ttf", "webp",
    "woff", "woff2",
})  # fmt: skip


class Email:
    """Finds an address: a local part, an at sign, a host with a top-level domain that is not a file ending."""

    rule = "email"
    trigger = "@"
    _address = compiled(r"[0-9A-Za-z!#$&'*+./=?^_`{|}~\-]+@[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)+")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find e-mail addresses."""
        for start, end in searched(self._address, text, budget):
            local, _, host = text[start:end].rpartition("@")
            # In a URL these characters separate: `/users/alice@…`, `q=alice@…`.
            local = re.split(r"[/=?&]", local)[-1].lstrip(".'")
            host = host.rstrip("-")
            top = host.rpartition(".")[2]
            if not local or len(local) > 64 or not _TOP_LEVEL.fullmatch(top) or top.lower() in _FILE_ENDINGS:
                continue
            if _SIZE_OR_VERSION.match(host):
                continue
            at = text.rindex("@", start, end)
            yield Finding(at - len(local), at + 1 + len(host), self.rule, f"{local}@{host}".lower())

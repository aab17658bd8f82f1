"""Private keys in their text forms: PEM, OpenSSH, PGP, PuTTY.

Source: RFC 7468 (encapsulation boundaries).
"""

from __future__ import annotations

from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

_SHORTEST_KEY = 44  # an Ed25519 key in PKCS #8 has 64 characters of base64, its bare 32 bytes 44


class PrivateKey:
    """Finds a key from its first line to its last; without a last line, to the end of the text."""

    rule = "private_key"
    trigger = r"(?i)BEGIN[ +_A-Z0-9]*PRIVATE[ +_]KEY|PuTTY-User-Key-File-"
    _begin = compiled(r"(?i)-{0,5}BEGIN[ +_A-Z0-9]{0,40}PRIVATE[ +_]KEY(?:[ +_]BLOCK)?-{0,5}|PuTTY-User-Key-File-[0-9]")
    _end = compiled(r"(?i)-{0,5}END[ +_A-Z0-9]{0,40}PRIVATE[ +_]KEY(?:[ +_]BLOCK)?-{0,5}")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find private keys."""
        done = 0
        for start, end in searched(self._begin, text, budget):
            if start < done:
                continue
            last = next(searched(self._end, text[end:], budget), None)
            done = end + last[1] if last else len(text)
            if last and last[0] < _SHORTEST_KEY:
                continue
            yield Finding(start, done, self.rule, text[start:done])

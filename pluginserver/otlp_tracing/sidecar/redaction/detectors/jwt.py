"""JSON Web Tokens, recognized by a header that decodes, or by two parts that begin like JSON in base64.

Source: RFC 7515 (JWS, compact serialization), RFC 7516 (JWE), RFC 7519; `alg` is required in a header.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

# Certificates make a header this long. A longer one is not decoded, and counts as a valid header.
_LONGEST_HEADER = 2_048
_TWO_JSON_PARTS = re.compile(r"ey[\w-]{17,}\.ey[\w/-]{17,}\.")
_TWICE_ENCODED = "ZXlK"  # base64 of `eyJ`, which is base64 of `{"`


class Jwt:
    """Finds a token of two or more parts, the first one a JSON object with `alg`, also if it is encoded once more."""

    rule = "jwt"
    trigger = r"ey[0-9A-Za-z_\-]{10,}={0,2}\.|ZXlK[0-9A-Za-z_\-]{8}"
    _token = compiled(r"\bey[0-9A-Za-z_\-]{9,}={0,2}(?:\.[0-9A-Za-z_+/\-]*={0,2})+|\bZXlK[0-9A-Za-z_+/\-]{8,}={0,2}")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find tokens."""
        for start, end in searched(self._token, text, budget):
            budget.spend(CANDIDATE)
            token = text[start:end]
            if _is_token(token) or (token.startswith(_TWICE_ENCODED) and _is_token(_decoded(token).decode("latin-1"))):
                yield Finding(start, end, self.rule, token)


def _is_token(token: str) -> bool:
    header, dot, payload = token.partition(".")
    if not dot:
        return len(header) > _LONGEST_HEADER
    if not payload.strip(".") or len(header) > _LONGEST_HEADER:
        return bool(payload)
    if _TWO_JSON_PARTS.match(token):
        return True
    try:
        fields = json.loads(_decoded(header))
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and ("alg" in fields or payload.startswith("ey"))


def _decoded(text: str) -> bytes:
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""

"""Text in base64 or base64url: finds and decodes it.

The bytes of text are 0x20 to 0x7E, which leaves few characters for each position of a group of four. So four such
groups in a row are text; in random characters one of 40,000 groups begins such a run.

Source: RFC 4648, sections 4 and 5.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import compiled, searched

# Bytes below 0x80, not below 0x20: 001000 to 011111; xx0010 to xx0111; xxxx00 or xxxx01; any.
_GROUP = r"[I-Za-f][C-HS-Xi-nyz0-3][ABEFIJMNQRUVYZcdghklopstwx014589][0-9A-Za-z+/_\-]"
TRIGGER = rf"(?:{_GROUP}){{4}}"
"""A pattern for RE2 that matches in every text with base64 of 12 bytes of ASCII."""
_text = compiled(TRIGGER)
# A slash separates the segments of a path, unless text follows.
_rest = re.compile(
    r"(?:[0-9A-Za-z+_\-]{3}(?:[0-9A-Za-z+_\-]|/(?=[I-Za-f][AQgwC-HS-Xi-nyz0-3]|$)))*[0-9A-Za-z+_\-]{0,3}={0,2}"
)
_group = re.compile(r"[0-9A-Za-z+_\-]{4}")
_not_text = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufffd]")
_MIN_TEXT = 20  # of so many characters at most one is not text: a key or a picture can hold a piece of text
_STANDARD = str.maketrans("-_", "+/")


def base64_texts(text: str, budget: CostBudget) -> Iterator[tuple[int, int, str]]:
    """Return start, end and decoded text (a byte becomes a character, Latin-1) of each one.

    Args:
        text: decoded otherwise.
        budget: is spent.

    Raises:
        CostExceeded: if the budget is used up.
    """
    done = 0
    for match_start, _ in searched(_text, text, budget):
        if match_start < done:
            continue
        budget.spend(CANDIDATE)
        start = match_start
        while start >= done + 4 and _group.match(text, start - 4):
            start -= 4
        rest = _rest.match(text, start)
        done = rest.end() if rest else len(text)
        encoded = text[start:done].rstrip("=").translate(_STANDARD)
        encoded = encoded[: len(encoded) - (len(encoded) % 4 == 1)]
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        if len(_not_text.findall(decoded.decode("utf-8", "replace"))) * _MIN_TEXT <= len(decoded):
            yield start, done, decoded.decode("latin-1")

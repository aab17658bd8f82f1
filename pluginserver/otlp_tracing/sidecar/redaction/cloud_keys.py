"""Keys of clouds, forges and services, by the forms in key_shapes.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from otlp_tracing.sidecar.redaction.finding import Finding, compiled, searched
from otlp_tracing.sidecar.redaction.key_shapes import KEY_SHAPES, KeyShape
from otlp_tracing.sidecar.redaction.work import CANDIDATE, Work

__all__ = ["CloudKey"]

# A placeholder in a manual repeats one character: `AKIAXXXXXXXXXXXXXXXX`.
_FEWEST_CHARACTERS = 7


class CloudKey:
    """A key that its beginning gives away; what repeats a character or two is a placeholder."""

    rule = "cloud_key"
    trigger = "|".join(shape.trigger or re.escape(shape.anchor) for shape in KEY_SHAPES)

    def find(self, text: str, work: Work) -> Iterator[Finding]:
        """Find keys."""
        for shape in KEY_SHAPES:
            if shape.anchor not in text:
                continue
            for start, end in searched(_pattern(shape), text, work):
                work.spend(CANDIDATE)
                key = text[start:end]
                if len(set(key)) >= _FEWEST_CHARACTERS and not key.endswith("EXAMPLE"):
                    yield Finding(start, end, self.rule, key)


@lru_cache(maxsize=len(KEY_SHAPES))  # one each
def _pattern(shape: KeyShape) -> Any:
    return compiled(shape.pattern)

"""Keys of clouds, code forges and services, by the forms in key_shapes.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.detectors.key_shapes import KEY_SHAPES, KeyShape
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

# A placeholder in a manual repeats one character: `AKIAXXXXXXXXXXXXXXXX`.
_FEWEST_CHARACTERS = 7
_PLACEHOLDERS = ("EXAMPLEKEY", "7EXAMPLE", "abcdefghijkl")


class CloudKey:
    """Finds a key by its prefix; a key that repeats a character or two is a placeholder."""

    rule = "cloud_key"
    trigger = "|".join(shape.trigger or re.escape(shape.anchor) for shape in KEY_SHAPES)

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find keys."""
        for shape in KEY_SHAPES:
            if shape.anchor not in text:
                continue
            for start, end in searched(_pattern(shape), text, budget):
                budget.spend(CANDIDATE)
                key = text[start:end]
                # After a dot it is the end of a file name or of a longer key.
                if text[start - 1 : start] == "." or _is_placeholder(key):
                    continue
                if not shape.has_digit or any(map(str.isdigit, key)):
                    yield Finding(start, end, self.rule, key)


def _is_placeholder(key: str) -> bool:
    return len(set(key[len(key) // 3 :])) < _FEWEST_CHARACTERS or any(word in key for word in _PLACEHOLDERS)


@lru_cache(maxsize=len(KEY_SHAPES))  # one each
def _pattern(shape: KeyShape) -> Any:
    return compiled(shape.pattern)

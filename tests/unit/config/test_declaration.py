"""Promises of config/declaration.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from otlp_tracing.config.declaration import about, fields_of


@dataclass(frozen=True)
class Inner:
    name: Annotated[str, about("A name.", len_min=1)]
    share: Annotated[float | None, about("A share.", between=[0, 1])] = None


@dataclass(frozen=True)
class Outer:
    inner: Annotated[Inner, about("One of them.")]
    mode: Annotated[Literal["a", "b"], about("A mode.")] = "a"
    sizes: Annotated[tuple[int, ...], about("Sizes.", elements={"between": [1, 9]})] = (5,)
    more: Annotated[tuple[Inner, ...], about("More of them.")] = ()
    is_on: Annotated[bool, about("A switch.")] = False


INNER = [
    {"name": {"type": "string", "required": True, "description": "A name.", "len_min": 1}},
    {"share": {"type": "number", "description": "A share.", "between": [0, 1]}},
]


def test_a_dataclass_is_a_record_of_kongs() -> None:
    """Types, defaults, nested records and the rules of elements are those of Kong's schema language."""
    assert fields_of(Outer) == [
        {"inner": {"type": "record", "required": True, "description": "One of them.", "fields": INNER}},
        {"mode": {"type": "string", "description": "A mode.", "one_of": ["a", "b"], "default": "a"}},
        {"sizes": {"type": "array", "description": "Sizes.", "default": [5],
                   "elements": {"type": "integer", "between": [1, 9]}}},
        {"more": {"type": "array", "description": "More of them.", "default": [],
                  "elements": {"type": "record", "fields": INNER}}},
        {"is_on": {"type": "boolean", "description": "A switch.", "default": False}},
    ]  # fmt: skip

"""The values of a YAML or JSON file, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DEEPEST = 200
"""Levels of records and lists that are read, far below Python's bound on recursion."""


@dataclass(slots=True)
class Node:
    """A value, and its place.

    Args:
        value: None, a boolean, a float, a string, a list or a dict.
        line: from 1.
        column: from 1, in characters.
        span: begin and end in the text, in characters.
        is_flow: a record or list in braces or brackets.
        size: number of values in it, with aliases written out.
        fields: of a record: the key and the value by the key's name; those that count.
        items: of a list.
        twice: keys of a record that are written a second time.
    """

    value: Any
    line: int
    column: int
    span: tuple[int, int] = (0, 0)
    is_flow: bool = False
    size: int = 1
    fields: dict[str, tuple[Node, Node]] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    twice: list[Node] = field(default_factory=list)

    def position(self, path: str) -> tuple[int, int]:
        """Return line and column of a field such as `config.rules[1].rate`, or of the nearest parent in the file."""
        at, node = self, self
        for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if number and 0 < int(number) <= len(node.items):
                at = node = node.items[int(number) - 1]
            elif not number and name in node.fields:
                at, node = node.fields[name]
            else:
                break
        return at.line, at.column

    def all_twice(self) -> Iterator[Node]:
        """Find the keys that are written twice, at any depth."""
        yield from self.twice
        for _, value in self.fields.values():
            yield from value.all_twice()
        for one in self.items:
            yield from one.all_twice()


class UnreadableError(Exception):
    """A text that Kong's parser refuses.

    Args:
        reason: the end of a sentence.
        line: from 1.
        column: from 1.
    """

    def __init__(self, reason: str, line: int = 1, column: int = 1) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column

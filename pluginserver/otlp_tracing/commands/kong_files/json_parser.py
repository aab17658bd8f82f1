"""JSON as Kong reads it, with the place of every value.

Numbers have more forms than in JSON, strings may have control characters, and the last of two equal keys counts.

Source: lua-cjson 2.1.0.11, which Kong 3.4 to 3.9 have; tests/kong_verdicts asks these Kongs.
"""

from __future__ import annotations

import bisect
import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import NoReturn

from otlp_tracing.commands.kong_files.nodes import DEEPEST, Node, UnreadableError

_QUOTE = '"'


def read_json(text: str) -> Node:
    """Read one JSON value.

    Raises:
        UnreadableError: for anything else.
    """
    return _Reader(text).document()


class _Reader:
    _WORD = re.compile(
        r"[ \t\r\n]*(?:([{}\[\],:\"])|(true|false|null)\b"
        r"|(-?(?i:0x[0-9a-f]+|inf(?:inity)?|nan|[0-9.]+(?:e[+-]?[0-9]+)?)))"
    )

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._begin = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def document(self) -> Node:
        node = self._value(self._next(), 0)
        if self._text[self._at :].strip(" \t\r\n"):
            self._fail("something stands after its end")
        return node

    def _next(self) -> str:
        found = self._WORD.match(self._text, self._at)
        if not found:
            rest = self._text[self._at :]
            self._begin = self._at + len(rest) - len(rest.lstrip(" \t\r\n"))
            self._fail("it ends too early" if not rest.strip() else "a character that begins no value")
        self._begin, self._at = found.start(found.lastindex or 0), found.end()
        return found[found.lastindex or 0]

    def _fail(self, reason: str) -> NoReturn:
        raise UnreadableError(f"is not JSON: {reason}", *self._place(self._begin))

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect.bisect(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _value(self, word: str, depth: int) -> Node:
        node = Node(None, *self._place(self._begin), (self._begin, self._at), is_flow=True)
        if depth > DEEPEST:
            self._fail("is nested too deeply")
        if word == _QUOTE:
            try:
                node.value, self._at = scanstring(self._text, self._at, False)
            except JSONDecodeError as error:
                self._begin = error.pos
                self._fail("a string that does not end, or an escape that does not exist")
        elif word == "{":
            self._record(node, depth)
        elif word == "[":
            self._list(node, depth)
        elif word in {"true", "false", "null"}:
            node.value = {"true": True, "false": False, "null": None}[word]
        elif word in "}],:":
            self._fail(f"{word!r} where a value must be")
        else:
            node.value = self._number(word)
        node.span = node.span[0], self._at
        return node

    def _number(self, word: str) -> float:
        try:
            value = float.fromhex(word) if "x" in word.lower() else float(word)
            return int(value) if value.is_integer() and "e" not in word.lower() else value
        except ValueError:
            self._fail("a number in an unknown form")

    def _list(self, node: Node, depth: int) -> None:
        word = self._next()
        while word != "]":
            node.items.append(self._value(word, depth + 1))
            word = self._after("]")
        node.value = [one.value for one in node.items]

    def _record(self, node: Node, depth: int) -> None:
        word = self._next()
        while word != "}":
            if word != _QUOTE:
                self._fail("a key that is no string in double quotes")
            key = self._value(word, depth + 1)
            if self._next() != ":":
                self._fail("a key without a colon")
            if key.value in node.fields:
                node.twice.append(key)
            node.fields[key.value] = key, self._value(self._next(), depth + 1)
            word = self._after("}")
        node.value = {name: value.value for name, (_, value) in node.fields.items()}

    def _after(self, end: str) -> str:
        word = self._next()
        if word == end:
            return word
        if word != ",":
            self._fail(f"neither a comma nor {end}")
        word = self._next()
        if word == end:
            self._fail(f"a comma before {end}")
        return word

"""YAML as Kong reads it, with the place of every value.

A date is a string, `yes` is a boolean, 1e3 is a number, 010 is 8; a record whose keys are 1, 2, 3 is a list. Keys
that are merged in (`<<`) never replace others, and the last of two equal keys counts.

Source: lyaml 6.2.8 (lyaml/init.lua, implicit.lua, explicit.lua) and libyaml 0.2.5, which Kong 3.4 to 3.9 have;
tests/kong_verdicts asks these Kongs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from otlp_tracing.commands.kong_files.nodes import DEEPEST, Node, UnreadableError

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, which Kong has too. Without it PyYAML's own parser, which takes a tab in fewer places."""

_MOST_NODES = 1_000_000  # of a document with its aliases written out
_TAG = "tag:yaml.org,2002:"
_IS_TEMPLATE = "is a template: name the rendered file, such as the output of helm template"
_TEMPLATE = re.compile(r"(?<!\$)\{\{")
_KONG_CONF = re.compile(r"^\s*[a-z_]+ *= *\S", re.MULTILINE)
_KEY = re.compile(r"\s*(?:- +)?(\"[^\"]*\"|'[^']*'|[^\s:#]+)\s*:(?:\s|$)")
IS_KONG_CONF = "is not YAML; if this is kong.conf, name the kong.yml instead"


def read_yaml(content: bytes) -> list[Node]:
    """Read every document of a YAML stream; Kong uses the first.

    Raises:
        UnreadableError: for a stream in which Kong's parser finds a fault.
    """
    try:
        return list(_Yaml(content).documents())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            line = content[: getattr(error, "position", 0)].count(b"\n") + 1
            what = "a control character" if "allowed" in str(error) else "a character that is not UTF-8"
            raise UnreadableError(f"is not YAML: it has {what}", line) from error
        text = content.decode("utf-8", "replace")
        raise UnreadableError(_reason(error, text, mark), mark.line + 1, mark.column + 1) from error


def _reason(error: yaml.YAMLError, text: str, mark: yaml.Mark) -> str:
    lines = [*re.split(r"\r\n?|\n", text), ""]
    line = lines[min(mark.line, len(lines) - 1)]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab; YAML is indented with spaces"
    if _TEMPLATE.search(line) or len(_KONG_CONF.findall(text)) > text.count(": "):
        return _IS_TEMPLATE if _TEMPLATE.search(line) else IS_KONG_CONF
    problem = getattr(error, "problem", None) or "a fault"
    context, begin = getattr(error, "context", None) or "", getattr(error, "context_mark", None)
    key = _KEY.match(line)
    if begin and key and "block collection" in context:
        first = _KEY.match(lines[begin.line])
        if first and mark.column == begin.column:
            further = first.start(1) - begin.column
            return f"{key[1]} must be under {first[1]}, {further} columns further right"
    if begin and "block mapping" in context:
        above = f"the fields above it, from line {begin.line + 1} on, by {begin.column}"
        return f"is indented by {mark.column} columns; {above}"
    if "mapping values are not allowed" in problem:
        return "a ': ' that begins no value: write the text in quotes, or indent the line like those beside it"
    return f"is not YAML: {problem}{f', {context}' if context else ''}{f' of line {begin.line + 1}' if begin else ''}"


def write_yaml(value: object) -> str:
    """Return YAML that Kong reads as this value: without anchors, and with quotes where its types need them."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _: object) -> bool:
        return True

    def _text(self, text: str) -> yaml.ScalarNode:
        is_text = isinstance(_scalar(text, None, True, 0, 0), str)
        return self.represent_scalar(f"{_TAG}str", text, style=None if is_text else "'")


_Dumper.add_representer(str, _Dumper._text)


class _Yaml:
    """Composes the nodes of a stream, as lyaml's Parser does."""

    def __init__(self, content: bytes) -> None:
        self._events: Iterator[Any] = yaml.parse(content, Loader=_Loader)
        self._anchors: dict[str, Node | None] = {}
        self._end = 0  # of the last value; libyaml ends a block where the next value begins

    def documents(self) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                yield self._node(next(self._events), 0)

    def _node(self, event: Any, depth: int) -> Node:
        mark: yaml.Mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise UnreadableError("an alias, and no anchor of this name is above it", line, column)
            found = self._anchors[event.anchor]
            if found is None:
                raise UnreadableError("an alias refers to itself", line, column)
            self._end = _index(event.end_mark)
            return found
        if depth > DEEPEST:
            raise UnreadableError("is nested too deeply", line, column)
        node = Node(None, line, column, is_flow=getattr(event, "flow_style", None) is True)
        self._end = _index(event.end_mark)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node.value = _scalar(event.value, event.tag, event.style in {None, ""}, line, column)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._list(node, depth)
        else:
            self._record(node, depth)
        node.span = mark.index, self._end
        if event.anchor:
            self._anchors[event.anchor] = node
        if node.size > _MOST_NODES:
            raise UnreadableError("has too many values", line, column)
        return node

    def _close(self, node: Node, event: Any) -> None:
        if node.is_flow:
            self._end = _index(event.end_mark)

    def _list(self, node: Node, depth: int) -> None:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                self._close(node, event)
                break
            node.items.append(self._node(event, depth + 1))
        node.value = [one.value for one in node.items]
        node.size += sum(one.size for one in node.items)

    def _record(self, node: Node, depth: int) -> None:
        keys: dict[str, Any] = {}
        own = set()
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                self._close(node, event)
                break
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            node.size += key.size + value.size
            if key.value == "<<" or getattr(event, "tag", None) == f"{_TAG}merge":
                _merge(node, value, keys)
                continue
            name = key.value if isinstance(key.value, str) else getattr(event, "value", "?")
            if name in own:
                node.twice.append(key)
            own.add(name)
            node.fields[name] = key, value
            keys[name] = key.value
        _finish(node, keys)


def _index(mark: Any) -> int:
    return int(mark.index)


def _merge(node: Node, value: Node, keys: dict[str, Any]) -> None:
    for one in value.items or [value]:
        if not isinstance(one.value, dict):
            raise UnreadableError("<<: must be a record, or a list of records", one.line, one.column)
        for name, pair in one.fields.items():
            if name not in node.fields:
                node.fields[name] = pair
                keys[name] = name


def _finish(node: Node, keys: Mapping[str, Any]) -> None:
    numbers = [key for key in keys.values() if isinstance(key, (int, float)) and not isinstance(key, bool)]
    if numbers and sorted(numbers) == list(range(1, len(keys) + 1)):
        # Lua has one table for both: this is a list.
        node.items = [value for _, (_, value) in sorted(node.fields.items(), key=lambda pair: keys[pair[0]])]
        node.value = [one.value for one in node.items]
        node.fields = {}
    else:
        node.value = {name: value.value for name, (_, value) in node.fields.items()}


def _scalar(text: str, tag: str | None, is_plain: bool, line: int, column: int) -> Any:
    kind = (tag or "").removeprefix(_TAG)
    if kind in _EXPLICIT and tag != kind:
        for read in _EXPLICIT[kind]:
            if (found := read(text)) is not _NOTHING:
                return found
        raise UnreadableError(f"is not YAML: !!{kind} with another value", line, column)
    if is_plain and text[:1] in _FIRST:
        for read in _IMPLICIT:
            if (found := read(text)) is not _NOTHING:
                return found
    return text


_NOTHING = object()
_FIRST = frozenset(("", *"~nNtTfFyYoO.+-_0123456789"))
"""Characters with which a scalar begins that is not surely a text."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    form: word in {"true", "yes", "on"}
    for word in ("true", "false", "yes", "no", "on", "off")
    for form in (word, word.title(), word.upper())
}
_MOST_DIGITS = 300  # more are past the largest number of Lua
_LETTERS = {"y": True, "Y": True, "n": False, "N": False}
_OTHER_NUMBERS = {
    f"{sign}.{form}": float(f"{sign}inf") for sign in ("", "+", "-") for form in ("inf", "Inf", "INF")
} | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))
_OCTAL = re.compile(r"([+-]?)0_*([0-7][0-7_]*)")
_DECIMAL = re.compile(r"([+-]?)_*([0-9][0-9_]*)")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"([+-]?)0x_*([0-9a-fA-F][0-9a-fA-F_]*)")
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?(?:[pP][+-]?[0-9]+)?")
_BINARY = re.compile(r"([+-]?)0b_*([01][01_]+)")
_SEXAGESIMAL = re.compile(r"([+-]?)([0-9]+:[0-5]?[0-9][:0-9]*)(\.[0-9]+)?")


def _null(text: str) -> Any:
    return None if text in _NULLS else _NOTHING


def _whole(pattern: re.Pattern[str], base: int, text: str) -> Any:
    found = pattern.fullmatch(text)
    if not found:
        return _NOTHING
    digits = found[2].replace("_", "")
    if len(digits) > _MOST_DIGITS:
        return float("inf")
    return -int(digits, base) if found[1] == "-" else int(digits, base)


def _float(text: str) -> Any:
    plain = text.replace("_", "")
    if re.search(r"[.eE]", text):
        if _FLOAT.fullmatch(plain):
            return float(plain)
        if _HEX_FLOAT.fullmatch(plain):
            return float.fromhex(plain)
    return _NOTHING


def _sexagesimal(text: str, *, with_fraction: bool) -> Any:
    found = _SEXAGESIMAL.fullmatch(text)
    if not found or bool(found[3]) != with_fraction:
        return _NOTHING
    value = functools.reduce(lambda total, digits: total * 60 + int(digits), found[2].strip(":").split(":"), 0)
    number = value + float(found[3]) if found[3] else value
    return -number if found[1] == "-" else number


def _other_number(text: str) -> Any:
    return _OTHER_NUMBERS.get(text, _NOTHING)


def _boolean(text: str) -> Any:
    return _BOOLEANS.get(text, _NOTHING)


_decimal = functools.partial(_whole, _DECIMAL, 10)
_octal = functools.partial(_whole, _OCTAL, 8)
_hexadecimal = functools.partial(_whole, _HEXADECIMAL, 16)
_binary = functools.partial(_whole, _BINARY, 2)
_sexagesimal_whole = functools.partial(_sexagesimal, with_fraction=False)
_sexagesimal_fraction = functools.partial(_sexagesimal, with_fraction=True)
_IMPLICIT = (
    _null, _octal, _decimal, _float, _boolean, _other_number, _hexadecimal, _binary, _sexagesimal_whole,
    _sexagesimal_fraction,
)  # fmt: skip
_EXPLICIT = {
    "null": (lambda _: None,),
    "str": (lambda text: text,),
    "bool": (_boolean, lambda text: _LETTERS.get(text, _NOTHING)),
    "int": (_octal, _decimal, _hexadecimal, _binary, _sexagesimal_whole),
    "float": (_float, _other_number, _octal, _decimal, _hexadecimal, _binary, _sexagesimal_fraction),
}

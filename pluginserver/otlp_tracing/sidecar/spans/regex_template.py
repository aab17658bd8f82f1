r"""A route's regular expression as a template that a person can read: `/users/(?<id>\d+)$` is `/users/{id}`.

Pure text in, text out; knows nothing of records. A named capture becomes its name. Any other variable part becomes its
position, `{1}`, `{2}`. An optional group is one variable part: `/status(?:/live)?$` is `/status{1}`. If there is
one named capture in it, that is its name. Parts without a meaning to a reader (anchors, escapes, single optional
characters) are removed. An expression without a template, such as `/a|/b`, stays as it is: it comes from the
configuration, so it is one name.

Source: syntax of the Rust regex crate, which Kong's router uses; semantic conventions, http.route: low
cardinality, placeholders for the variable parts.
"""

from __future__ import annotations

import re

_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})[?+]?")
_GROUP = re.compile(r"\((?:\?P?<(?P<name>[A-Za-z_][\w.\[\]]*)>|\?(?P<flags>[A-Za-z-]*)(?P<flags_end>[:)]))?")
_NAMED = re.compile(r"\(\?P?<([A-Za-z_][\w.\[\]]*)>")
_MAY_BE_ABSENT = re.compile(r"[?*]|\{0+[,}]")
_IS_ABSENT = re.compile(r"\{0+(?:,0+)?\}")
_ASSERTIONS = "AzZbB"  # \A, \z, \b: places, not characters
_CLASSES = "dDwWsSpP"
_CATEGORY = re.compile(r"\{[^}]*\}|[A-Z]")  # \p{L} or \pL


class _UnreadableError(Exception):
    """The expression has no template."""


def readable_template(expression: str) -> str:
    """Return the template of a regular expression; the expression itself if it has no template.

    Args:
        expression: of a route's path, without Kong's leading `~`.
    """
    reader = _Reader(expression)
    try:
        reader.read(0, len(expression))
    except _UnreadableError:
        return expression
    template = "".join(reader.pieces)
    # A template begins with a path, or with an optional part before one.
    return template if template.startswith("/") or re.match(r"\{[^}]+\}/", template) else expression


class _Reader:
    """Reads an expression from left to right, one atom and its quantifier at a time."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._placeholders = 0
        self._after_unnamed = False
        self.pieces: list[str] = []

    def read(self, start: int, end: int) -> None:
        at = start
        while at < end:
            at = self._atom(at)

    def _atom(self, at: int) -> int:
        character = self._text[at]
        if character in "^$":
            return at + 1
        if character == "|":
            raise _UnreadableError
        if character == "(":
            return self._group(at)
        if character == "[":
            end = _class_end(self._text, at)
            return self._class(self._text[at + 1 : end - 1], end)
        if character == "\\":
            return self._escape(at)
        if character == "." and _QUANTIFIER.match(self._text, at + 1):
            return self._placeholder(None, at + 1)
        return self._literal(character, at + 1)  # a dot alone is nearly always a dot that was not escaped

    def _group(self, at: int) -> int:
        head = _GROUP.match(self._text, at)
        if head is None or (head.end() == at + 1 and self._text.startswith("(?", at)):
            raise _UnreadableError  # look-around, which Kong's router does not know
        if "x" in (head["flags"] or "").partition("-")[0]:
            raise _UnreadableError  # blanks and comments, which are not part of the path
        if head["flags_end"] == ")":
            return head.end()
        end = _group_end(self._text, at)
        if _IS_ABSENT.match(self._text, end):
            return self._skip_quantifier(end)
        is_variable = _MAY_BE_ABSENT.match(self._text, end) or _has_alternatives(self._text, head.end(), end - 1)
        if head["flags_end"] == ":" and not is_variable:
            self.read(head.end(), end - 1)
            return self._skip_quantifier(end)
        self._after_unnamed = False  # a capture is a thing of its own
        names = _NAMED.findall(self._text, at, end)
        return self._placeholder(head["name"] or (names[0] if len(names) == 1 else None), end)

    def _class(self, members: str, end: int) -> int:
        if len(members) == 1 or (len(members) == 2 and members[0] == "\\" and not members[1].isalnum()):
            return self._literal(members[-1], end)
        return self._placeholder(None, end)

    def _escape(self, at: int) -> int:
        escaped = self._text[at + 1 : at + 2]
        if escaped in _ASSERTIONS and escaped:
            return at + 2
        if escaped in _CLASSES and escaped:
            category = _CATEGORY.match(self._text, at + 2) if escaped in "pP" else None
            return self._placeholder(None, category.end() if category else at + 2)
        if not escaped or escaped.isalnum():
            raise _UnreadableError
        return self._literal(escaped, at + 2)

    def _literal(self, character: str, end: int) -> int:
        after = self._skip_quantifier(end)
        if not _MAY_BE_ABSENT.match(self._text, end):
            self.pieces.append(character)
            self._after_unnamed = False
        return after

    def _placeholder(self, name: str | None, end: int) -> int:
        # `[a-z]\w*` is one thing that varies, not two.
        if name or not self._after_unnamed:
            self._placeholders += 1
            self.pieces.append(f"{{{name or self._placeholders}}}")
        self._after_unnamed = name is None
        return self._skip_quantifier(end)

    def _skip_quantifier(self, at: int) -> int:
        quantifier = _QUANTIFIER.match(self._text, at)
        return quantifier.end() if quantifier else at


def _class_end(text: str, start: int) -> int:
    at = start + 1 + text.startswith("^", start + 1)
    at += text.startswith("]", at)  # first in a class, it is a member
    while at < len(text):
        if text[at] == "]":
            return at + 1
        if text[at] == "[":
            at = _class_end(text, at)
        else:
            at += 2 if text[at] == "\\" else 1
    raise _UnreadableError


def _group_end(text: str, start: int) -> int:
    at = start + 1
    while at < len(text):
        if text[at] == ")":
            return at + 1
        at = _after(text, at)
    raise _UnreadableError


def _has_alternatives(text: str, start: int, end: int) -> bool:
    at = start
    while at < end:
        if text[at] == "|":
            return True
        at = _after(text, at)
    return False


def _after(text: str, at: int) -> int:
    if text[at] == "[":
        return _class_end(text, at)
    if text[at] == "(":
        return _group_end(text, at)
    return at + (2 if text[at] == "\\" else 1)

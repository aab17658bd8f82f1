"""Values behind sensitive names in any text: assignments, JSON, lists and objects, XML, form bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from otlp_tracing.config.sensitive_names import MASK, SensitiveNames
from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.detectors.credentials import URL_MASK
from otlp_tracing.sidecar.redaction.login import AMBIGUOUS_NAMES, LOGIN_VALUE, LoginContext
from otlp_tracing.sidecar.redaction.pseudonyms import PSEUDONYM
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

_Value = tuple[int, int, str]  # begin, end, value

# Separators of a name and its value: `"name": "x", "value": "y"` and `key="x" value="y"`; `<key>x</key><value>`; `=`,
# `:`, `:=`, `=>`; the end of a tag; `", "`; `";s:4:` of PHP's serialize(); the empty line of a part of a form.
_ATTRIBUTES = r"(?:\s+[0-9A-Z_:.\-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'))*"
_ELEMENTS = r"\s*</[^<>]*>\s*<(?:[0-9A-Z]+:)?(?:value|string)[^<>]*>|\s*>\s*<(?:[0-9A-Z]+:)?attributevalue[^<>]*>"
_PAIR = rf"{_ATTRIBUTES}\s*,?\s*[\"']?\bvalue[\"']?\s*[:=]|{_ELEMENTS}"
_PART = r"(?:\r?\n[0-9A-Z\-]+:[^\r\n]*)*\r?\n\r?\n"
_ASSIGNS = rf"(?:{_PAIR}|\s*(?:[:?.]*=>?|:)|>|[ \t]*,[ \t]*[\"']|;s:[0-9]+:|{_PART})"
_SPACES = r"[ \t+]+"
_PHRASE = rf"{_SPACES}(?:is|was){_SPACES}"  # "the password is x"; "is wrong" is no value
_PHRASE_VALUE = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z]).{6,}")
_STRING = r"\"[^\"\\]*(?:\\.[^\"\\]*)*\"|'[^'\\]*(?:\\.[^'\\]*)*'"
_SPACE, _BEFORE_FLAG = " \t+", " \t\r\n+=\"'`([{,;|&"
_CDATA = "<![CDATA["


class AssignedSecret:
    """Finds the value behind a sensitive name: `password: x`, `{"tokens": ["x"]}`, `<key>x</key>`, `--password x`.

    Args:
        names: sensitive names.
        safe: names of values that stay.
    """

    rule = "sensitive_key"
    _name = re.compile(r"(?:<(?:[\w.\-]+:)?)?([0-9A-Za-z_.\-\[\]]+)")
    _scalar = re.compile(
        r"""(?:(?:basic|bearer|token|digest|apikey|negotiate)[ +]+)?"""
        r"""(?:"{3}(.*?)(?:"{3}|$)|"([^"\\]*(?:\\.[^"\\]*)*\\?)|'([^'\\]*(?:\\.[^'\\]*)*\\?)|`([^`]*)"""
        # A list without brackets continues after a comma, unless another name follows.
        r"""|([^\s"'`&;,<>|{}()\[\]]+(?:,(?![^\s,;&=:]*[=:])[^\s"'`&;,<>|{}()\[\]]+)*))""",
        re.IGNORECASE | re.DOTALL,
    )
    _token = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
    _attribute = re.compile(rf"([\w:.\-]+)\s*=\s*({_STRING})", re.DOTALL)
    # The member of a list or object whose name is the string before it: `{"k": "password", "v": "x"}`.
    _next_member = re.compile(r"[\w.\-]+[\"']\s*:\s*")
    _member_before = re.compile(rf"\bvalue[\"']?\s*[:=]\s*({_STRING})", re.DOTALL | re.IGNORECASE)
    # In YAML: lines with `-`, or those of a block, which are indented.
    _lines = re.compile(r"-[ \t]+[^\n]*(?:\n[ \t]*-[ \t]+[^\n]*)*|[|>][+\-0-9]{0,2}[ \t]*\r?(?:\n[ \t]+[^\n]*)+")
    _form_part = re.compile(r".*?(?=\r?\n--|$)", re.DOTALL)
    _separator = re.compile(r"[:=\"',]")
    _space = re.compile(r"\s*")
    # Empty; `key://…`, the scheme of a URL; a mask; a pseudonym; a placeholder.
    _not_secret = re.compile(
        rf"$|//|{URL_MASK}|{re.escape(MASK)}|{PSEUDONYM.pattern}|\$(?:[0-9]*|\{{.*\}}|\(.*\))$|\{{\{{|%[A-Za-z_]+%$|\[\s*\]$"
    )

    def __init__(self, names: SensitiveNames, safe: frozenset[str] = frozenset()) -> None:
        self._names = names
        self._safe = safe
        ambiguous = rf"\b(?:{'|'.join(sorted(AMBIGUOUS_NAMES))})[\"']?{_ASSIGNS}"
        name = rf"(?:{'|'.join(names.patterns)})[0-9A-Z_.\-\[\]]*"
        tag = rf"<(?:[0-9A-Z_.\-]+:)?[0-9A-Z_.\-]*{name}(?:\s[^<>]*)?>"
        begin = rf"{name}[\"'\]]{{0,2}}(?:{_ASSIGNS}|{_PHRASE})"
        flag = rf"--?[0-9A-Z_.\-]*{name}{_SPACES}"
        last = rf"{name}[\"']\s*/?[>}}]"  # the name stands behind its value: `{{"value": "x", "name": "apiKey"}}`
        value, quote = _anything_but(URL_MASK), r"\s*[\"'`]*"
        login_value = rf"(?:{LOGIN_VALUE}|{value}[^\s\"'`&;,<>]{{6}})"
        self.trigger = rf"(?i){tag}|(?:{begin}|{flag}){quote}{value}|{last}|{ambiguous}{quote}{login_value}"
        self.trigger = self.trigger if names else ""
        self._assignment = compiled(rf"(?i){tag}|{flag}|[0-9A-Z_.\-]*(?:{begin}|{last}|{ambiguous})")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find values."""
        done = 0
        login = LoginContext(text)
        for start, end in searched(self._assignment, text, budget):
            budget.spend(CANDIDATE)
            name = self._name.match(text, start)
            begin = self._space.match(text, end).end()  # type: ignore[union-attr]  # it matches the empty text
            if begin < done or name is None or name[1] in self._safe or PSEUDONYM.match(text, start):
                continue
            is_sensitive = name[1] in self._names
            if not is_sensitive and name[1].lower() not in AMBIGUOUS_NAMES:
                continue
            for first, stop, value in self._values_at(text, start, end, begin):
                done = max(done, stop)
                is_secret = (is_sensitive or login.is_secret(name[1], value)) and not self._not_secret.match(value)
                if is_secret and (text[end - 1] not in _SPACE or _follows_a_space(text, start, value)):
                    yield Finding(first, stop, self.rule, value)

    def _values_at(self, text: str, start: int, end: int, begin: int) -> Iterator[_Value]:
        """Return the values of the name that begins at `start`, whose separator ends at `end`."""
        if text[start] == "<":
            yield from self._values_of_tag(text, start, end)
            return
        if text[end - 1] in ">}" and text[end - 2] not in "=-":
            opening = max(text.rfind("{", 0, start), text.rfind("<", 0, start)) + 1
            for member in self._member_before.finditer(text, opening, start):
                yield member.start(1) + 1, member.end(1) - 1, member[1][1:-1]
        if text[end - 1] == "\n":
            if text.endswith('name="', 0, start) and (part := self._form_part.match(text, end)):
                yield part.start(), part.end(), part[0]
        elif text[end - 1] != "}":
            yield from self._values(text, end, begin)

    def _values(self, text: str, end: int, begin: int) -> Iterator[_Value]:
        """Return the value that begins at an offset, behind a separator that ends at another."""
        if text[end - 1] in "\"'" and (member := self._next_member.match(text, begin)):
            begin = member.end()
        end_of_element = text.find("<", begin) if text[end - 1] == ">" and text[end - 2] not in "=-" else -1
        if end_of_element > 0:
            yield begin, end_of_element, text[begin:end_of_element]
        elif text[begin : begin + 1] in {"[", "{"}:
            stop = self._end_of_brackets(text, begin)
            # Without a separator it is a placeholder: `{token}`, `{{ .Values.token }}`.
            if text[begin] == "[" or self._separator.search(text, begin + 1, stop):
                yield begin, stop, text[begin:stop]
        elif text[begin : begin + 1] in {"|", ">"} or ("\n" in text[end:begin] and text.startswith("-", begin)):
            if lines := self._lines.match(text, begin):
                yield begin, lines.end(), lines[0]
        elif value := self._scalar.match(text, begin):
            group = value.lastindex or 0
            yield value.start(group), value.end(group), value[group]

    def _values_of_tag(self, text: str, start: int, end: int) -> Iterator[_Value]:
        """Return the values in a tag, and the content of its element up to the end tag, or to the next tag."""
        for attribute in self._attribute.finditer(text, start, end):
            if attribute[1].lower() in {"content", "text", "value"} or attribute[1] in self._names:
                yield attribute.start(2) + 1, attribute.end(2) - 1, attribute[2][1:-1]
        if text[end - 2] == "/":
            return
        tag = re.split(r"[\s>]", text[start + 1 : end], maxsplit=1)[0]
        stop = text.find(f"</{tag}", end)
        if stop < 0:
            stop = text.find("<", end + len(_CDATA) if text.startswith(_CDATA, end) else end)
        content = text[end : stop if stop >= 0 else len(text)]
        begin = end + len(content) - len(content.lstrip())
        value = content.strip()
        yield begin, begin + len(value), value.removeprefix(_CDATA).removesuffix("]]>")

    def _end_of_brackets(self, text: str, start: int) -> int:
        depth = 0
        for token in self._token.finditer(text, start):
            depth += (token[0] in {"[", "{"}) - (token[0] in {"]", "}"})
            if depth == 0:
                return token.end()
        return len(text)


def _follows_a_space(text: str, start: int, value: str) -> bool:
    """Return whether a value that only a space divides from its name is one: `--password x`, `password is x1y2z3`."""
    if text[start] == "-":
        return value[0] != "-" and (start == 0 or text[start - 1] in _BEFORE_FLAG)
    return bool(_PHRASE_VALUE.fullmatch(value))


def _anything_but(word: str) -> str:
    """Return a pattern for the beginning of a value that does not begin with a word; RE2 has no look-ahead."""
    begins = [rf"{word[:length]}[^{word[length]}\s\"'`&;,]" for length in range(len(word))]
    return rf"(?-i:{'|'.join(begins)}|{'|'.join(word[:length] + '$' for length in range(1, len(word)))})"

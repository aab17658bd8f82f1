"""The share of a corpus that redaction finds, and its false positives, measured with the real assembly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from otlp_tracing.config.settings import Settings
from otlp_tracing.context import RequestContext
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.model import SpanRecord
from spans_of import CONTEXT, rules_of, spans_of

_RULES = rules_of(capture={"request_headers": ["x-api-key", "cookie", "x-note", "referer"]})

BY_NAME = ("query, token=", "header, X-Api-Key", "cookie", "userinfo")
FREE_TEXT = ("path", "query, q=", "user agent", "header, X-Note")
"""Places of a request that a secret can be in."""


def _request(place: str, secret: str) -> dict[str, Any]:
    line = " ".join(secret.split())  # a header has one line
    encoded = quote(secret, safe="")
    requests: Mapping[str, dict[str, Any]] = {
        "query, token=": {"uri": f"/a/b?page=2&token={encoded}"},
        "header, X-Api-Key": {"headers": {"x-api-key": line}},
        "cookie": {"headers": {"cookie": f"theme=dark; session={line}"}},
        "userinfo": {"headers": {"referer": f"https://app:{quote(secret, safe='')}@host.example/a"}},
        "path": {"uri": f"/v1/items/{encoded}/details"},
        "query, q=": {"uri": f"/a/b?page=2&q={encoded}"},
        "user agent": {"headers": {"user-agent": f"agent/1.0 ({line})"}},
        "header, X-Note": {"headers": {"x-note": f"see {line} there"}},
    }
    return requests[place]


def redacted_strings(redactor: Redactor, context: RequestContext = CONTEXT, **request: Any) -> list[str]:
    """Return every string that leaves of a request."""
    path = request.get("uri", "/a/b")
    spans = spans_of(context, _RULES, request=request, upstream_uri=path, tries=[{}])
    return [text for span in spans for text in _strings(redactor.redact(span, lambda *_: None))]


def leaks(secret: str, strings: list[str]) -> bool:
    """Tell whether the secret, its end or its middle is in one of the strings, encoded or not."""
    line = " ".join(secret.split())
    pieces = {line, line[-12:], line[len(line) // 2 - 6 : len(line) // 2 + 6]} if len(line) > 12 else {line}
    return any(piece in text or piece in unquote(text) for text in strings for piece in pieces)


def _strings(span: SpanRecord) -> Iterator[str]:
    yield span.name
    for value in span.attributes.values():
        yield from [value] if isinstance(value, str) else value if isinstance(value, list) else ()


@dataclass(frozen=True)
class Ratio:
    """So many of so many."""

    hits: int
    of: int

    def __add__(self, other: Ratio) -> Ratio:
        return Ratio(self.hits + other.hits, self.of + other.of)

    @property
    def share(self) -> float:
        """0 to 1; 1 of nothing."""
        return self.hits / self.of if self.of else 1.0

    def __str__(self) -> str:
        return f"{100 * self.share:.1f} % of {self.of}" if self.of else "—"


class Measure:
    """Redaction by a configuration.

    Args:
        redaction: the configuration's part; nothing for the default.
    """

    def __init__(self, **redaction: Any) -> None:
        self._redactor = Redactor(Settings.from_config({"redaction": redaction}).redaction)

    def recall(self, secrets: list[str], places: tuple[str, ...]) -> Ratio:
        """Return how many secrets, each in each place, do not leave."""
        hidden = [
            not leaks(secret, redacted_strings(self._redactor, **_request(place, secret)))
            for secret in secrets
            for place in places
        ]
        return Ratio(sum(hidden), len(hidden))

    def recall_in_texts(self, texts: list[tuple[str, str]]) -> Ratio:
        """Return how many secrets do not leave in the text that the tool found them in, as a header."""
        hidden = [
            not leaks(secret, redacted_strings(self._redactor, headers={"x-note": " ".join(text.split())}))
            for text, secret in texts
        ]
        return Ratio(sum(hidden), len(hidden))

    def taken_for_secrets(self, text: str) -> list[str]:
        """Return the rules that find something in a text, as a header's line."""
        rules: Counter[str] = Counter()
        for span in spans_of(CONTEXT, _RULES, request={"headers": {"x-note": " ".join(text.split())}}):
            self._redactor.redact(span, lambda _name, rule, _action, _value: rules.update([rule]))
        return list(rules)

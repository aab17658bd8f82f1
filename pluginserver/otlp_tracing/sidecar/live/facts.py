"""What of an entry's requests may be written down for a trial of rules, and what it has to go through first."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from otlp_tracing.config.sensitive_names import CREDENTIAL_HEADERS, SensitiveNames
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.redaction.redactor import Redactor
from otlp_tracing.sidecar.spans.model import SpanRecord

__all__ = ["NO_FACTS", "Facts"]

_PATH = "url.path"
# Of a trial's 20,000 paths most come again; 4,096 of the longest kept are a megabyte.
_REMEMBERED = 4_096


class Facts:
    """The facts that count for one plugin entry.

    Args:
        headers: request headers, in lower case, that its sampling rules ask for, without those of secrets.
        redact: what a path, or a header's line, goes through before a rule of a trial sees it. Whoever may try
            rules could otherwise ask for a secret letter by letter.
    """

    def __init__(self, headers: tuple[str, ...], redact: Callable[[str], str]) -> None:
        self.headers = headers
        self.redact = lru_cache(maxsize=_REMEMBERED)(redact)

    @classmethod
    def of(cls, settings: Settings, redactor: Redactor) -> Facts:
        """Read an entry's settings.

        Args:
            settings: of the entry.
            redactor: the entry's.
        """
        sensitive = SensitiveNames([*settings.redaction.sensitive_keys, *settings.redaction.extra_sensitive_keys])
        asked = {line.partition(":")[0].strip().lower() for rule in settings.sampling.rules for line in rule.headers}
        names = (name for name in asked if name not in sensitive and name not in CREDENTIAL_HEADERS)
        return cls(tuple(sorted(names)), lambda text: _redacted(redactor, text))


def _redacted(redactor: Redactor, text: str) -> str:
    span = SpanRecord(b"", b"", None, "", "internal", 0, 0, {_PATH: text}, 0, "", is_error=False)
    return str(redactor.redact(span, lambda *_: None).attributes.get(_PATH, ""))


NO_FACTS = Facts((), str)
"""Of an entry whose rules ask for no header and that redacts nothing; for tests."""

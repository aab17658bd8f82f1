"""What stands where something was found: a mask, a pseudonym, or nothing.

In a URL the mask is REDACTED, as the semantic conventions have it, for brackets may not stand there
(RFC 3986, 3.4); elsewhere [REDACTED], which nobody takes for a value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from otlp_tracing.config.sensitive_names import MASK
from otlp_tracing.config.settings import Redaction
from otlp_tracing.sidecar.redaction.detectors.credentials import URL_MASK, Userinfo
from otlp_tracing.sidecar.redaction.pseudonyms import Pseudonyms
from otlp_tracing.sidecar.redaction.scan.finding import BUDGET_RULE

__all__ = ["Mode", "Replacements"]

Mode = Literal["mask", "hash", "drop"]

_MOST_RULES = 256  # detectors, and as many patterns as fit into the bound on their size
_USERINFO = "REDACTED:REDACTED"


class Replacements:
    """How one plugin entry replaces what is found.

    Args:
        mode: of a rule.
        pseudonyms: None where there is no key; then hash masks.
    """

    def __init__(self, mode: Callable[[str], Mode], pseudonyms: Pseudonyms | None) -> None:
        self._mode = mode
        self._pseudonyms = pseudonyms

    @classmethod
    def of(cls, redaction: Redaction) -> Replacements:
        """Read an entry's configuration.

        Raises:
            ConfigError: for a key that cannot be used.
        """
        pseudonyms = Pseudonyms(redaction.hash_key) if redaction.hash_key else None
        return cls(lru_cache(maxsize=_MOST_RULES)(redaction.mode_of), pseudonyms)

    def of_value(self, rule: str, value: str, *, in_url: bool) -> str | None:
        """Return what stands for a value, None where nothing shall.

        Args:
            rule: that found it.
            value: in its one form.
            in_url: it stood in a URL, or in a part of one.
        """
        if rule == Userinfo.rule:
            return _USERINFO if ":" in value else URL_MASK
        if rule == BUDGET_RULE:
            return self.mask(in_url=in_url)
        mode = self._mode(rule)
        if mode == "drop":
            return None
        if mode == "hash" and self._pseudonyms is not None:
            return self._pseudonyms.of(value)
        return self.mask(in_url=in_url)

    @staticmethod
    def mask(*, in_url: bool) -> str:
        """Return the mask."""
        return URL_MASK if in_url else MASK

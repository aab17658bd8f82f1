"""The replacement of a finding: a mask, a pseudonym, or nothing.

In a URL the mask is REDACTED, as the semantic conventions have it, because a URL may not hold brackets
(RFC 3986, 3.4). Elsewhere it is [REDACTED], which cannot be mistaken for a value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from otlp_tracing.config.sensitive_names import MASK
from otlp_tracing.config.settings import Redaction, RedactionMode
from otlp_tracing.sidecar.redaction.detectors.credentials import URL_MASK, Userinfo
from otlp_tracing.sidecar.redaction.pseudonyms import Pseudonyms
from otlp_tracing.sidecar.redaction.scan.finding import BUDGET_RULE

_MAX_RULES = 256  # detectors, and as many patterns as fit into the bound on their size
_USERINFO = "REDACTED:REDACTED"


class Replacements:
    """Replaces the findings of one plugin entry.

    Args:
        mode: of a rule.
        pseudonyms: None without a key; then the mode hash masks.
    """

    def __init__(self, mode: Callable[[str], RedactionMode], pseudonyms: Pseudonyms | None) -> None:
        self._mode = mode
        self._pseudonyms = pseudonyms

    @classmethod
    def from_settings(cls, redaction: Redaction) -> Replacements:
        """Make the replacements of an entry.

        Raises:
            ConfigError: for an invalid key.
        """
        pseudonyms = Pseudonyms(redaction.hash_key) if redaction.hash_key else None
        return cls(lru_cache(maxsize=_MAX_RULES)(redaction.mode_of), pseudonyms)

    def replacement(self, rule: str, value: str, *, in_url: bool) -> str | None:
        """Return the replacement of a value; None drops it.

        Args:
            rule: that found the value.
            value: decoded and normalized.
            in_url: the value is in a URL or in a part of one.
        """
        if rule == Userinfo.rule:
            return _USERINFO if ":" in value else URL_MASK
        mode = "mask" if rule == BUDGET_RULE else self._mode(rule)
        if mode == "drop":
            return None
        if mode == "hash" and self._pseudonyms is not None:
            return self._pseudonyms.pseudonym(value)
        return self.mask(in_url=in_url)

    @staticmethod
    def mask(*, in_url: bool) -> str:
        """Return the mask."""
        return URL_MASK if in_url else MASK

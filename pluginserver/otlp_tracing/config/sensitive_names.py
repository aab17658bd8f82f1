"""Names of secrets, compared by words: `api_key`, `apiKey`, `apikey` and `X-Api-Keys` are one name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from otlp_tracing.config.settings import Redaction

MASK = "[REDACTED]"
"""The mask outside URLs."""

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Always redacted, whatever the configured names: each of these headers is a credential."""

LOGIN_NAMES = (
    "2fa_code", "activation_code", "adgangskode", "assertion", "backup_code", "bearer", "ci_session",
    "code_challenge", "code_verifier", "confirmation_code", "connect.sid", "contrasena", "csrf", "device_code",
    "gitlab_session", "hmac", "kennwort", "laravel_session", "login_code", "login_hint", "login_ticket", "losenord",
    "magic_link", "mfa_code", "mot_de_passe", "mysql_pwd", "oauth_verifier", "one_time_code", "otp", "passcode",
    "passkey", "passwort", "pgpassword", "rack_session", "recovery_code", "salasana", "saml_art", "saml_request",
    "saml_response", "samlart", "samlrequest", "samlresponse", "security_code", "senha", "session_state",
    "sms_code", "totp", "two_factor_code", "user_code", "verification_code", "wachtwoord", "wordpress_logged_in",
    "xsrf",
)  # fmt: skip
"""Parameters of OAuth 2, OpenID Connect, SAML and one-time codes, cookies of sessions, and other languages' passwords.

They are added to the names of every configuration.

Source: the IANA registry "OAuth Parameters"; OpenID Connect Core 1.0, 3.1.2; SAML 2.0 Bindings, 3.4 to 3.6.
"""

LOGIN_WORDS = (
    "bindpw",
    "credential",
    "credentials",
    "cvc",
    "cvv",
    "mdp",
    "nonce",
    "otc",
    "pass",
    "pin",
    "pw",
    "tgt",
    "wresult",
)
"""Also added, but only as the whole name: `pin` is sensitive, `pin_color` is not."""

_CACHED_NAMES = 4096
# A run of capitals or digits, a capitalized word, a lower-case word: AWSAccessKeyId is aws access key id.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_MAX_LENGTH = 256


class SensitiveNames:
    """A set of names; a name is sensitive if some of its words, joined, are one of them or the plural of one.

    So `key` makes `api_key` and `keys` sensitive, but neither `monkey` nor `keyboard`; `api_key` makes `apikey` so.

    Args:
        names: compared by words.
        whole_names: single words, compared with the whole name.
    """

    def __init__(self, names: Iterable[str], whole_names: Iterable[str] = ()) -> None:
        self._sequences = sorted({words for name in names if (words := _words(name))})
        self._whole = frozenset(whole_names)
        self._joined = frozenset("".join(sequence) + ending for sequence in self._sequences for ending in ("", "s"))
        # Prefixes of the joined names: most words are no prefix of any, whatever words follow.
        self._prefixes = frozenset(name[:length] for name in self._joined for length in range(1, len(name)))
        # Names repeat from request to request; the bound is for a client that invents them (1 MiB at worst).
        self._cached = lru_cache(maxsize=_CACHED_NAMES)(self._contains)

    @classmethod
    def from_settings(cls, redaction: Redaction) -> SensitiveNames:
        """Return the names of an entry and those of login parameters; no names at all if the entry has none."""
        names = [*redaction.sensitive_keys, *redaction.extra_sensitive_keys]
        return cls([*names, *LOGIN_NAMES], LOGIN_WORDS) if names else cls(names)

    def __contains__(self, name: str) -> bool:
        # Names longer than 256 characters count as sensitive: no real parameter is that long, and matching is dear.
        return self._cached(name) if len(name) <= _MAX_LENGTH else bool(self._joined)

    def __bool__(self) -> bool:
        return bool(self._joined)

    @property
    def patterns(self) -> Iterator[str]:
        """Patterns for RE2, in lower case, one of which matches in each text with a sensitive name."""
        for sequence in self._sequences:
            yield r"[_.\-]?".join(map(re.escape, sequence))
        if self._whole:
            yield rf"\b(?:{'|'.join(sorted(self._whole))})"

    def _contains(self, name: str) -> bool:
        words = _words(name)
        return "".join(words) in self._whole or any(self._matches_at(start, words) for start in range(len(words)))

    def _matches_at(self, start: int, words: Sequence[str]) -> bool:
        joined = ""
        for word in words[start:]:
            joined += word
            if joined in self._joined:
                return True
            if joined not in self._prefixes:
                return False
        return False


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))

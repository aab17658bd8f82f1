"""Login parameters with everyday names: `code`, `state` and others are secrets in a login, and not elsewhere."""

from __future__ import annotations

import re

# A one-time code, `code=493817`; a ticket of CAS, `ticket=ST-123` (CAS Protocol 3.0, section 3); and any value of 16
# characters with a letter and a digit.
_MIXED = r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z_.~+/=%|:\-]"
_LEAST_RANDOM = 16
_RANDOM = rf"{_MIXED}{{{_LEAST_RANDOM},}}"
_SECRET_VALUES = {
    "code": re.compile(rf"[0-9]{{6,8}}|{_RANDOM}"),
    "session": re.compile(rf"{_MIXED}{{8,}}"),
    "sid": re.compile(rf"{_MIXED}{{8,}}"),
    "state": re.compile(_RANDOM),
    "ticket": re.compile(rf"(?:ST|PT|PGT|PGTIOU|TGT|LT)-.*|{_RANDOM}"),
}
AMBIGUOUS_NAMES = frozenset(_SECRET_VALUES)
"""In lower case. The value or the other parameters tell whether it is a login."""

LOGIN_VALUE = "[0-9]{6}|(?:ST|PT|PGT|PGTIOU|TGT|LT)-"
"""A pattern for the secret values of fewer than eight characters."""

# Other parameters of the same messages, or a random code beside a state. Source: RFC 6749, 4.1 and 4.2; OpenID Connect
# Core 1.0, 3.1.2.
_ASSIGNS = r"[\"']?\s?[=:]\s?[\"']?"
_COMPANION = re.compile(
    r"(?i)\b(?:client_id|redirect_uri|response_type|grant_type|code_verifier|session_state|id_token|access_token)"
    + _ASSIGNS
)
_CODE = re.compile(rf"(?i)\bcode{_ASSIGNS}(?=[^\s\"'&;,<>]{{8}})[^\s\"'&;,<>]*(?:[0-9]|(?-i:[a-z][A-Z]))")
_STATE = re.compile(rf"(?i)\bstate{_ASSIGNS}[^\s\"'&;,<>]")


class LoginContext:
    """Tells secrets with ambiguous names.

    Args:
        text: the query, or the text, that has the parameters.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_login: bool | None = None
        self._has_code = False

    def is_secret(self, name: str, value: str) -> bool:
        """Return whether a value is a secret.

        Args:
            name: one of AMBIGUOUS_NAMES, in any case.
            value: decoded.
        """
        name = name.lower()
        if _SECRET_VALUES[name].fullmatch(value):
            # So long a code is one that _CODE finds.
            self._has_code = self._has_code or (name == "code" and len(value) >= _LEAST_RANDOM)
            return True
        if self._has_code and name == "state":
            return bool(value)
        if self._is_login is None:
            text = self._text
            # Every companion has an underscore, and most callbacks have none.
            has_companion = "_" in text and _COMPANION.search(text)
            self._is_login = bool(has_companion or (_CODE.search(text) and _STATE.search(text)))
        return self._is_login

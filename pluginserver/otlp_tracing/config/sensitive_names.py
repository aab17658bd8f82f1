"""Names that promise a secret, compared by words: `api_key`, `apiKey`, `apikey` and `X-Api-Keys` are one name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

__all__ = ["CREDENTIAL_HEADERS", "MASK", "SensitiveNames"]

MASK = "[REDACTED]"
"""What stands for a value outside of URLs."""

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Never shown, whatever the configuration calls sensitive: each of them is a credential."""

_REMEMBERED = 4096
# A run of capitals or digits, a capitalized word, a lower-case word: AWSAccessKeyId is aws access key id.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


_LONGEST_NAME = 256


class SensitiveNames:
    """A set of names; a name is sensitive if words of it, put together, are one of them, or several of one.

    So `key` makes `api_key` and `keys` sensitive, and neither `monkey` nor `keyboard`; `api_key` makes `apikey` so.
    """

    def __init__(self, names: Iterable[str]) -> None:
        sequences = {words for name in names if (words := _words(name))}
        self._first_words = frozenset(sequence[0] for sequence in sequences)
        self._joined = frozenset("".join(sequence) + ending for sequence in sequences for ending in ("", "s"))
        # What can still become one of them: most names are none by their first letters, whatever follows.
        self._beginnings = frozenset(name[:length] for name in self._joined for length in range(1, len(name)))
        # Names repeat from request to request; the bound is for a client that makes them up (1 MiB at the worst).
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._contains)

    def __contains__(self, name: str) -> bool:
        # Nobody gives such a name: what it holds cannot be told, so it is taken for the worst.
        return self._remembered(name) if len(name) <= _LONGEST_NAME else bool(self._joined)

    @property
    def first_words(self) -> frozenset[str]:
        """The first word of each name: what a text is searched for, to find where a sensitive name may stand in it."""
        return self._first_words

    def _contains(self, name: str) -> bool:
        words = _words(name)
        return any(self._stands_at(start, words) for start in range(len(words)))

    def _stands_at(self, start: int, words: Sequence[str]) -> bool:
        joined = ""
        for place in range(start, len(words)):
            joined += words[place]
            if joined in self._joined:
                return True
            if joined not in self._beginnings:
                return False
        return False


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))

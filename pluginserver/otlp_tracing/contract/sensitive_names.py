"""Names that promise a secret, compared by words: `api_key`, `apiKey` and `X-Api-Key` are one name."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    """A set of names, each a sequence of words; a name is sensitive if it contains one of them.

    So `key` makes `api_key` sensitive, and neither `monkey` nor `keyboard`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._sequences = tuple({words for name in names if (words := _words(name))})
        self._first_words = frozenset(sequence[0] for sequence in self._sequences)
        # Names repeat from request to request; the bound is for a client that makes them up (1 MiB at the worst).
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._contains)

    def __contains__(self, name: str) -> bool:
        # Nobody gives such a name: what it holds cannot be told, so it is taken for the worst.
        return self._remembered(name) if len(name) <= _LONGEST_NAME else bool(self._sequences)

    @property
    def first_words(self) -> frozenset[str]:
        """The first word of each name: without one of them in it, no name is sensitive."""
        return self._first_words

    def _contains(self, name: str) -> bool:
        words = _words(name)
        return not self._first_words.isdisjoint(words) and any(
            words[start : start + len(sequence)] == sequence
            for sequence in self._sequences
            for start in range(len(words) - len(sequence) + 1)
        )


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))

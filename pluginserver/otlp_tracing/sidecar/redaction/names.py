"""Names that promise a secret, compared by words: `api_key`, `apiKey` and `X-Api-Key` are one name."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SensitiveNames"]

# A run of capitals or digits, a capitalized word, a lower-case word: AWSAccessKeyId is aws access key id.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class SensitiveNames:
    """A set of names, each a sequence of words; a name is sensitive if it contains one of them.

    So `key` makes `api_key` sensitive, and neither `monkey` nor `keyboard`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._sequences = tuple({words for name in names if (words := _words(name))})

    def __contains__(self, name: str) -> bool:
        words = _words(name)
        return any(
            words[start : start + len(sequence)] == sequence
            for sequence in self._sequences
            for start in range(len(words) - len(sequence) + 1)
        )


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(name))

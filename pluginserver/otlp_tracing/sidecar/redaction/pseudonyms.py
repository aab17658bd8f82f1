"""Pseudonyms: the same value is the same word in every trace, and only who has the key can tell which.

A keyed hash, since plain ones of e-mail addresses or card numbers are undone by trying them all. The key's
id is part of the pseudonym: after a change of key one sees which key made it.

Source: RFC 2104 (HMAC), NIST SP 800-107 (truncation).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.config.validation import is_vault_reference
from otlp_tracing.errors import ConfigError, Fault

__all__ = ["PSEUDONYM", "Pseudonyms"]

_log = logging.getLogger("otlp_tracing.sidecar.redaction.pseudonyms")

PSEUDONYM = re.compile(r"hmac:[0-9a-f]{8}:[0-9a-f]{16}")
"""`hmac:`, the key's id, 64 bits: two of a million values are alike once in 37 million such sets."""

_SHORTEST_KEY = 16  # bytes; NIST SP 800-107 wants 112 bits
_LONGEST_KEY_FILE = 4096
_LOOK_EVERY_SECONDS = 10.0


class Pseudonyms:
    """Makes the pseudonyms of one plugin entry.

    A key in a file is read again when the file changes, so a key is changed by replacing the file. The first
    line is the key; what stands below it, such as former keys, is for people who search old traces.

    Args:
        key: a file's absolute path, or the key itself.
        clock: monotonic seconds.

    Raises:
        ConfigError: if there is no such file, or the key is too short.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._path = Path(key) if key.startswith("/") else None
        self._seen: tuple[int, int] | None = None
        self._look_at = float("-inf")
        self._key = b""
        self._id = ""
        if self._path is None:
            self._take(key.encode("utf-8", "surrogatepass"), is_vault_reference(key))
        else:
            self._seen = self._stamp()
            self._take(self._read())

    def of(self, value: str) -> str:
        """Return a value's pseudonym, `hmac:KEYID:DIGEST`, which may stand in a URL as it is."""
        self._look()
        digest = hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), "sha256")
        return f"hmac:{self._id}:{digest[:8].hex()}"

    def _look(self) -> None:
        if self._path is None or self._clock() < self._look_at:
            return
        self._look_at = self._clock() + _LOOK_EVERY_SECONDS
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._take(self._read())
                self._seen = stamp
                _log.info("the key of pseudonyms changed; its id is %s", self._id)
        except ConfigError as error:
            _log.warning("the former key of pseudonyms stays: %s", error)

    def _take(self, key: bytes, is_reference: bool = False) -> None:
        if is_reference:
            raise ConfigError([Fault("redaction.hash_key", "", "is a vault reference that nobody resolved")])
        if len(key) < _SHORTEST_KEY:
            raise ConfigError([Fault("redaction.hash_key", "", f"must have at least {_SHORTEST_KEY} bytes")])
        self._key = key
        self._id = hmac.digest(key, b"otlp-tracing key id", hashlib.sha256)[:4].hex()

    def _stamp(self) -> tuple[int, int]:
        assert self._path is not None
        try:
            status = self._path.stat()
        except OSError as error:
            raise self._fault(f"cannot be read: {error.strerror}") from error
        return status.st_mtime_ns, status.st_ino

    def _read(self) -> bytes:
        assert self._path is not None
        try:
            with self._path.open("rb") as file:
                return file.read(_LONGEST_KEY_FILE).split(b"\n")[0].strip()
        except OSError as error:
            raise self._fault(f"cannot be read: {error.strerror}") from error

    def _fault(self, rule: str) -> ConfigError:
        return ConfigError([Fault("redaction.hash_key", str(self._path), rule)])

"""Pseudonyms: a value has the same pseudonym in every trace, and only the key reveals the value.

A keyed hash, because a plain hash of an e-mail address or a card number is reversed by trying all of them. The key's id
is part of the pseudonym, so that after a rotation the key of each pseudonym is known.

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

_log = logging.getLogger("otlp_tracing.sidecar.redaction.pseudonyms")

PSEUDONYM = re.compile(r"hmac:[0-9a-f]{8}:[0-9a-f]{16}")
"""`hmac:`, the key's id, 64 bits: a set of a million values has a collision once in 37 million sets."""

_SHORTEST_KEY = 16  # bytes; NIST SP 800-107 wants 112 bits
_LONGEST_KEY_FILE = 4096
_CHECK_EVERY_SECONDS = 10.0


class Pseudonyms:
    """Makes the pseudonyms of one plugin entry.

    A key file is read again when it changes, so a key is rotated by replacing the file. The first line is the key;
    further lines, such as former keys, are ignored and help people to search old traces.

    Args:
        key: a file's absolute path, or the key itself.
        clock: monotonic seconds.

    Raises:
        ConfigError: for a file that cannot be read, or a key that is too short.
    """

    def __init__(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._path = Path(key) if key.startswith("/") else None
        self._seen: tuple[int, int] | None = None
        self._next_check = float("-inf")
        self._key = b""
        self._id = ""
        if self._path is None:
            self._set_key(key.encode("utf-8", "surrogatepass"), is_vault_reference(key))
        else:
            self._seen = self._stamp()
            self._set_key(self._read())

    def pseudonym(self, value: str) -> str:
        """Return a value's pseudonym, `hmac:KEYID:DIGEST`, which is valid in a URL."""
        self._check_file()
        digest = hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), "sha256")
        return f"hmac:{self._id}:{digest[:8].hex()}"

    def _check_file(self) -> None:
        if self._path is None or self._clock() < self._next_check:
            return
        self._next_check = self._clock() + _CHECK_EVERY_SECONDS
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._set_key(self._read())
                self._seen = stamp
                _log.info("redaction.hash_key changed, key id %s", self._id)
        except ConfigError as error:
            _log.warning("redaction.hash_key not reloaded, the former key stays in use: %s", error)

    def _set_key(self, key: bytes, is_reference: bool = False) -> None:
        if is_reference:
            raise ConfigError([Fault("redaction.hash_key", "", "is a vault reference that Kong did not resolve")])
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

"""The certificates of a destination: how they are read, and whether their files have changed."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from otlp_tracing.config.settings import Tls
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.export.destination import is_text

_CHECK_SECONDS = 10.0


class CertificateWatch:
    """Tells when a certificate file was changed or replaced; checks every ten seconds at most.

    Args:
        tls: paths, or PEM texts, which never change.
        clock: monotonic seconds.
    """

    def __init__(self, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        self._values = (tls.ca_cert, tls.client_cert, tls.client_key)
        self._clock = clock
        self._check_at = 0.0
        self._seen: object = None

    async def has_changed(self) -> bool:
        """Tell whether a file differs from the last check; true at the first one."""
        now = self._clock()
        if now < self._check_at:
            return False
        self._check_at = now + _CHECK_SECONDS
        before, self._seen = self._seen, await asyncio.to_thread(lambda: [_file_state(one) for one in self._values])
        return self._seen != before

    def check_soon(self) -> None:
        """Let the next call check, because a connection failed that may need another certificate."""
        self._check_at = 0.0


def read(value: str | None, field: str) -> bytes | None:
    """Read a certificate or key.

    Args:
        value: a path or the PEM text itself.
        field: of the configuration, for the error.

    Raises:
        ConfigError: if the file cannot be read.
    """
    if value is None:
        return None
    if is_text(value):
        return value.encode()
    try:
        return Path(value).read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError([Fault(field, "", f"cannot be read: {error}")]) from error


def client_pair(tls: Tls) -> tuple[bytes | None, bytes | None]:
    """Read the client's key and certificate, both or neither.

    Raises:
        ConfigError: if one is missing or cannot be read.
    """
    key, certificate = read(tls.client_key, "tls.client_key"), read(tls.client_cert, "tls.client_cert")
    if (key is None) != (certificate is None):
        raise ConfigError([Fault("tls", "", "client_cert and client_key belong together; one is missing")])
    return key, certificate


def context(tls: Tls) -> ssl.SSLContext:
    """Return the settings for Python's own TLS.

    Raises:
        ConfigError: if a file cannot be read or used.
    """
    root = read(tls.ca_cert, "tls.ca_cert")
    key, certificate = client_pair(tls)
    try:
        made = ssl.create_default_context(cadata=root.decode() if root else None)
        if tls.insecure_skip_verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if key and certificate:
            # OpenSSL loads a chain from a file only. The file is private, and deleted before any connection.
            with tempfile.NamedTemporaryFile(prefix="otlp-tracing-") as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                made.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError([Fault("tls", "", f"cannot be used: {error}")]) from error
    return made


def _file_state(value: str | None) -> object:
    if value is None or is_text(value):
        return None
    try:
        status = Path(value).stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

"""The certificates of a destination: how they are read, and whether their files have changed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from otlp_tracing.config.settings import Tls
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.folders import mending_command, reason
from otlp_tracing.sidecar.export.destination import is_text

_CHECK_SECONDS = 10.0
_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_LONGEST_NAME = 255  # NAME_MAX of Linux
_UNUSABLE = {
    "KEY_VALUES_MISMATCH": ("tls.client_key", "it is not the key of client_cert"),
    "bad password read": ("tls.client_key", "it is encrypted"),
    "PEM lib": ("tls.client_cert", "it is no certificate, or client_key is no key"),
    "does not contain a certificate": ("tls.ca_cert", "it has no certificate"),
}
_GRPC_VARIABLE = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"


class CertificateWatch:
    """Tells when a certificate file was changed or replaced; checks every ten seconds at most.

    Args:
        tls: paths, or PEM texts, which never change.
        clock: monotonic seconds.
    """

    def __init__(self, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        self._values = (tls.ca_cert or os.environ.get("SSL_CERT_FILE"), tls.client_cert, tls.client_key)
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
        # Text in the place of a path may be a key.
        is_path = value.startswith("/") or (field != "tls.client_key" and len(value) <= _LONGEST_NAME)
        if not is_path or not isinstance(error, OSError):
            raise ConfigError([Fault(field, "", "is neither the path of a file nor PEM")]) from error
        rule, command = f"cannot be read: {reason(Path(value), error)}", mending_command(Path(value), error)
        raise ConfigError([Fault(field, value, rule, command=command)]) from error


def client_pair(tls: Tls) -> tuple[bytes | None, bytes | None]:
    """Read the client's key and certificate, both or neither.

    Raises:
        ConfigError: if one is missing or cannot be read.
    """
    key, certificate = read(tls.client_key, "tls.client_key"), read(tls.client_cert, "tls.client_cert")
    if (key is None) != (certificate is None):
        raise ConfigError([Fault("tls", "", "client_cert and client_key belong together; one is missing")])
    return key, certificate


def authorities(tls: Tls) -> bytes:
    """Return the certificates of the authorities to trust, as PEM, the same for both protocols.

    Those of `ca_cert`. Otherwise those of SSL_CERT_FILE and SSL_CERT_DIR, or of the system's folders. On a system
    without any, those that gRPC brings along.

    Raises:
        ConfigError: if `ca_cert` cannot be read.
    """
    return read(tls.ca_cert, "tls.ca_cert") or _system_authorities() or _grpc_roots().read_bytes()


def _system_authorities() -> bytes:
    places = ssl.get_default_verify_paths()
    files = [Path(os.environ.get("SSL_CERT_FILE") or os.environ.get(_GRPC_VARIABLE) or places.openssl_cafile)]
    for folder in (os.environ.get("SSL_CERT_DIR") or places.openssl_capath).split(":"):
        files += sorted(Path(folder).glob("[0-9a-f]" * 8 + ".[0-9]"))  # the names under which OpenSSL finds them
    found: dict[bytes, None] = {}
    for file in files:
        with contextlib.suppress(OSError):
            found.update(dict.fromkeys(_CERTIFICATE.findall(file.read_bytes())))
    return b"\n".join(found)


def _grpc_roots() -> Path:
    # Found, not imported: `otlp-tracing trace` needs this module, and starts fast without gRPC.
    package = find_spec("grpc")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "_cython" / "_credentials" / "roots.pem"


def unverified() -> ssl.SSLContext:
    """Return settings that accept any certificate."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def checking(authorities: str) -> ssl.SSLContext:
    """Return settings that check a server's certificate by these authorities, on every Python as gRPC does."""
    made = ssl.create_default_context(cadata=authorities)
    # Python 3.13 has changed both defaults. Strict, it refuses authorities without the newer X.509 extensions.
    made.verify_flags = (made.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
    return made


def context(tls: Tls) -> ssl.SSLContext:
    """Return the settings for Python's own TLS.

    Raises:
        ConfigError: if a file cannot be read or used.
    """
    key, certificate = client_pair(tls)
    try:
        made = unverified() if tls.insecure_skip_verify else checking(authorities(tls).decode())
        if key and certificate:
            # OpenSSL loads a chain from a file only. The file is private, and deleted before any connection.
            with tempfile.NamedTemporaryFile(prefix="otlp-tracing-") as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                made.load_cert_chain(file.name, password=b"")  # or OpenSSL asks the terminal
    except (ssl.SSLError, ValueError) as error:
        field, why = _unusable(error)
        raise ConfigError([Fault(field, "", f"cannot be used: {why}")]) from error
    return made


def _unusable(error: Exception) -> tuple[str, str]:
    """Return the field of a certificate or key that OpenSSL refuses, and the reason."""
    text = str(error)
    known = next((found for word, found in _UNUSABLE.items() if word.lower() in text.lower()), None)
    words = str(getattr(error, "reason", None) or text).lower().replace("_", " ")
    return known or ("tls", words)


def _file_state(value: str | None) -> object:
    if value is None or is_text(value):
        return None
    try:
        status = Path(value).stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

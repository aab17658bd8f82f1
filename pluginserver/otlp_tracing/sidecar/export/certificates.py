"""The certificates of a destination: read, and looked at for changes."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from otlp_tracing.config.settings import Tls
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.sidecar.export.destination import is_text


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
        raise ConfigError([Fault("tls", "", "client_cert and client_key go together; one is missing")])
    return key, certificate


def context(tls: Tls) -> ssl.SSLContext:
    """Make what Python's own TLS needs.

    Raises:
        ConfigError: if a file cannot be read or holds nothing usable.
    """
    root = read(tls.ca_cert, "tls.ca_cert")
    key, certificate = client_pair(tls)
    try:
        made = ssl.create_default_context(cadata=root.decode() if root else None)
        if tls.insecure_skip_verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if key and certificate:
            # OpenSSL loads a chain from a file only. It is the owner's alone, and gone before anybody connects.
            with tempfile.NamedTemporaryFile(prefix="otlp-tracing-") as file:
                file.write(certificate + b"\n" + key)
                file.flush()
                made.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError([Fault("tls", "", f"cannot be used: {error}")]) from error
    return made


def signature(tls: Tls) -> tuple[object, ...]:
    """Return what differs once one of the files was replaced or changed."""
    return tuple(_of_file(value) for value in (tls.ca_cert, tls.client_cert, tls.client_key))


def _of_file(value: str | None) -> object:
    if value is None or is_text(value):
        return None
    try:
        status = Path(value).stat()
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size

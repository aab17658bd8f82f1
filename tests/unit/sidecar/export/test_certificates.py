"""Promises of sidecar/export/certificates.py."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from doubles import ManualClock
from otlp_tracing.config.settings import Tls
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export.certificates import CertificateWatch, client_pair, context, read


def test_a_changed_file_is_noticed_within_ten_seconds(tmp_path: Path) -> None:
    """Files are checked every ten seconds at most, and at once if a connection has failed."""
    file, clock = tmp_path / "ca.pem", ManualClock()
    file.write_text("one")
    watch = CertificateWatch(Tls(ca_cert=str(file)), clock)

    async def scene() -> list[bool]:
        found = [await watch.has_changed(), await watch.has_changed()]
        (tmp_path / "new").write_text("another one")
        os.replace(tmp_path / "new", file)
        found.append(await watch.has_changed())
        clock.now += 10
        found += [await watch.has_changed(), await watch.has_changed()]
        file.unlink()
        watch.check_soon()
        return [*found, await watch.has_changed()]

    assert asyncio.run(scene()) == [True, False, False, True, False, True]


def test_a_certificate_is_a_path_or_a_text(tmp_path: Path) -> None:
    """A file that cannot be read is named by its field."""
    (tmp_path / "key.pem").write_text("key")

    assert read(str(tmp_path / "key.pem"), "tls.client_key") == b"key"
    assert read("-----BEGIN KEY-----", "tls.client_key") == b"-----BEGIN KEY-----"
    assert read(None, "tls.client_key") is None
    with pytest.raises(ConfigError, match=r"tls\.client_key"):
        read("/not/there.pem", "tls.client_key")


def test_a_client_certificate_needs_its_key() -> None:
    """One without the other, or something that is neither, is a fault of the configuration."""
    with pytest.raises(ConfigError, match="one is missing"):
        client_pair(Tls(client_cert="-----BEGIN CERTIFICATE-----"))
    with pytest.raises(ConfigError, match="cannot be used"):
        context(Tls(ca_cert="-----BEGIN CERTIFICATE-----\nno"))

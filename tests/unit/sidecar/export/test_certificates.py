"""Promises of sidecar/export/certificates.py."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from doubles import ManualClock
from e2e.certificates import Authority
from otlp_tracing.config.settings import Tls
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export.certificates import CertificateWatch, authorities, client_pair, context, read
from otlp_tracing.sidecar.export.result import ExportResult


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


def test_the_authorities_are_those_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a folder with OpenSSL's names, or the certificate of the configuration; each certificate once."""
    first, second, third = (Authority(name).certificate for name in ("first", "second", "third"))
    (tmp_path / "bundle.pem").write_text(f"a comment\n{first}\n{second}")
    (tmp_path / "0a1b2c3d.0").write_text(second)
    (tmp_path / "0a1b2c3e.1").write_text(third)
    (tmp_path / "notes.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", f"/not/there:{tmp_path}")

    assert authorities(Tls()).decode() == "\n".join(one.strip() for one in (first, second, third))
    assert authorities(Tls(ca_cert=third)).decode() == third
    assert context(Tls()).cert_store_stats()["x509_ca"] == 3


def test_a_system_without_authorities_has_those_of_grpc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slim image trusts the same authorities over both protocols."""
    monkeypatch.setenv("SSL_CERT_FILE", "/not/there.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))

    assert authorities(Tls()).count(b"BEGIN CERTIFICATE") > 50
    assert context(Tls()).cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize("default", [ssl.VERIFY_DEFAULT, ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN])
def test_every_python_checks_certificates_alike(default: ssl.VerifyFlags, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 3.13 and since: an authority may lack newer extensions, and an intermediate one may be trusted."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_flags = default
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: made)

    assert context(Tls()).verify_flags == ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_key_of_another_user_has_the_command_that_mends_it(tmp_path: Path) -> None:
    """For `doctor`, which shows it; in the reason it is part of a sentence."""
    key = tmp_path / "key.pem"
    key.write_text("key")
    key.chmod(0o600)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    os.seteuid(54321)
    try:
        with pytest.raises(ConfigError) as raised:
            read(str(key), "tls.client_key")
    finally:
        os.seteuid(0)

    result = ExportResult.unconfigured(raised.value)
    assert result.command == f"chown 54321 {key}"
    assert "belongs to root" in result.reason


@pytest.mark.parametrize("value", ["MIIEvQIBADANBgkqhkiG9w0BAQEF", "/not/there.pem", "x" * 5000])
def test_a_key_in_the_place_of_its_path_is_not_shown(value: str) -> None:
    """A path is named with the reason; any other text may be the key."""
    with pytest.raises(ConfigError) as raised:
        read(value, "tls.client_key")

    assert (value in str(raised.value)) == value.startswith("/")
    assert "Errno" not in str(raised.value)


def test_files_that_do_not_fit_are_named() -> None:
    """The sentence is about the fields, and not about lines of OpenSSL's source."""
    authority = Authority("first")
    one, other = authority.issue("one"), authority.issue("other")

    with pytest.raises(ConfigError, match="client_key: cannot be used: it is not the key of"):
        context(Tls(client_cert=one.certificate, client_key=other.key))
    with pytest.raises(ConfigError, match="ca_cert: cannot be used: it has no certificate"):
        context(Tls(ca_cert=one.key))

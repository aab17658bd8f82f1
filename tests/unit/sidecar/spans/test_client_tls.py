"""Promises of sidecar/spans/client_tls.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.ingest.log_record import Tls
from otlp_tracing.sidecar.spans.client_tls import tls_attributes


@pytest.mark.parametrize(
    ("version", "cipher", "expected"),
    [
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256", ("tls", "1.3", "TLS_AES_128_GCM_SHA256")),
        ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", ("tls", "1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")),
        ("TLSv1", "UNHEARD-OF", ("tls", "1.0", None)),
        ("SSLv3", None, ("ssl", "3.0", None)),
        ("unknown", "", (None, None, None)),
        (None, None, (None, None, None)),
    ],
)
def test_openssls_words_become_the_registrys(
    version: str | None, cipher: str | None, expected: tuple[str | None, ...]
) -> None:
    """A bare version, IANA's name of the suite; an unknown value is left out."""
    found = tls_attributes(Tls(version, cipher))

    assert tuple(map(found.get, ("tls.protocol.name", "tls.protocol.version", "tls.cipher"))) == expected

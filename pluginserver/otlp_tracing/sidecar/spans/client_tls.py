"""The client's TLS connection as attributes.

Kong's record has the names of OpenSSL; the registry wants the bare version and IANA's name of the cipher suite.
A suite without a known IANA name is left out rather than given a wrong one.

Source: semantic conventions 1.44, registry, tls; IANA, TLS Cipher Suites; OpenSSL, ciphers(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from otlp_tracing.sidecar.ingest.log_record import Tls

_VERSION = re.compile(r"(TLS|SSL)v([0-9.]+)")
# TLS 1.2 suites that a current OpenSSL offers by default; those of TLS 1.3 have one name only.
_SUITES: Mapping[str, str] = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "DHE-RSA-AES128-GCM-SHA256": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    "DHE-RSA-AES256-GCM-SHA384": "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    "DHE-RSA-CHACHA20-POLY1305": "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-RSA-AES128-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-RSA-AES256-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    "AES128-GCM-SHA256": "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "AES256-GCM-SHA384": "TLS_RSA_WITH_AES_256_GCM_SHA384",
}


def tls_attributes(tls: Tls) -> dict[str, str]:
    """Return the known attributes of a connection."""
    attributes = {}
    version = _VERSION.fullmatch(tls.version or "")
    if version:
        attributes["tls.protocol.name"] = version[1].lower()
        # OpenSSL calls the first version of TLS "TLSv1".
        attributes["tls.protocol.version"] = version[2] if "." in version[2] else f"{version[2]}.0"
    cipher = tls.cipher or ""
    name = cipher if cipher.startswith("TLS_") else _SUITES.get(cipher)
    if name:
        attributes["tls.cipher"] = name
    return attributes

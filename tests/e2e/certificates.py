"""A certificate authority of the tests' own, and certificates that it signs."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.ports import HOST

NAME = "collector.test"
"""The host of every certificate, besides loopback; no name server knows it."""

_DAY = datetime.timedelta(days=1)
_MINUTE = datetime.timedelta(minutes=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM texts."""

    certificate: str
    key: str


class Authority:
    """Signs certificates for loopback."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificate = self._sign(self._name, self._key.public_key(), ca=True)

    @property
    def certificate(self) -> str:
        """Its own certificate, as a PEM text."""
        return _pem(self._certificate)

    def issue(self, name: str, days: int = 1) -> Pair:
        """Issue a certificate that a server on loopback, or a client, can show.

        Args:
            name: the subject's.
            days: until it ends; 0 has it ended a minute ago.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(_pem(self._sign(_name(name), key.public_key(), ca=False, days=days)), private.decode())

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, ca: bool, days: int = 1) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + days * _DAY - _MINUTE)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName(NAME)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

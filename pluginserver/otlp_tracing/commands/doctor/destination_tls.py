"""Questions about a destination's TLS: does the handshake succeed, and how long is the certificate valid?"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from otlp_tracing.commands.doctor.candidates import Candidate
from otlp_tracing.commands.doctor.findings import Finding, unasked
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export import certificates

_SECONDS = 5.0
_DAYS_LEFT = 14
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})  # openssl-verify(1), X509_V_ERR_*
_EXPIRED, _OTHER_NAME = 10, frozenset({62, 64})


def ask_tls(one: Candidate, host: str, port: int) -> Finding:
    """Make a TLS connection, and tell whether the certificate is valid, and for how long."""
    tls = one.destination.tls
    try:
        context = certificates.context(tls)
    except ConfigError as error:
        field = next((fault.field for fault in error.faults), "tls")
        command = one.set_command(field, "/PATH/TO/FILE.pem")
        return Finding("FAIL", one.label, f"TLS: {'; '.join(map(str, error.faults))}", command)
    if one.destination.protocol == "grpc":
        context.set_alpn_protocols(["h2"])
    try:
        with handshake(host, port, context) as wrapped:
            certificate, version = wrapped.getpeercert() or {}, wrapped.version()
    except ssl.SSLCertVerificationError as error:
        return _untrusted(one, host, error)
    except (OSError, ValueError) as error:
        if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error).lower():
            text = "TLS: the port does not speak TLS"
            return Finding("FAIL", one.label, text, one.replace_in_endpoint("https://", "http://"))
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or "no answer"
        text = f"TLS: the handshake fails: {str(reason).lower().replace('_', ' ')}"
        return Finding("FAIL", one.label, text, one.set_command("tls.client_cert", "/PATH/TO/CLIENT.pem"))
    if tls.insecure_skip_verify:
        text = f"TLS: {version}; the certificate is not verified: insecure_skip_verify"
        return Finding("warn", one.label, text, one.set_command("tls.insecure_skip_verify", "false"))
    return _expiry(one, certificate, str(version))


@contextmanager
def handshake(host: str, port: int, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Give a TLS connection to a port; raises OSError."""
    with (
        socket.create_connection((host, port), _SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        yield wrapped


def _expiry(one: Candidate, certificate: Mapping[str, Any], version: str) -> Finding:
    ends = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = (ends - time.time()) / 86_400
    issuer = {key: value for names in certificate.get("issuer", ()) for key, value in names}
    authority = issuer.get("organizationName") or issuer.get("commonName") or "?"
    text = f"TLS: {version}, certificate of {authority}, valid for {days:.0f} days"
    if days < _DAYS_LEFT:
        return Finding("warn", one.label, f"{text}: renew it at the collector", _show_certificate(one))
    return Finding("ok", one.label, text)


def _show_certificate(one: Candidate) -> str:
    target, (name, _) = one.destination.target, one.destination.host_and_port
    return f"openssl s_client -connect {target} -servername {name} </dev/null | openssl x509 -noout -dates -subject"


def _untrusted(one: Candidate, host: str, error: ssl.SSLCertVerificationError) -> Finding:
    if one.entry is None:
        reason = f"the sidecar may know another authority; here, {error.verify_message}"
        return unasked(one.label, reason, one.with_kong_yml(), question="TLS")
    if error.verify_code in _UNKNOWN_AUTHORITY:
        text = "TLS: the authority of the collector's certificate is not known here: set tls.ca_cert"
        return Finding("FAIL", one.label, text, one.set_command("tls.ca_cert", "/PATH/TO/AUTHORITY.pem"))
    if error.verify_code in _OTHER_NAME:
        text = f"TLS: the collector's certificate is for another name than {host}"
        return Finding("FAIL", one.label, text, one.replace_in_endpoint(host, "NAME-IN-THE-CERTIFICATE"))
    if error.verify_code == _EXPIRED:
        return Finding(
            "FAIL", one.label, "TLS: the collector's certificate has expired: renew it there", _show_certificate(one)
        )
    return Finding(
        "FAIL", one.label, f"TLS: the certificate is refused: {error.verify_message}", _show_certificate(one)
    )

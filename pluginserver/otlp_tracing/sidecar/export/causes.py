"""The cause of a failure to speak with a collector, in one vocabulary for gRPC, aiohttp and OpenSSL. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from otlp_tracing.config.otlp_ports import OTLP_PORTS


class Kind(Enum):
    """The kinds of cause for which `doctor` knows the command that mends them."""

    OTHER = auto()
    SPEAKS_HTTP1 = auto()
    SPEAKS_GRPC = auto()
    SPEAKS_NO_TLS = auto()
    SPEAKS_TLS = auto()
    CLOSED = auto()
    WANTS_CLIENT_CERTIFICATE = auto()
    WANTS_NO_GZIP = auto()
    WANTS_PAYMENT = auto()
    PROXY = auto()
    REDIRECTION = auto()


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause with one sentence for it.

    Args:
        reason: the sentence.
        remedy: the setting to change; empty if the collector may recover by itself.
        kind: for a program.
    """

    reason: str
    remedy: str = ""
    kind: Kind = Kind.OTHER


HTTP1 = Cause(
    "the port speaks HTTP/1.1, not gRPC",
    f"set `protocol: http/protobuf`, or the port of OTLP over gRPC, often {OTLP_PORTS['grpc']}",
    Kind.SPEAKS_HTTP1,
)
GRPC = Cause(
    "the port speaks gRPC, not HTTP/1.1",
    f"set `protocol: grpc`, or the port of OTLP over HTTP, often {OTLP_PORTS['http/protobuf']}",
    Kind.SPEAKS_GRPC,
)
NO_TLS = Cause("the port does not speak TLS", "write http:// in `endpoint`", Kind.SPEAKS_NO_TLS)
TLS = Cause("the port speaks TLS alone", "write https:// in `endpoint`", Kind.SPEAKS_TLS)
NOT_HTTP = Cause("the port does not speak HTTP", "check host and port of `endpoint`")
REFUSED = Cause("the connection is refused: no program listens there")
NO_PROXY = Cause("the proxy cannot be reached", "check HTTPS_PROXY, or name the collector in NO_PROXY", Kind.PROXY)
CLOSED = Cause(
    "the collector closed the connection without an answer",
    "if this lasts, check scheme and port of `endpoint`: the port may speak TLS, or another protocol",
    Kind.CLOSED,
)
CLOSED_TLS = Cause(
    CLOSED.reason,
    "if this lasts, the collector may demand a certificate that it trusts: set `tls.client_cert` and `tls.client_key`",
    Kind.WANTS_CLIENT_CERTIFICATE,
)

# Of several, the first one counts.
_CAUSES: Sequence[tuple[re.Pattern[str], Cause]] = [
    (re.compile(pattern), cause)
    for pattern, cause in (
        # The first letters of `HTTP/1.1 …`, or of an HTML page, in the place of a frame's type.
        (r"http1\.x serv|got frame type (?:79|80)\b", HTTP1),
        ("Expected SETTINGS frame", Cause("the port does not speak gRPC")),
        ("missing selected ALPN", Cause("the port speaks TLS, and no HTTP/2", HTTP1.remedy, HTTP1.kind)),
        ("WRONG_VERSION_NUMBER", NO_TLS),
        # As nginx, Go, Apache and Tomcat answer 400; a TLS alert in the place of a status line.
        (
            r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS server|plain HTTP to an SSL-enabled|"
            r"requires TLS|b'\\x15\\x03",
            TLS,
        ),
        ("CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|UNKNOWN_CA|BAD_CERTIFICATE", CLOSED_TLS),
        ("Bad status line", NOT_HTTP),
        (
            "certificate has expired",
            Cause("the collector's certificate has expired", "renew the certificate at the collector"),
        ),
        (
            "Hostname Verification Check failed|Hostname mismatch|IP address mismatch",
            Cause(
                "the collector's certificate is for another name",
                "write a name of the certificate in `endpoint`",
            ),
        ),
        (
            "CERTIFICATE_VERIFY_FAILED",
            Cause(
                "the authority of the collector's certificate is not known",
                "name the authority's certificate in `tls.ca_cert`",
            ),
        ),
        (
            "hostname lookup error|Domain name not found|Name or service not known|No address associated|"
            "name resolution|DNS resolution failed",
            Cause("the name in `endpoint` does not resolve", "check the host of `endpoint`"),
        ),
        ("Connection refused|Connect call failed", REFUSED),
        (
            "Socket closed|Connection reset by peer|Server disconnected",
            CLOSED,
        ),
    )
]


def cause_of(description: str) -> Cause | None:
    """Return the cause that a library's description of a failure tells of; None if it is not known."""
    return next((cause for pattern, cause in _CAUSES if pattern.search(description)), None)

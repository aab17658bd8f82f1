"""OTLP over HTTP, as protobuf.

Source: opentelemetry-proto, docs/specification.md (OTLP/HTTP); RFC 9110, Retry-After.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from dataclasses import replace
from urllib.parse import urljoin, urlsplit, urlunsplit

import aiohttp
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from multidict import CIMultiDict

from otlp_tracing import __version__
from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export import certificates
from otlp_tracing.sidecar.export.causes import CLOSED, CLOSED_TLS, GRPC, NO_PROXY, NO_TLS, TLS, Cause, Kind, cause_of
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.otlp_response import PROTOBUF, accepted, decode_response, printable
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.export.status_codes import http_refusal, proxy_refusal, retry_after

_MAX_RESPONSE_BYTES = 64 << 10  # a message with a number and a sentence
_DNS_SECONDS = 10  # the longest that a collector which has moved is not found
# Level 1 takes a third of the time of zlib's usual 6, for a tenth more bytes of such messages.
_GZIP_LEVEL, _GZIP_WINDOW = 1, 31
_FRAMING = ("content-encoding", "content-length", "transfer-encoding")  # these describe the body, which is made here
_HTTP2_SETTINGS = r"\x04\x00\x00\x00\x00\x00"  # as aiohttp quotes it: type, flags and stream of the first frame


class HttpTransport:
    """Sends to one destination.

    Args:
        destination: where to send.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._certificates = certificates.CertificateWatch(destination.tls)
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._headers = CIMultiDict({"user-agent": f"otlp-tracing/{__version__}"})
        self._headers.extend(pair for pair in destination.headers if pair[0] not in _FRAMING)
        self._headers["content-type"] = PROTOBUF
        if destination.gzip:
            self._headers["content-encoding"] = "gzip"

    async def export(self, request: bytes) -> ExportResult:
        """Send an encoded request and return the result; raises nothing."""
        try:
            body = await asyncio.to_thread(_compress, request) if self._destination.gzip else request
            session = await self._open()
            # Redirects are not followed: only the configuration may send spans elsewhere.
            async with session.post(
                self._destination.url,
                data=body,
                headers=self._headers,
                allow_redirects=False,
                proxy=self._destination.proxy,
            ) as response:
                return _result(response, await _read(response), self._destination.signal)
        except asyncio.TimeoutError:
            return ExportResult(Action.RETRY, "no answer within the deadline", error_type="timeout")
        except ConfigError as error:
            return ExportResult.unconfigured(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, aiohttp.ClientSSLError):
                # A certificate may have changed, the client's or the collector's.
                self._certificates.check_soon()
            return _failure(error, is_secure=self._destination.secure)

    async def close(self) -> None:
        """Abort the requests under way and close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _open(self) -> aiohttp.ClientSession:
        async with self._opening:
            tls = self._destination.tls
            if self._destination.secure and await self._certificates.has_changed():
                await self.close()
            if self._session is None:
                context = await asyncio.to_thread(certificates.context, tls) if self._destination.secure else False
                self._session = _session(context, self._destination.timeout_s)
            return self._session


def _session(context: ssl.SSLContext | bool, timeout_s: float) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, ttl_dns_cache=_DNS_SECONDS),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        # No cookie of a response is sent with another request.
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Accept-Encoding",),
    )


def _compress(request: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(request) + packer.flush()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while len(body) < _MAX_RESPONSE_BYTES and (data := await response.content.read(_MAX_RESPONSE_BYTES)):
        body += data
    return body


def _result(response: aiohttp.ClientResponse, body: bytes, signal: Signal) -> ExportResult:
    if response.status // 100 == 2:
        try:
            return accepted(decode_response(response.content_type, body, signal))
        except DecodeError:
            text = f"HTTP {response.status} with {response.content_type}, which is not an OTLP response"
            return _not_otlp(Cause(text), str(response.status))
    details = _details(response, body)
    if response.status == 400 and (response.content_type == "text/html" or cause_of(details) is TLS):
        # A web server's own page, and no collector's answer about spans.
        return _not_otlp(cause_of(details) or Cause(f"HTTP 400: {details}"), "400")
    if response.status // 100 == 3 and "Location" in response.headers:
        return _redirection(response)
    return http_refusal(response.status, details, retry_after(response.headers.get("Retry-After")))


def _redirection(response: aiohttp.ClientResponse) -> ExportResult:
    try:
        parts = urlsplit(urljoin(str(response.url), response.headers["Location"]))
        target = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        target = "an address that is no URL"
    remedy = "redirections are not followed: if this address is the collector's, write it in `endpoint`"
    cause = Cause(f"HTTP {response.status}: it redirects to {target}", remedy, Kind.REDIRECTION)
    location = printable(target) if target.startswith(("http://", "https://")) else ""
    return replace(_not_otlp(cause, str(response.status)), location=location)


def _failure(error: Exception, *, is_secure: bool) -> ExportResult:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refusal(error.status)
    if "content-encoding" in str(error):
        return _not_otlp(Cause("the response has a content encoding that cannot be decoded"))
    if isinstance(error, aiohttp.ClientResponseError):
        if _HTTP2_SETTINGS in error.message:
            return _not_otlp(GRPC)
        first_line = error.message.partition("\n")[0].rstrip(":")
        return _not_otlp(cause_of(error.message) or Cause(f"the response is not HTTP: {first_line}"))
    cause = cause_of(str(error)) or Cause(str(error) or type(error).__name__)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        cause = NO_PROXY
    elif isinstance(error, aiohttp.ClientPayloadError):
        cause = Cause("the response is cut off")
    elif cause is CLOSED and is_secure:
        cause = CLOSED_TLS
    if cause is NO_TLS:
        return _not_otlp(cause)
    return ExportResult.failed(Action.RETRY, cause, "connection")


def _not_otlp(cause: Cause, error_type: str = "response") -> ExportResult:
    return ExportResult.failed(Action.HOLD_NOT_OTLP, replace(cause, reason=printable(cause.reason)), error_type)


def _details(response: aiohttp.ClientResponse, body: bytes) -> str:
    if response.content_type == PROTOBUF:
        try:
            return printable(Status.FromString(body).message)
        except DecodeError:
            pass
    return printable(body[:200].decode("utf-8", "replace"))

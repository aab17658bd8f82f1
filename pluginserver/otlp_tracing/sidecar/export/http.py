"""OTLP over HTTP, as protobuf.

Source: opentelemetry-proto, docs/specification.md (OTLP/HTTP); RFC 9110, Retry-After.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import Callable

import aiohttp
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from multidict import CIMultiDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp_tracing import __version__
from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export import certificates
from otlp_tracing.sidecar.export.causes import GRPC, NO_PROXY, NO_TLS, Cause, cause_of
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.result import Action, ExportResult, http_action, proxy_refusal, retry_after

_MAX_RESPONSE_BYTES = 64 << 10  # a message with a number and a sentence
_DNS_SECONDS = 10  # the longest that a collector which has moved is not found
# Level 1 takes a third of the time of zlib's usual 6, for a tenth more bytes of such messages.
_GZIP_LEVEL, _GZIP_WINDOW = 1, 31
_CONTENT_TYPE = "application/x-protobuf"
_RESPONSES = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
_HTTP2_SETTINGS = r"\x04\x00\x00\x00\x00\x00"  # as aiohttp quotes it: type, flags and stream of the first frame


class HttpTransport:
    """Sends to one destination.

    Args:
        destination: where to send.
        clock: monotonic seconds.
    """

    def __init__(self, destination: Destination, clock: Callable[[], float] = time.monotonic) -> None:
        self._destination = destination
        self._certificates = certificates.CertificateWatch(destination.tls, clock)
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()
        self._headers = CIMultiDict({"user-agent": f"otlp-tracing/{__version__}"})
        self._headers.extend(destination.headers)
        self._headers["content-type"] = _CONTENT_TYPE
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
        except (aiohttp.ClientError, ConfigError, OSError, ValueError) as error:
            if isinstance(error, aiohttp.ClientSSLError):
                # A certificate may have changed, the client's or the collector's.
                self._certificates.check_soon()
            return _failure(error)

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
            partial = _decode(response.content_type, body, signal).partial_success
        except (DecodeError, json_format.ParseError, UnicodeDecodeError):
            text = f"HTTP {response.status} with {response.content_type}, which is not an OTLP response"
            return _not_otlp(Cause(text), str(response.status))
        return ExportResult(Action.SUCCESS, _printable(partial.error_message), max(partial.rejected_spans, 0))
    reason = f"HTTP {response.status}: {_details(response, body)}"
    delay_s = retry_after(response.headers.get("Retry-After"))
    return ExportResult(http_action(response.status), reason, delay_s=delay_s, error_type=str(response.status))


def _decode(content_type: str, body: bytes, signal: Signal) -> ExportTraceServiceResponse:
    """Decode a response; an empty one is valid, whatever its content type (the body of a 204, for example).

    The responses of the three signals differ in the names of their fields alone, which only JSON shows.
    """
    if content_type == "application/json" and body.lstrip().startswith(b"{"):
        body = json_format.Parse(body, _RESPONSES[signal](), ignore_unknown_fields=True).SerializeToString()
        return ExportTraceServiceResponse.FromString(body)
    if body and content_type not in {_CONTENT_TYPE, "application/octet-stream"}:  # the latter is aiohttp's default
        raise DecodeError(content_type)
    return ExportTraceServiceResponse.FromString(body)


def _failure(error: Exception) -> ExportResult:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refusal(error.status)
    if isinstance(error, aiohttp.ClientResponseError):
        is_grpc = _HTTP2_SETTINGS in error.message
        return _not_otlp(GRPC) if is_grpc else _not_otlp(Cause(f"the response is not HTTP: {error.message}"))
    cause = (
        NO_PROXY
        if isinstance(error, aiohttp.ClientProxyConnectionError)
        else cause_of(str(error)) or Cause(str(error) or type(error).__name__)
    )
    if cause is NO_TLS:
        return _not_otlp(cause)
    return ExportResult(Action.RETRY, cause.reason, error_type="connection", remedy=cause.remedy)


def _not_otlp(cause: Cause, error_type: str = "response") -> ExportResult:
    return ExportResult(Action.HOLD_NOT_OTLP, _printable(cause.reason), error_type=error_type, remedy=cause.remedy)


def _details(response: aiohttp.ClientResponse, body: bytes) -> str:
    if response.content_type == _CONTENT_TYPE:
        try:
            return _printable(Status.FromString(body).message)
        except DecodeError:
            pass
    return _printable(body[:200].decode("utf-8", "replace"))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:200])

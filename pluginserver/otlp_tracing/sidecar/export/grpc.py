"""OTLP over gRPC, on a channel that is replaced whenever it may be the cause of a failure.

A connection that is silently dead looks like a slow collector, so the attempt after a missed deadline uses a new one.
Certificate files are checked for changes every few seconds.

Source: opentelemetry-proto, docs/specification.md (OTLP/gRPC); google/rpc/status.proto and error_details.proto.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otlp_tracing.config.otel_variables import Signal
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export.causes import CLOSED, CLOSED_TLS, NO_PROXY, REFUSED, Cause, cause_of
from otlp_tracing.sidecar.export.certificates import CertificateWatch
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.grpc_channel import open_channel
from otlp_tracing.sidecar.export.otlp_response import accepted, printable
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.export.status_codes import TOO_LARGE, bounded_delay, grpc_action, proxy_refusal

_METHODS: Mapping[Signal, str] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
# How gRPC describes a server that does not speak it.
_NOT_GRPC = re.compile(
    "Expected SETTINGS frame|Received http2 header with status|Data frame with END_STREAM flag received|"
    "No status received|WRONG_VERSION_NUMBER|missing selected ALPN"
)
_PROXY_REFUSAL = re.compile("HTTP proxy returned response code ([0-9]{3})")
_TRANSLATED = frozenset({"UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED"})
_GUARD_SECONDS = 2.0  # past the deadline, because gRPC measures it by a clock that a person may set


class GrpcTransport:
    """Sends to one destination.

    Args:
        destination: where to send.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._certificates = CertificateWatch(destination.tls)
        self._channel: grpc.aio.Channel | None = None
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def export(self, request: bytes) -> ExportResult:
        """Send an encoded request and return the result; raises nothing."""
        channel = None
        try:
            channel = await self._open()
            call: Any = channel.unary_unary(_METHODS[self._destination.signal], None, None)
            response = await asyncio.wait_for(
                call(request, timeout=self._destination.timeout_s, metadata=self._destination.headers),
                self._destination.timeout_s + _GUARD_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            return self._result(error, channel)
        except (asyncio.TimeoutError, grpc.aio.UsageError):
            self._discard(channel)
            return ExportResult(Action.RETRY, "no answer within the deadline", error_type="timeout")
        except ConfigError as error:
            return ExportResult.unconfigured(error)
        except (OSError, ValueError) as error:
            return ExportResult(Action.RETRY, str(error), error_type="connection")
        try:
            # The responses of the three signals differ in the names of their fields alone.
            return accepted(ExportTraceServiceResponse.FromString(response))
        except DecodeError:
            return ExportResult(Action.HOLD_NOT_OTLP, "the response is not an OTLP response", error_type="response")

    async def close(self) -> None:
        """Abort the requests under way and close every connection."""
        if self._channel is not None:
            await self._channel.close(None)
            self._channel = None
        for task in tuple(self._closing):
            task.cancel()

    async def _open(self) -> grpc.aio.Channel:
        async with self._opening:
            if self._destination.secure and await self._certificates.has_changed():
                self._discard(self._channel)
            if self._channel is None:
                self._channel = await open_channel(self._destination)
            return self._channel

    def _result(self, error: grpc.aio.AioRpcError, channel: grpc.aio.Channel | None) -> ExportResult:
        code = error.code().name
        details = printable(error.details() or "")
        timed_out = code == "DEADLINE_EXCEEDED"
        if timed_out or (code == "UNAVAILABLE" and self._destination.secure):
            # A certificate may have changed: the client's, or the collector's that was trusted as shown.
            self._certificates.check_soon()
            if timed_out or self._destination.tls.insecure_skip_verify:
                self._discard(channel)
        if refused := _PROXY_REFUSAL.search(error.details() or ""):
            return proxy_refusal(int(refused[1]))
        delay_s = _retry_delay(error)
        action, cause = grpc_action(code, delay_s), Cause(f"{code}: {details}")
        found = _NOT_GRPC.search(error.details() or "")
        # gRPC itself translates the HTTP statuses that have a meaning for it, such as 401 and 503.
        if found and not (found[0].startswith("Received") and code in _TRANSLATED):
            # A proxy's bound on a request, which a smaller batch keeps.
            is_too_large = (error.details() or "").endswith("http2 header with status: 413")
            action = Action.SPLIT if is_too_large else Action.HOLD_NOT_OTLP
            cause = Cause(cause.reason, TOO_LARGE) if is_too_large else cause
        if code == "UNAVAILABLE":  # gRPC's own, if it could not speak with the collector
            cause = cause_of(error.details() or "") or cause
            if cause is REFUSED and self._destination.proxy:
                cause = NO_PROXY
            elif cause is CLOSED and self._destination.secure:
                cause = CLOSED_TLS
        return ExportResult.failed(action, cause, code, delay_s)

    def _discard(self, channel: grpc.aio.Channel | None) -> None:
        if channel is None or channel is not self._channel:
            return
        self._channel = None
        # Other requests on this channel may still be answered.
        task = asyncio.create_task(channel.close(self._destination.timeout_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _retry_delay(error: grpc.aio.AioRpcError) -> float | None:
    trailers: Any = error.trailing_metadata() or ()
    for name, value in trailers:
        if name == "grpc-status-details-bin":
            try:
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return bounded_delay(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
            except (DecodeError, TypeError):
                return None
    return None

"""The action for each status of gRPC and HTTP: retry, hold, split or drop. Pure.

This is OTLP's table with two exceptions (docs/decisions/0016-hold-what-is-not-let-in.md). Spans are held, not dropped,
if the answer means that the key or the endpoint is wrong, not the spans. A batch that was refused for its content
or its size is bisected, so that only the offending spans are lost.

Source: opentelemetry-proto, docs/specification.md (OTLP/gRPC and OTLP/HTTP response); google/rpc/error_details.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from otlp_tracing.sidecar.export.causes import Cause, Kind
from otlp_tracing.sidecar.export.result import HOLD_REASONS, Action, ExportResult

_MAX_DELAY_SECONDS = 3600.0  # a longer delay that a collector asks for is shortened to an hour

_GRPC: Mapping[str, Action] = {
    "CANCELLED": Action.RETRY,
    "DEADLINE_EXCEEDED": Action.RETRY,
    "ABORTED": Action.RETRY,
    "OUT_OF_RANGE": Action.RETRY,
    "UNAVAILABLE": Action.RETRY,
    "DATA_LOSS": Action.RETRY,
    "UNAUTHENTICATED": Action.HOLD_UNAUTHORIZED,
    "PERMISSION_DENIED": Action.HOLD_UNAUTHORIZED,
    "UNIMPLEMENTED": Action.HOLD_NOT_OTLP,
    "NOT_FOUND": Action.HOLD_NOT_OTLP,
    # A collector that cannot read a request answers one of these, because of one span or of all.
    "INVALID_ARGUMENT": Action.SPLIT,
    "INTERNAL": Action.SPLIT,
    "RESOURCE_EXHAUSTED": Action.SPLIT,
}
# Statuses from 520 on are those of content delivery networks that do not reach the collector.
_HTTP: Mapping[int, Action] = {
    **dict.fromkeys((408, 425, 429, 502, 503, 504, *range(520, 600)), Action.RETRY),
    **dict.fromkeys((401, 402, 403, 407, 451, 511), Action.HOLD_UNAUTHORIZED),
    # Answers about the method, the path, the headers or the version of the request, whatever spans are in it.
    **dict.fromkeys((404, 405, 406, 410, 411, 414, 415, 417, 418, 421, 426, 428, 431, 501, 505), Action.HOLD_NOT_OTLP),
    **dict.fromkeys((400, 413, 422), Action.SPLIT),
}
TOO_LARGE = (
    "raise the bound on a request's size at the collector, or at the proxy before it (nginx: `client_max_body_size`); "
    "a lower `batch_export.send_batch_size` makes smaller requests"
)
"""The remedy for 413."""
_REMEDIES: Mapping[int, tuple[str, Kind]] = {
    413: (TOO_LARGE, Kind.OTHER),
    402: ("check the plan and the quota of the account at the backend: it wants a payment", Kind.WANTS_PAYMENT),
    415: (
        "check that the endpoint takes OTLP as protobuf; if it takes no gzip, set `compression: none`",
        Kind.WANTS_NO_GZIP,
    ),
    511: (
        "a portal on the way wants a login: name a proxy in HTTPS_PROXY, or let the collector's host through",
        Kind.PROXY,
    ),
}


def grpc_action(code: str, delay_s: float | None) -> Action:
    """Return the action for a gRPC status.

    Args:
        code: its name, such as UNAVAILABLE.
        delay_s: of its RetryInfo, None without one.
    """
    if code == "RESOURCE_EXHAUSTED" and delay_s is not None:
        return Action.RETRY
    return _GRPC.get(code, Action.DROP)


def http_action(status: int) -> Action:
    """Return the action for an HTTP status that is not 2xx."""
    return Action.HOLD_NOT_OTLP if status // 100 == 3 else _HTTP.get(status, Action.DROP)


def http_refusal(status: int, reason: str, delay_s: float | None = None) -> ExportResult:
    """Return the result of an HTTP answer that is not 2xx.

    Args:
        status: of the answer.
        reason: a few words of its body.
        delay_s: of its Retry-After, None without one.
    """
    if status == 407:
        return proxy_refusal(status)
    cause = Cause(f"HTTP {status}: {reason}", *_REMEDIES.get(status, ()))
    return ExportResult.failed(http_action(status), cause, str(status), delay_s)


def proxy_refusal(status: int) -> ExportResult:
    """Return the result of an attempt that the proxy on the way did not let pass.

    Args:
        status: of its answer to CONNECT.
    """
    action = http_action(status)
    if action not in HOLD_REASONS:
        action = Action.RETRY
    remedy = "check the proxy in HTTPS_PROXY and its password, or name the collector in NO_PROXY"
    return ExportResult.failed(action, Cause(f"the proxy answers HTTP {status}", remedy, Kind.PROXY), str(status))


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, seconds or a date; None for anything else."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return bounded_delay(float(text))
    try:
        return bounded_delay(parsedate_to_datetime(text).timestamp() - time())
    except (ValueError, OverflowError):
        return None


def bounded_delay(seconds: float) -> float:
    """Limit a delay that a collector asks for to an hour."""
    return min(max(seconds, 0.0), _MAX_DELAY_SECONDS)

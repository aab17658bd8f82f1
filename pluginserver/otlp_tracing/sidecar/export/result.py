"""What an answer of a collector means for the spans that were sent. Pure.

To the letter of OTLP's tables, with two exceptions (docs/decisions/0016-hold-what-is-not-let-in.md): spans that
were refused for lack of authority are held rather than dropped, since it is the key that is bad and not they; and
what was refused for its content or its size is narrowed down, so that only the spans meant are lost.

Source: opentelemetry-proto, docs/specification.md (OTLP/gRPC and OTLP/HTTP response); google/rpc/error_details.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from time import time

_MAX_DELAY_SECONDS = 3600.0  # a collector that asks for more is asked again after an hour


class Action(Enum):
    """What to do with spans that were sent."""

    SUCCESS = "success"
    RETRY = "retry"
    HOLD_UNAUTHORIZED = "hold_unauthorized"
    SPLIT = "split"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What became of one attempt.

    Args:
        action: what to do.
        reason: a few words for a person, of the collector or about it.
        rejected: spans of an accepted request that the collector did not take.
        delay_s: what the collector asks to wait, None if it does not say.
        error_type: one word for a failure, of a few: a gRPC status' name, an HTTP status, timeout or connection.
    """

    action: Action
    reason: str = ""
    rejected: int = 0
    delay_s: float | None = None
    error_type: str = ""


_GRPC: Mapping[str, Action] = {
    "CANCELLED": Action.RETRY,
    "DEADLINE_EXCEEDED": Action.RETRY,
    "ABORTED": Action.RETRY,
    "OUT_OF_RANGE": Action.RETRY,
    "UNAVAILABLE": Action.RETRY,
    "DATA_LOSS": Action.RETRY,
    "UNAUTHENTICATED": Action.HOLD_UNAUTHORIZED,
    "PERMISSION_DENIED": Action.HOLD_UNAUTHORIZED,
    # A collector that cannot read a request says either: it means one span, or all of them.
    "INVALID_ARGUMENT": Action.SPLIT,
    "INTERNAL": Action.SPLIT,
    "RESOURCE_EXHAUSTED": Action.SPLIT,
}
_HTTP: Mapping[int, Action] = {
    429: Action.RETRY,
    502: Action.RETRY,
    503: Action.RETRY,
    504: Action.RETRY,
    401: Action.HOLD_UNAUTHORIZED,
    403: Action.HOLD_UNAUTHORIZED,
    400: Action.SPLIT,
    413: Action.SPLIT,
}


def grpc_action(code: str, delay_s: float | None) -> Action:
    """Judge a status.

    Args:
        code: its name, such as UNAVAILABLE.
        delay_s: of its RetryInfo, None without one.
    """
    if code == "RESOURCE_EXHAUSTED" and delay_s is not None:
        return Action.RETRY
    return _GRPC.get(code, Action.DROP)


def http_action(status: int) -> Action:
    """Judge a status that is not 2xx."""
    return _HTTP.get(status, Action.DROP)


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date; None for anything else."""
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
    """Keep a collector's wish within reason."""
    return min(max(seconds, 0.0), _MAX_DELAY_SECONDS)

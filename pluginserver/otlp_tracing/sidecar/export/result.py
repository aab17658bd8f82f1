"""The result of one attempt to export, and the action that follows for its spans. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.export.causes import Cause, Kind


class Action(Enum):
    """The action for the spans of a request."""

    SUCCESS = "success"
    RETRY = "retry"
    HOLD_UNAUTHORIZED = "hold_unauthorized"
    HOLD_NOT_OTLP = "hold_not_otlp"
    SPLIT = "split"
    DROP = "drop"


HOLD_REASONS: Mapping[Action, str] = {Action.HOLD_UNAUTHORIZED: "unauthorized", Action.HOLD_NOT_OTLP: "not_otlp"}
"""The reason on /metrics and in the log for each action that holds."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The result of one attempt.

    Args:
        action: for its spans.
        reason: a few words for a person, from the collector or about it.
        rejected: number of spans in an accepted request that the collector did not take.
        delay_s: seconds that the collector asks to wait; None if it does not.
        error_type: one word for a failure: the name of a gRPC status, an HTTP status, timeout or connection.
        remedy: the setting to change, as a sentence; empty for the usual one, see remedies.py.
        kind: of the cause.
        location: URL of a redirection; otherwise empty.
        command: for a shell on this machine, that mends the cause; empty if none is known.
    """

    action: Action
    reason: str = ""
    rejected: int = 0
    delay_s: float | None = None
    error_type: str = ""
    remedy: str = ""
    kind: Kind = Kind.OTHER
    location: str = ""
    command: str = ""

    @classmethod
    def failed(cls, action: Action, cause: Cause, error_type: str, delay_s: float | None = None) -> ExportResult:
        """Return the result of an attempt that failed for a cause."""
        return cls(action, cause.reason, 0, delay_s, error_type, cause.remedy, cause.kind)

    @classmethod
    def unconfigured(cls, error: ConfigError) -> ExportResult:
        """Return the result of an attempt without a connection: a file of the configuration cannot be used."""
        return cls(Action.RETRY, str(error), error_type="connection", command=error.faults[0].command)

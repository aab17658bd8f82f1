"""What every way to a collector can do."""

from __future__ import annotations

from typing import Protocol

from otlp_tracing.sidecar.export.result import ExportResult

ATTEMPT_SECONDS = 10.0  # the specification's default timeout


class Transport(Protocol):
    """Sends requests; several at a time."""

    async def export(self, request: bytes) -> ExportResult:
        """Send an encoded ExportTraceServiceRequest and say what became of it; raises nothing."""

    async def close(self) -> None:
        """Break off what is being sent and let go of every connection."""

"""The interface of a transport: one protocol to one collector."""

from __future__ import annotations

from typing import Protocol

from otlp_tracing.sidecar.export.result import ExportResult


class Transport(Protocol):
    """Sends requests, several at a time."""

    async def export(self, request: bytes) -> ExportResult:
        """Send an encoded ExportTraceServiceRequest and return the result; raises nothing."""

    async def close(self) -> None:
        """Abort the requests under way and close every connection."""

"""Exporters over scripted transports, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import virtual_time
from delivery_doubles import ScriptedTransport, encoded
from otlp_tracing.config.settings import Settings
from otlp_tracing.metrics import DESTINATION_HELD
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporter import Exporter
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.telemetry.registry import Metrics

DOWN = ExportResult(Action.RETRY, "UNAVAILABLE: connection refused")
BAD = ExportResult(Action.SPLIT, "INVALID_ARGUMENT: no")


class Stage:
    """Exporters over scripted transports, with everything in memory."""

    def __init__(self) -> None:
        self.transports: dict[str, ScriptedTransport] = {}
        self.metrics = Metrics()
        self.exporters = ExporterRegistry(self.metrics, {}, None, self._transport)

    def _transport(self, destination: Destination) -> ScriptedTransport:
        return self.transports.setdefault(destination.endpoint, ScriptedTransport())

    def to(self, name: str = "c", **config: Any) -> tuple[Exporter, ScriptedTransport]:
        settings = Settings.from_config({"endpoint": f"http://{name}:1", "batch_export": config})
        destination = Destination.from_settings(settings, {})
        return self.exporters.get(destination), self._transport(destination)

    def send(self, delivery: Exporter, *names: str, padding: int = 0) -> None:
        """One request, of which each name is a span."""
        self.exporters.submit(delivery.destination, [encoded(name, padding) for name in names], 0)
        self.exporters.save(b"worker", 1)

    def held(self) -> set[str]:
        """Reasons for which spans are held, as /metrics shows them."""
        (family,) = (one for one in self.metrics.registry.collect() if one.name == DESTINATION_HELD.name)
        return {sample.labels["reason"] for sample in family.samples}


def staged(scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Stage())

    virtual_time.run(run())


def books(delivery: Exporter) -> tuple[int, int, int, int]:
    """Check the balance, and return exported, rejected, dropped and waiting spans."""
    assert delivery.accounting.discrepancy == 0
    return (
        delivery.accounting.exported,
        delivery.accounting.rejected,
        sum(delivery.accounting.dropped.values()),
        delivery.accounting.spooled + delivery.accounting.in_flight,
    )

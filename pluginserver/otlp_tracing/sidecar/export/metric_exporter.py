"""Sends the metrics of each destination at an interval.

Metrics need no spool: every export repeats all counts, or those since the last accepted one. After an outage nothing
is missing but the points between.

Source: OpenTelemetry specification, metrics/sdk.md, "Periodic exporting MetricReader".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from otlp_tracing.config.otel_variables import MetricVariables
from otlp_tracing.config.settings import MetricExport
from otlp_tracing.log_limit import LimitedLog
from otlp_tracing.metrics import METRIC_EXPORTS, NAMES_REFUSED
from otlp_tracing.sidecar.export.backoff import RetryBackoff
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.remedies import remedy_for
from otlp_tracing.sidecar.export.result import HOLD_REASONS, Action, ExportResult
from otlp_tracing.sidecar.export.transport import Transport
from otlp_tracing.sidecar.telemetry.exemplars import SentExemplar
from otlp_tracing.sidecar.telemetry.otlp_metrics import OtlpMetrics
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.sidecar.telemetry.series_table import SeriesTable

_log = logging.getLogger("otlp_tracing.sidecar.export")

# A destination has a few megabytes at most. A gateway has some; more come from configurations that change.
MAX_DESTINATIONS = 64
# The places that distinguish two gateways of one service.
_PLACES = ("host.name", "container.id", "k8s.pod.uid", "kong.node.id")


class MetricExporter:
    """Exports to one destination. Create and use it in one event loop.

    Args:
        destination: where to send.
        table: the series of requests.
        source: makes the messages.
        addresses: those of the entries' destinations; the counts of other ones are not sent.
        metrics: where exports are counted.
        interval_s: seconds between two exports.
        transport: to the destination.
    """

    def __init__(
        self,
        destination: Destination,
        table: SeriesTable,
        source: OtlpMetrics,
        addresses: set[str],
        *,
        metrics: Metrics,
        interval_s: float,
        transport: Transport,
    ) -> None:
        self._destination = destination
        self.table = table
        self._source = source
        self.addresses = addresses
        self._metrics = metrics
        self.interval_s = interval_s
        self._transport = transport
        self._clock = asyncio.get_running_loop().time
        self._backoff = RetryBackoff(self._clock)
        self._succeeded_at: float | None = None
        self._remedy = self._command = ""
        self._failed, self._recovered, self._internal_error = LimitedLog(_log), LimitedLog(_log), LimitedLog(_log)
        self._exporting = asyncio.Lock()
        self._task = asyncio.create_task(self._run(), name=f"export metrics to {destination.address}")

    async def export(self) -> None:
        """Send all current values; an export that fails is logged and counted."""
        async with self._exporting:
            label = self._destination.address
            for chunk in self._source.chunks():
                result = await self._transport.export(chunk.request.SerializeToString())
                self._metrics.add(METRIC_EXPORTS, label, result.error_type)
                if result.action is not Action.SUCCESS:
                    self._fail(result)
                    return
                for accept in chunk.accepted:
                    accept()
                if result.rejected:
                    self._failed.warning("metrics rejected: %s refused %d: %s", label, result.rejected, result.reason)
            if self._backoff.failing_since is not None:
                self._recovered.info("export recovered: %s takes metrics again", label)
            self._backoff.record_success()
            self._succeeded_at, self._remedy, self._command = self._clock(), "", ""

    def status(self) -> dict[str, Any]:
        """Return its state for a person: words and seconds; there is nothing that waits."""
        now, since, success = self._clock(), self._backoff.failing_since, self._succeeded_at
        state = "idle" if success is None else "ok"
        if since is not None:
            state = "held" if self._backoff.held else "retrying"
        return {
            "destination": self._destination.label,
            "endpoint": self._destination.address,
            "signal": "metrics",
            "protocol": self._destination.protocol,
            **self._destination.traits,
            "state": state,
            "reason": self._backoff.reason,
            "remedy": self._remedy,
            "command": self._command,
            "failing_s": None if since is None else round(now - since, 1),
            "last_success_s": None if success is None else round(now - success, 3),
        }

    @property
    def sent_exemplars(self) -> Iterator[SentExemplar]:
        """The last exemplars of durations that the collector accepted."""
        return iter(self._source.sent)

    def _fail(self, result: ExportResult) -> None:
        self._backoff.record_failure(result.reason, result.delay_s, hold=HOLD_REASONS.get(result.action, ""))
        remedy = self._remedy = result.remedy or remedy_for(result.action, self._destination)
        self._command = result.command
        self._failed.warning(
            "export %s: %s: metrics: %s%s",
            "unauthorized" if result.action is Action.HOLD_UNAUTHORIZED else "failed",
            self._destination.address,
            result.reason,
            f". {remedy}" if remedy else "",
        )

    async def close(self, seconds: float = 0.0) -> None:
        """End; export once more, for `seconds` at most, unless the destination fails."""
        self._task.cancel()
        if seconds and self._backoff.failing_since is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.export(), seconds)
        await self._transport.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._backoff.delay() or self.interval_s)
            # A key that was replaced is refused for ever: it is tried again only if requests are counted for it.
            if self._backoff.held and not self.table.has_changed():
                continue
            try:
                await self.export()
            except Exception as error:
                sentence = "internal error in the export of metrics to %s"
                self._internal_error.warning(sentence, self._destination.address, exc_info=True)
                self._backoff.record_failure(f"{type(error).__name__}: {error}")


class MetricExporters:
    """The exporters of a sidecar, one a destination. Create and use it in one event loop.

    Args:
        metrics: the sidecar's own counts.
        environment: `OTEL_*` variables.
        transport: makes a transport to a destination.
        place: distinguishes sidecars of one machine, such as the path of the socket.
    """

    def __init__(
        self,
        metrics: Metrics,
        environment: Mapping[str, str],
        transport: Callable[[Destination], Transport],
        place: str = "",
    ) -> None:
        self._metrics = metrics
        self._transport = transport
        self._place = place
        self._variables = MetricVariables.read(environment)
        self._exporters: OrderedDict[bytes, MetricExporter] = OrderedDict()  # the last one configured last
        self._closing: set[asyncio.Task[None]] = set()

    def table(self, destination: Destination, settings: MetricExport, traces: str = "") -> SeriesTable:
        """Return the series of a destination, and send them from now on.

        Args:
            destination: of metrics.
            settings: of the entry.
            traces: address of the entry's traces; the sidecar's own counts of it are sent too.
        """
        interval_s = (settings.interval or self._variables.interval_ms) / 1000
        exporter = self._exporters.get(destination.identity)
        if exporter is None:
            exporter = self._exporters[destination.identity] = self._create(destination, interval_s)
        exporter.interval_s = interval_s
        exporter.addresses |= {destination.address, traces}
        self._exporters.move_to_end(destination.identity)
        if len(self._exporters) > MAX_DESTINATIONS:
            _, unused = self._exporters.popitem(last=False)
            _log.warning("metrics destination removed: metrics are sent to %d destinations at most", MAX_DESTINATIONS)
            task = asyncio.create_task(unused.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        return exporter.table

    def status(self) -> list[dict[str, Any]]:
        """Return the state of each destination."""
        return [exporter.status() for exporter in self._exporters.values()]

    def sent_exemplars(self) -> Iterator[SentExemplar]:
        """Return the last exemplars of durations that were accepted."""
        for exporter in self._exporters.values():
            yield from exporter.sent_exemplars

    async def close(self, seconds: float) -> None:
        """Export once more, for `seconds` at most, and end."""
        await asyncio.gather(*(exporter.close(seconds) for exporter in self._exporters.values()))

    def _create(self, destination: Destination, interval_s: float) -> MetricExporter:
        table = SeriesTable(
            is_exponential=self._variables.is_exponential,
            on_refused=lambda: self._metrics.add(NAMES_REFUSED, "metric_series"),
        )
        addresses: set[str] = set()
        resource = dict(destination.resource_attributes)
        # Without it, two gateways would write the same series.
        resource.setdefault("service.instance.id", self._instance_id(resource))
        source = OtlpMetrics(table, self._metrics, addresses, resource, variables=self._variables)
        return MetricExporter(
            destination,
            table,
            source,
            addresses,
            metrics=self._metrics,
            interval_s=interval_s,
            transport=self._transport(destination),
        )

    def _instance_id(self, resource: Mapping[str, object]) -> str:
        places = [str(resource.get(name)) for name in _PLACES]
        return str(uuid.uuid5(uuid.NAMESPACE_OID, "|".join([*places, self._place])))

"""Spool and export together, with random traffic, answers, small bounds and restarts: no span is unaccounted for."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from delivery_doubles import OK, ScriptedTransport, encoded, until
from otlp_tracing.config.settings import Settings
from otlp_tracing.sidecar.export import send_queue as backlog
from otlp_tracing.sidecar.export.backoff import RetryBackoff
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.telemetry.registry import Metrics

_ANSWERS = (
    OK,
    OK,
    OK,
    ExportResult(Action.RETRY, "UNAVAILABLE: away"),
    ExportResult(Action.HOLD_UNAUTHORIZED, "UNAUTHENTICATED: expired"),
    ExportResult(Action.SPLIT, "INVALID_ARGUMENT: no"),
    ExportResult(Action.DROP, "UNIMPLEMENTED: no"),
    ExportResult(Action.SUCCESS, "too old", rejected=1),
)
_LIVES = 4
_STEPS = 60


class _Hasty(RetryBackoff):
    """Waits a hundredth of the time."""

    def delay(self) -> float:
        return super().delay() / 100


@pytest.mark.parametrize("seed", range(int(os.environ.get("CONSERVATION_SEEDS", "3"))))
@pytest.mark.parametrize("bound", [1 << 20, 1 << 30])
def test_every_span_is_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, bound: int) -> None:
    """Each submitted span is accepted, refused, dropped or spooled, over all lives of the process."""
    monkeypatch.setattr(backlog, "MAX_IN_MEMORY_BYTES", 20_000)
    monkeypatch.setattr(backlog, "_LOAD_BYTES", 10_000)
    monkeypatch.setattr("otlp_tracing.sidecar.export.exporter.RetryBackoff", _Hasty)
    asyncio.run(_lives(tmp_path, random.Random(seed), bound))


def _exporters(folder: Path, transport: ScriptedTransport) -> ExporterRegistry:
    return ExporterRegistry(Metrics(), {}, folder, lambda _: transport)


async def _lives(folder: Path, chance: random.Random, bound: int) -> None:
    totals: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    issued = left = 0
    for life in range(_LIVES):
        transport = ScriptedTransport()
        exporters = _exporters(folder, transport)
        await exporters.spool.start(10)
        config = {
            "endpoint": "http://c:1",
            "batch_export": {"send_batch_size": 8, "timeout": 5, "spool_max_bytes": bound},
        }
        delivery = exporters.get(Destination.from_settings(Settings.from_config(config), {}))
        assert delivery.accounting.restored == left
        transport.answer = lambda _: chance.choice(_ANSWERS)
        for step in range(_STEPS):
            for _ in range(chance.randrange(6)):
                names = [f"{life}.{step}.{chance.random()}" for _ in range(chance.randrange(1, 4))]
                issued += len(names)
                size = chance.choice((10, 1000, 30_000))
                exporters.submit(delivery.destination, [encoded(name, size) for name in names], 0)
            saved = exporters.save(b"sender", step + 1)
            if saved is not None and chance.random() < 0.5:
                await saved
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.01)))
            assert delivery.accounting.discrepancy == 0
        if life == _LIVES - 1:
            transport.answer = lambda _: OK
            delivery.backoff.retry_now()
            await until(lambda: delivery.is_empty)  # noqa: B023 - called in this life
        await exporters.close(chance.choice((0.0, 0.05)))
        status = delivery.status()
        totals += Counter({key: status[key] for key in ("exported", "rejected")})
        totals["dropped"] += sum(status["dropped"].values())
        accepted.update(transport.accepted)
        left = status["spooled"]
        assert status["balance"] == 0
        assert status["in_flight"] == 0
    assert left == 0
    assert totals["exported"] + totals["rejected"] + totals["dropped"] == issued
    assert len(accepted) >= totals["exported"]

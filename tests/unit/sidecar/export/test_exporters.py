"""Promises of sidecar/export/exporters.py: destinations over restarts and changes of their secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import virtual_time
from delivery_doubles import OK, ScriptedTransport, encoded
from otlp_tracing.config.settings import Settings
from otlp_tracing.metrics import LOG_RECORDS, SPANS
from otlp_tracing.sidecar.export.destination import Destination
from otlp_tracing.sidecar.export.exporter import Exporter
from otlp_tracing.sidecar.export.exporters import MAX_SUSPENDED, SUSPEND_SECONDS, ExporterRegistry
from otlp_tracing.sidecar.export.result import Action, ExportResult
from otlp_tracing.sidecar.spool.folder import SpoolFolder
from otlp_tracing.sidecar.telemetry.registry import Metrics

DOWN = ExportResult(Action.RETRY, "UNAVAILABLE: connection refused")
REFUSED = ExportResult(Action.HOLD_UNAUTHORIZED, "UNAUTHENTICATED: expired")


def destination(key: str = "", environment: dict[str, str] | None = None, **config: Any) -> Destination:
    headers = [f"x-api-key: {key}"] if key else []
    settings = Settings.from_config(
        {"endpoint": "http://c:1", "headers": headers, "batch_export": {"send_batch_size": 1}, **config}
    )
    return Destination.from_settings(settings, environment or {})


class Life:
    """The exporters of one process, with a scripted transport for each key."""

    def __init__(self, folder: Path | None = None, environment: dict[str, str] | None = None) -> None:
        self.transports: dict[str, ScriptedTransport] = {}
        self.metrics = Metrics()
        self.exporters = ExporterRegistry(self.metrics, environment or {}, folder, self._transport)

    def _transport(self, to: Destination) -> ScriptedTransport:
        return self.with_key(dict(to.headers).get("x-api-key", ""))

    def with_key(self, key: str) -> ScriptedTransport:
        return self.transports.setdefault(key, ScriptedTransport())

    def send(self, delivery: Exporter, *names: str) -> asyncio.Future[None] | None:
        self.exporters.submit(delivery.destination, [encoded(name) for name in names], 0)
        return self.exporters.save(b"sender", 1)

    def states(self) -> dict[str, str]:
        """By endpoint; each has one row."""
        rows = self.exporters.status()
        states = {row["destination"]: row["state"] for row in rows}
        assert len(states) == len(rows)
        assert not any(row["balance"] for row in rows)
        return states

    def loops(self) -> int:
        """How many destinations have a loop."""
        return sum(task.get_name().startswith("export to") for task in asyncio.all_tasks())

    async def __aenter__(self) -> Life:
        await self.exporters.spool.start(5)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exporters.close(0)


async def left_behind(folder: Path, to: Destination, *names: str) -> None:
    """A process that cannot deliver ends."""
    async with Life(folder) as life:
        life.with_key(dict(to.headers).get("x-api-key", "")).answer = lambda _: DOWN
        saved = life.send(life.exporters.get(to), *names)
        assert saved is not None
        await saved


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within five seconds")


def test_spans_of_an_earlier_process_are_delivered_at_once(tmp_path: Path) -> None:
    """Without secrets nothing has to be waited for; the books know where the spans came from."""

    async def scene() -> None:
        await left_behind(tmp_path, destination(), "a", "b")
        async with Life(tmp_path) as life:
            await until(lambda: len(life.with_key("").accepted) == 2)
            (status,) = life.exporters.status()
            assert (status["restored"], status["exported"], status["balance"]) == (2, 2, 0)
            assert life.exporters.get(destination()).accounting.restored == 2

    asyncio.run(scene())


def test_spans_wait_for_their_headers(tmp_path: Path) -> None:
    """Another key's configuration does not release them, their own does."""

    async def scene() -> None:
        await left_behind(tmp_path, destination("one"), "a")
        async with Life(tmp_path) as life:
            (status,) = life.exporters.status()
            assert (status["state"], status["spooled"]) == ("unknown", 1)
            saved = life.send(life.exporters.get(destination("other")), "b")
            assert saved is not None
            await saved
            await until(lambda: life.with_key("other").accepted == ["b"])
            life.exporters.get(destination("one"))
            await until(lambda: life.with_key("one").accepted == ["a"])
            assert life.with_key("other").accepted == ["b"]
        assert not any(b"one" in path.read_bytes() for path in tmp_path.iterdir())

    asyncio.run(scene())


def test_headers_of_the_environment_are_known_at_once(tmp_path: Path) -> None:
    """They are there without Kong; if they have changed, their digest tells."""

    async def scene() -> None:
        variables = {"OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=one"}
        await left_behind(tmp_path, destination(environment=variables), "a")
        async with Life(tmp_path, {"OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=two"}) as life:
            assert [one["state"] for one in life.exporters.status()] == ["unknown"]
        async with Life(tmp_path, variables) as life:
            await until(lambda: life.with_key("one").accepted == ["a"])

    asyncio.run(scene())


def test_limits_are_the_last_configurations() -> None:
    """Entries that differ in limits alone are one destination."""

    async def scene() -> None:
        async with Life() as life:
            first = life.exporters.get(destination(batch_export={"spool_max_bytes": 2 << 20}))
            second = life.exporters.get(destination(batch_export={"spool_max_bytes": 3 << 20}))
            await asyncio.sleep(0)

            assert first is second
            assert first.queue.max_bytes == 3 << 20
            assert life.exporters.get(destination("other")) is not first

    virtual_time.run(scene())


@pytest.mark.parametrize("changes", [1, 2])
def test_a_refused_key_is_replaced_by_the_one_of_its_entry(changes: int) -> None:
    """Held spans are sent with the key that their entry has now, whatever other entries send there."""

    async def scene() -> None:
        async with Life() as life:
            life.with_key("old").answer = lambda _: REFUSED
            life.send(life.exporters.get(destination("other"), ("b", "")), "other")
            old = life.exporters.get(destination("old"), ("a", ""))
            life.send(old, "held")
            await asyncio.sleep(100)
            for number in range(changes):
                life.send(life.exporters.get(destination(f"new {number}"), ("a", "")), f"fresh {number}")
            await asyncio.sleep(100)

            assert "held" in life.with_key(f"new {changes - 1}").accepted
            assert life.with_key("other").accepted == ["other"]
            assert old.state == "ok"
            assert old.accounting.discrepancy == 0

    virtual_time.run(scene())


@pytest.mark.parametrize("is_used_again", [False, True])
def test_a_refused_key_is_not_replaced_by_the_one_of_another_entry(is_used_again: bool) -> None:
    """Two entries can be two tenants: the spans of one never reach the account of the other."""

    async def scene() -> None:
        async with Life() as life:
            life.with_key("refused").answer = lambda _: REFUSED
            old = life.exporters.get(destination("refused"), ("a", ""))
            life.send(old, "held")
            life.send(life.exporters.get(destination("good"), ("b", "")), "fresh")
            await asyncio.sleep(100)
            if is_used_again:
                life.send(old, "held too")
            await asyncio.sleep(100)

            assert life.with_key("good").accepted == ["fresh"]
            assert old.state == "held"

    virtual_time.run(scene())


def test_a_key_that_two_entries_had_is_not_replaced_by_two() -> None:
    """Their spans are in one queue, and it is not known which span is whose."""

    async def scene() -> None:
        async with Life() as life:
            life.with_key("old").answer = lambda _: REFUSED
            for scope in ("a", "b"):
                old = life.exporters.get(destination("old"), (scope, ""))
                life.send(old, scope)
            await asyncio.sleep(100)
            for scope in ("a", "b"):
                life.send(life.exporters.get(destination(f"new {scope}"), (scope, "")), "fresh")
            await asyncio.sleep(100)

            assert (life.with_key("new a").accepted, life.with_key("new b").accepted) == (["fresh"], ["fresh"])
            assert old.state == "held"

    virtual_time.run(scene())


def test_a_key_that_was_never_seen_again_is_replaced_after_a_while(tmp_path: Path) -> None:
    """It was changed while no sidecar ran: ten minutes are enough for its configuration to come, if there is one."""

    async def scene(monkeypatch: pytest.MonkeyPatch) -> None:
        await left_behind(tmp_path, destination("old"), "a")
        monkeypatch.setattr("otlp_tracing.sidecar.export.exporters._CHECK_SECONDS", 0.05)
        async with Life(tmp_path) as life:
            life.send(life.exporters.get(destination("new")), "b")
            await until(lambda: life.with_key("new").accepted == ["b"])
            await asyncio.sleep(0.2)
            assert life.with_key("new").accepted == ["b"]
            monkeypatch.setattr("otlp_tracing.sidecar.export.exporters._UNKNOWN_SECONDS", 0.0)
            await until(lambda: life.with_key("new").accepted == ["b", "a"])

    with pytest.MonkeyPatch.context() as monkeypatch:
        asyncio.run(scene(monkeypatch))


def test_a_key_that_another_process_had_as_well_replaces_none(tmp_path: Path) -> None:
    """Both were in use before the restart: the one whose entry is quiet since then is not the other's former key."""

    async def scene(monkeypatch: pytest.MonkeyPatch) -> None:
        await left_behind(tmp_path, destination("quiet"), "a")
        await left_behind(tmp_path, destination("busy"), "b")
        monkeypatch.setattr("otlp_tracing.sidecar.export.exporters._CHECK_SECONDS", 0.05)
        monkeypatch.setattr("otlp_tracing.sidecar.export.exporters._UNKNOWN_SECONDS", 0.0)
        async with Life(tmp_path) as life:
            busy = life.exporters.get(destination("busy"), ("b", ""))
            await until(lambda: life.with_key("busy").accepted == ["b"])
            life.send(busy, "c")
            await until(lambda: life.with_key("busy").accepted == ["b", "c"])
            await asyncio.sleep(0.3)
            assert life.with_key("busy").accepted == ["b", "c"]
            assert sorted(one["state"] for one in life.exporters.status()) == ["ok", "unknown"]

    with pytest.MonkeyPatch.context() as monkeypatch:
        asyncio.run(scene(monkeypatch))


def test_a_bound_holds_on_disk(tmp_path: Path) -> None:
    """Drop-oldest of rows that are on disk alone: exact counts, the youngest arrive, the file stays small."""

    async def scene() -> None:
        to = destination(batch_export={"spool_max_bytes": 4 << 20, "send_batch_size": 10})
        async with Life(tmp_path) as life:
            collector = life.with_key("")
            collector.answer = lambda _: DOWN
            delivery = life.exporters.get(to)
            for number in range(60):
                life.exporters.submit(delivery.destination, [encoded(f"{number}", 200_000)], 0)
                saved = life.exporters.save(b"sender", number + 1)
                assert saved is not None
                await saved
            await until(lambda: delivery.queue.bytes <= 4 << 20)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 14 << 20
            dropped = delivery.accounting.dropped["spool_full"]
            assert delivery.accounting.discrepancy == 0
            assert 35 < dropped < 50
            collector.answer = lambda _: OK
            await until(lambda: delivery.accounting.exported == 60 - dropped)
            # One batch was in flight while others were dropped.
            youngest = 60 - dropped - 10
            arrived = sorted(map(int, collector.accepted))
            assert arrived[-youngest:] == list(range(60 - youngest, 60))

    asyncio.run(scene())


def test_a_spool_that_opens_late_gives_each_span_once(tmp_path: Path) -> None:
    """Spans of an earlier process, of before it opened and of after it: none twice, none not at all."""
    to = destination(batch_export={"send_batch_size": 100, "timeout": 1})

    async def scene() -> None:
        await left_behind(tmp_path, to, *(f"earlier {number}" for number in range(10)))
        holder = SpoolFolder(tmp_path)
        async with Life(tmp_path) as life:
            collector, delivery = life.with_key(""), life.exporters.get(to)
            collector.answer = lambda _: DOWN
            for number in range(10):
                life.send(delivery, f"memory {number}")
            holder.close()
            await until(lambda: delivery.accounting.restored == 10 and life.exporters.spool.trouble is None)
            for number in range(10):
                saved = life.send(delivery, f"later {number}")
                assert saved is not None
                await saved
            assert delivery.accounting.spooled + delivery.accounting.in_flight == 30
            collector.answer = lambda _: OK
            await delivery.reconfigure(delivery.destination)
            await until(lambda: len(collector.accepted) >= 30)
            await asyncio.sleep(0.05)

            expected = [f"{when} {number}" for when in ("earlier", "memory", "later") for number in range(10)]
            assert sorted(collector.accepted) == sorted(expected)
            assert delivery.accounting.discrepancy == 0
        async with Life(tmp_path) as life:
            assert life.exporters.status() == []

    asyncio.run(scene())


def test_a_quiet_destination_rests_and_comes_back() -> None:
    """After an hour without a span it has neither loop nor connection, its books stay, and the next span wakes it."""

    async def scene() -> None:
        async with Life() as life:
            delivery = life.exporters.get(destination())
            life.send(delivery, "a")
            await asyncio.sleep(SUSPEND_SECONDS - 60)
            assert (life.states(), life.loops()) == ({"http://c:1": "ok"}, 1)
            await asyncio.sleep(120)
            assert (life.states(), life.loops()) == ({"http://c:1": "idle"}, 0)
            assert life.with_key("").closed == 1
            life.send(delivery, "b")
            await asyncio.sleep(1)

            assert (life.states(), life.loops()) == ({"http://c:1": "ok"}, 1)
            assert life.with_key("").accepted == ["a", "b"]
            assert life.metrics.value(SPANS.exported, destination="http://c:1") == 2

    virtual_time.run(scene())


def test_an_internal_error_does_not_end_the_maintenance(caplog: pytest.LogCaptureFixture) -> None:
    """A quiet destination rests at the next look."""

    async def scene() -> None:
        async with Life() as life:
            life.exporters.get(destination())
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(life.exporters, "_suspend_idle", None)  # which cannot be called
                await asyncio.sleep(SUSPEND_SECONDS + 60)
                assert "internal error in exporters" in caplog.text
                assert life.loops() == 1
            await asyncio.sleep(60)

            assert life.loops() == 0

    virtual_time.run(scene())


def test_a_configuration_wakes_its_destination() -> None:
    """A configuration that names it applies before any span comes."""

    async def scene() -> None:
        async with Life() as life:
            life.exporters.get(destination())
            await asyncio.sleep(SUSPEND_SECONDS + 60)
            assert life.states() == {"http://c:1": "idle"}
            life.exporters.get(destination(batch_export={"spool_max_bytes": 2 << 20}))
            await asyncio.sleep(0)

            (status,) = life.exporters.status()
            assert (status["state"], status["spool_max_bytes"]) == ("ok", 2 << 20)

    virtual_time.run(scene())


def test_a_destination_that_spans_wait_for_does_not_rest() -> None:
    """However long its collector is away; and then an hour more."""

    async def scene() -> None:
        async with Life() as life:
            life.with_key("").answer = lambda _: DOWN
            life.send(life.exporters.get(destination()), "a")
            await asyncio.sleep(3 * SUSPEND_SECONDS)
            assert life.states() == {"http://c:1": "retrying"}
            life.with_key("").answer = lambda _: OK
            await asyncio.sleep(SUSPEND_SECONDS - 60)
            assert life.states() == {"http://c:1": "ok"}
            await asyncio.sleep(120)

            assert life.states() == {"http://c:1": "idle"}
            assert life.with_key("").accepted == ["a"]

    virtual_time.run(scene())


def test_a_destination_at_rest_is_not_failing() -> None:
    """With no span waiting, an hour-old failure is not reported."""

    async def scene() -> None:
        async with Life() as life:
            life.with_key("").answer = lambda _: DOWN
            life.send(life.exporters.get(destination(batch_export={"max_retry_time": 60})), "a")
            await asyncio.sleep(SUSPEND_SECONDS + 300)

            (status,) = life.exporters.status()
            assert (status["state"], status["reason"], status["failing_s"]) == ("idle", "", None)
            assert status["dropped"] == {"retry_expired": 1}

    virtual_time.run(scene())


def test_a_key_that_was_changed_leaves_nothing_but_its_counts() -> None:
    """The endpoint has one row, and its counters continue."""

    async def scene() -> None:
        async with Life() as life:
            for number in range(5):
                life.send(life.exporters.get(destination(f"key {number}")), f"{number}")
                await asyncio.sleep(SUSPEND_SECONDS / 2)
            await asyncio.sleep(SUSPEND_SECONDS / 4)

            assert len(life.exporters.status()) <= 2
            assert life.metrics.value(SPANS.received, destination="http://c:1") == 5
            assert len(life.metrics._readers[SPANS.spooled.name, "http://c:1"]) <= 2
            await asyncio.sleep(SUSPEND_SECONDS)
            assert life.states() == {"http://c:1": "idle"}
            life.send(life.exporters.get(destination("key 5")), "5")
            await asyncio.sleep(1)
            assert life.states() == {"http://c:1": "ok"}
            assert life.metrics.value(SPANS.exported, destination="http://c:1") == 6

    virtual_time.run(scene())


def test_the_books_of_the_last_endpoints_at_rest_are_kept() -> None:
    """Those of the others leave page and /metrics together, and begin with 0 if they return."""
    endpoints = [f"http://c{number}:1" for number in range(MAX_SUSPENDED + 8)]

    async def scene() -> None:
        async with Life() as life:
            first = destination(endpoint=endpoints[0])
            for endpoint in endpoints:
                life.send(life.exporters.get(destination(endpoint=endpoint)), "a")
                await asyncio.sleep(20)
            await asyncio.sleep(SUSPEND_SECONDS + 60)
            exported = [
                life.metrics.registry.get_sample_value(SPANS.exported.name, {"destination": one}) for one in endpoints
            ]

            assert list(life.states()) == endpoints[8:]
            assert exported == [None] * 8 + [1] * MAX_SUSPENDED
            life.exporters.submit(first, [encoded("b")], 0)
            life.exporters.save(b"sender", 1)
            await asyncio.sleep(1)
            assert life.states()[endpoints[0]] == "ok"
            assert life.metrics.value(SPANS.exported, destination=endpoints[0]) == 1

    virtual_time.run(scene())


def test_destinations_without_end_are_not_all_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations that change every second leave a bounded number of loops and connections."""
    awake, known = 20, 5
    monkeypatch.setattr("otlp_tracing.sidecar.export.exporters.MAX_IDLE", awake)
    monkeypatch.setattr("otlp_tracing.sidecar.export.exporters.MAX_SUSPENDED", known)

    async def scene() -> None:
        async with Life() as life:
            for number in range(2 * awake):
                life.send(life.exporters.get(destination(f"{number}", endpoint=f"http://c{number}:1")), "a")
                await asyncio.sleep(1)
            await asyncio.sleep(20)

            assert life.loops() == awake
            assert len(life.states()) == awake + known
            assert sum(transport.closed for transport in life.transports.values()) == awake
            assert life.states()[f"http://c{2 * awake - 1}:1"] == "ok"

    virtual_time.run(scene())


def test_a_destination_that_is_forgotten_leaves_nothing_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entry in the file is deleted, except the last one; when it returns each of its spans is sent once."""
    monkeypatch.setattr("otlp_tracing.sidecar.export.exporters._CHECK_SECONDS", 0.02)
    monkeypatch.setattr("otlp_tracing.sidecar.export.exporters.SUSPEND_SECONDS", 0.05)
    monkeypatch.setattr("otlp_tracing.sidecar.export.exporters.MAX_SUSPENDED", 1)
    names = [f"http://c{number}:1" for number in range(4)]

    async def scene() -> None:
        async with Life(tmp_path) as life:
            for turn in range(2):
                for number, endpoint in enumerate(names):
                    to = destination(f"{number}", endpoint=endpoint)
                    life.send(life.exporters.get(to), f"{turn}")
                await until(lambda: len(life.exporters.status()) == 1)
            await life.exporters.spool.load(0, 0, 1, [])
            assert [life.with_key(str(number)).accepted for number in range(4)] == [["0", "1"]] * 4
            assert life.exporters.spool._writer is not None
            known = await life.exporters.spool._writer.read(lambda database: database.destinations())
            assert 1 <= len(known) <= 2
            assert all(not one.batches for one in known)

    asyncio.run(scene())


async def test_log_records_wait_in_the_spool_as_spans_do(tmp_path: Path) -> None:
    """After a restart they are sent as log records, and counted apart from the spans of the same endpoint."""
    sent: list[tuple[str, bytes]] = []

    class Collector(ScriptedTransport):
        def __init__(self, signal: str) -> None:
            super().__init__(lambda _: OK)
            self._signal = signal

        async def export(self, request: bytes) -> ExportResult:
            sent.append((self._signal, request))
            return OK

    settings = Settings.from_config({"endpoint": "http://c:1"})
    traces, logs = (Destination.from_settings(settings, {}, signal=signal) for signal in ("traces", "logs"))
    exporters = ExporterRegistry(Metrics(), {}, tmp_path, lambda _: _Down())
    await exporters.spool.start(5)
    exporters.submit(traces, [encoded("span")], 0)
    exporters.submit(logs, [encoded("record"), encoded("record")], 0)
    saved = exporters.save(b"w", 1)
    assert saved is not None
    await saved
    await exporters.close(0)
    metrics = Metrics()
    exporters = ExporterRegistry(metrics, {}, tmp_path, lambda to: Collector(to.signal))
    await exporters.spool.start(5)
    rows = {row["signal"]: row for row in exporters.status()}
    await exporters.close(5)

    assert {signal: (row["restored"], row["balance"]) for signal, row in rows.items()} == {
        "traces": (1, 0),
        "logs": (2, 0),
    }
    assert sorted((signal, request.count(b"record")) for signal, request in sent) == [("logs", 2), ("traces", 0)]
    assert metrics.value(LOG_RECORDS.exported, destination="http://c:1 (logs)") == 2
    assert metrics.value(SPANS.exported, destination="http://c:1") == 1


class _Down(ScriptedTransport):
    def __init__(self) -> None:
        super().__init__(lambda _: DOWN)

"""Promises of sidecar/entries/registry.py."""

from __future__ import annotations

import json
import logging

import pytest

import entry_stage
from otlp_tracing.errors import ConfigError, Fault
from otlp_tracing.metrics import RECORDS_REFUSED
from otlp_tracing.sidecar.entries.entry import Entry
from otlp_tracing.sidecar.entries.faulty_entries import FaultyEntry
from otlp_tracing.sidecar.entries.registry import EntryRegistry
from otlp_tracing.sidecar.ingest.log_record import LogRecord, Route
from otlp_tracing.sidecar.telemetry.registry import Metrics


class Holder:
    """Notes the entries that it is told to forget."""

    def __init__(self) -> None:
        self.forgotten: list[bytes] = []

    def forget(self, key: bytes) -> None:
        self.forgotten.append(key)


class Registry:
    """A registry of two entries at most, with real entries."""

    def __init__(self) -> None:
        self.metrics, self.holder, self.built = Metrics(), Holder(), 0
        self.registry = EntryRegistry(self.metrics, self._build, [self.holder], max_entries=2)

    def _build(self, _: bytes, config: bytes) -> Entry:
        self.built += 1
        if config == b"invalid":
            raise ConfigError([Fault("endpoint", "x", "is no address")])
        return entry_stage.built(json.loads(config))[0]

    @property
    def refused(self) -> float:
        return self.metrics.value(RECORDS_REFUSED, reason="bad_configuration") or 0


def test_an_entry_in_use_is_not_forgotten_for_new_ones() -> None:
    """Of too many configurations the least recently used is evicted; it is then unknown, and its holders hear of it."""
    stage = Registry()
    for key in (b"1", b"2", b"3"):
        stage.registry.use(b"1")
        stage.registry.configure(key, b"{}")

    assert [stage.registry.knows(key) for key in (b"1", b"2", b"3")] == [True, False, True]
    assert stage.holder.forgotten == [b"2"]


def test_an_announced_entry_is_built_once() -> None:
    """A worker announces its entries to each new sidecar, and each worker does."""
    stage = Registry()
    for _ in range(3):
        stage.registry.configure(b"1", b"{}")

    assert stage.built == 1
    assert stage.registry.use(b"1") is stage.registry.use(b"1")


def test_an_invalid_entry_is_logged_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is known, so that it is not asked for again, and has no entry."""
    stage = Registry()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            stage.registry.configure(b"1", b"invalid")

    assert (stage.registry.knows(b"1"), stage.registry.use(b"1"), stage.refused) == (True, None, 1)
    (line,) = caplog.messages
    assert line.startswith("invalid configuration, tracing disabled for this entry: endpoint")


def test_the_entry_announced_last_applies_to_a_scope() -> None:
    """A record that names no entry has that of its route; a second announcement of an entry counts too."""
    stage = Registry()
    log = LogRecord(route=Route(id="r"))
    for key in (b"1", b"2", b"1"):
        stage.registry.configure(key, b'{"route_id": "r"}')

    assert stage.registry.in_scope(log) == b"1"
    assert stage.registry.in_scope(LogRecord()) is None


def faults(registry: EntryRegistry) -> list[tuple[str, str, bool, list[str]]]:
    return [(one["entry"], one["route"], one["traces"], one["faults"]) for one in registry.faulty_entries()]


def test_an_entry_that_traces_nothing_is_reported_until_it_is_corrected() -> None:
    """Also if the sidecar or a worker refused it, and if its configuration is one that was announced before."""
    registry = Registry().registry
    good, bad = b'{"route_id": "r"}', b'{"__plugin_id": "p", "route_id": "r", "endpoint": "ftp://c"}'
    registry.configure(b"1", bad)
    ((name, route, traces, (fault,)),) = faults(registry)
    registry.configure(b"2", good)
    seen = [faults(registry)]
    registry.use(b"1")
    seen.append(faults(registry))
    registry.use(b"2")
    seen.append(faults(registry))
    registry.refuse(FaultyEntry("p", ("r", ""), ["headers: no value"]))
    seen.append(faults(registry))
    registry.use(b"2")

    assert (name, route, traces) == ("p", "r", False)
    assert fault.startswith('endpoint = "ftp://c": must be http://')
    assert seen == [[], [("p", "r", False, [fault])], [], [("p", "r", False, ["headers: no value"])]]
    assert faults(registry) == []


def test_a_part_that_is_left_out_is_reported() -> None:
    """The entry traces, and its report has the field."""
    registry = Registry().registry
    registry.configure(b"1", b'{"__plugin_id": "p", "span": {"name": "{url.pth}"}}')
    ((name, route, traces, (fault,)),) = faults(registry)

    assert (name, route, traces) == ("p", "", True)
    assert fault.startswith("this part of the spans is left out: span.name = ")


def test_a_configuration_that_is_no_json_is_reported_without_ids() -> None:
    """Another program may have sent it."""
    registry = Registry().registry
    registry.configure(b"1", b"{")

    assert [(name, route) for name, route, _, _ in faults(registry)] == [("", "")]


@pytest.mark.parametrize("config", [b"\xff", b"null", b"[]", b"5"])
def test_a_configuration_that_is_no_object_is_refused(config: bytes) -> None:
    """It costs its entry alone, and no connection."""
    stage = Registry()
    stage.registry.configure(b"1", config)

    assert stage.registry.use(b"1") is None
    assert stage.refused == 1

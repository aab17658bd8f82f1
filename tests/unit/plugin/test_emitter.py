"""Promises of plugin/emitter.py, held against a socket that a test answers on."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doubles import ManualClock
from otlp_tracing.config.settings import Budget, Load, Sampling
from otlp_tracing.handoff.frames import (
    Ack,
    Config,
    Decoder,
    Frame,
    Hello,
    Policy,
    Rates,
    Record,
    Refused,
    Totals,
    Warnings,
    encode,
)
from otlp_tracing.logs.lines import LogLine, WarningBuffer
from otlp_tracing.metrics import EVENTS_FAILED
from otlp_tracing.plugin.emitter import Emitter, Origin

ORIGIN = Origin.of({"endpoint": "http://collector:4317"})


class Sidecar:
    """The other end of the socket, driven by the test: a double of the receiver."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(60)

    def accept(self) -> None:
        self.connection, _ = self._listener.accept()
        self.connection.settimeout(5)
        self._decoder = Decoder()

    def read(self) -> list[Frame]:
        return list(self._decoder.feed(self.connection.recv(1 << 20)))

    def acknowledge(self, number: int) -> None:
        self.connection.sendall(encode(Ack(number)))

    def close(self) -> None:
        self.connection.close()
        self._listener.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.sock"


@pytest.fixture
def sidecar(path: Path) -> Iterator[Sidecar]:
    sidecar = Sidecar(path)
    yield sidecar
    sidecar.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def emitter(path: Path, clock: ManualClock) -> Iterator[Emitter]:
    emitter = Emitter(path, clock)
    yield emitter
    emitter.close()


def records(frames: list[Frame]) -> list[tuple[int, bytes]]:
    return [(frame.number, frame.log) for frame in frames if isinstance(frame, Record)]


def untraced(emitter: Emitter) -> dict[str, int]:
    return {labels[0]: value for name, labels, value in emitter.counters.totals() if "untraced" in name}


def test_records_arrive_after_their_configuration(sidecar: Sidecar, emitter: Emitter) -> None:
    """A greeting first, each configuration once, then the records in order."""
    emitter.submit(ORIGIN, b"one")
    emitter.submit(ORIGIN, b"two")
    emitter.pump()
    sidecar.accept()
    frames = sidecar.read()

    assert isinstance(frames[0], Hello)
    assert [frame.key for frame in frames if isinstance(frame, Config)] == [ORIGIN.key]
    assert records(frames) == [(1, b"one"), (2, b"two")]


def test_warnings_travel_with_the_counts(sidecar: Sidecar, path: Path, clock: ManualClock) -> None:
    """At most ten lines a second reach the sidecar; the others wait."""
    warnings = WarningBuffer()
    warnings.give_back([LogLine(float(number), "worker 0", "WARNING", "otlp_tracing", "text") for number in range(12)])
    emitter = Emitter(path, clock, warnings=warnings)
    emitter.pump()
    sidecar.accept()
    first = [frame for frame in sidecar.read() if isinstance(frame, Warnings)]
    clock.now += 1
    emitter.pump()
    second = [frame for frame in sidecar.read() if isinstance(frame, Warnings)]
    emitter.close()

    assert [[line.at for line in frame.lines] for frame in [*first, *second]] == [list(range(10)), [10, 11]]


def test_an_entry_is_announced_without_a_record(sidecar: Sidecar, emitter: Emitter, clock: ManualClock) -> None:
    """Once a connection, and again to a sidecar that is new: a record of Kong's own queue names its entry alone."""
    later = Origin.of({"endpoint": "http://other:4317"})
    announced, urgent = [], []
    emitter.announce(ORIGIN)
    for _ in range(2):
        clock.now += 1
        emitter.pump()
        sidecar.accept()
        emitter.announce(later)
        emitter.announce(ORIGIN)
        urgent.append(emitter.urgency() is not None)
        emitter.submit(ORIGIN, b"one")
        emitter.pump()
        announced.append([frame.key for frame in sidecar.read() if isinstance(frame, Config)])
        sidecar.connection.close()
        emitter.pump()

    assert announced == [[ORIGIN.key, later.key], [later.key, ORIGIN.key]]
    assert urgent == [True, False]


def test_an_entry_that_is_refused_again_is_told_again(sidecar: Sidecar, emitter: Emitter) -> None:
    """It may have worked between, which its records have shown to the sidecar."""
    refused = Origin.refused({"__plugin_id": "p"}, ["endpoint: is no address"])
    told = []
    emitter.pump()
    sidecar.accept()
    for _ in range(2):
        emitter.refuse(refused)
        emitter.pump()
        told.append([frame for frame in sidecar.read() if isinstance(frame, Refused)])

    assert told == [[Refused("p", "", "", ["endpoint: is no address"])]] * 2


def test_announcements_wait_for_no_sidecar(path: Path, clock: ManualClock) -> None:
    """The end of a process is not delayed for them, before the sidecar has come and after it has gone."""
    emitter = Emitter(path, clock)
    emitter.announce(ORIGIN)
    first = emitter.drain(0)
    sidecar = Sidecar(path)
    clock.now += 1
    emitter.pump()
    sidecar.accept()
    sidecar.close()
    path.unlink()
    emitter.announce(Origin.of({"endpoint": "http://other:4317"}))
    emitter.pump()
    second = emitter.drain(0)
    emitter.close()

    assert (first, second) == (True, True)


def test_what_is_not_acknowledged_is_sent_again(sidecar: Sidecar, emitter: Emitter, clock: ManualClock) -> None:
    """A connection that breaks loses nothing: the rest is repeated on the next one, in order."""
    for log in (b"one", b"two", b"three"):
        emitter.submit(ORIGIN, log)
    emitter.pump()
    sidecar.accept()
    sidecar.read()
    sidecar.acknowledge(1)
    emitter.pump()
    sidecar.connection.close()
    emitter.submit(ORIGIN, b"four")
    emitter.pump()
    clock.now += 1
    emitter.pump()
    sidecar.accept()

    assert records(sidecar.read()) == [(2, b"two"), (3, b"three"), (4, b"four")]


def test_a_missing_sidecar_is_never_waited_for(emitter: Emitter) -> None:
    """Without a socket to connect to, records are kept."""
    emitter.submit(ORIGIN, b"one")
    emitter.pump()

    assert "1 waiting" in repr(emitter)


def test_a_stopped_sidecar_is_never_waited_for(sidecar: Sidecar, emitter: Emitter) -> None:
    """A sidecar that reads nothing fills the kernel's buffer, and then the ring; no call blocks."""
    for _ in range(100):
        emitter.submit(ORIGIN, b"x" * 10_000)
        emitter.pump()
    sidecar.accept()

    assert "0 waiting" not in repr(emitter)
    assert untraced(emitter) == {}


def test_a_full_ring_gives_up_its_oldest(sidecar: Sidecar, path: Path, clock: ManualClock) -> None:
    """Memory is bounded, and dropped records are counted."""
    emitter = Emitter(path, clock, max_ring_bytes=1000)
    for number in range(10):
        emitter.submit(ORIGIN, b"%d" % number * 170)
    emitter.pump()
    sidecar.accept()
    kept = [log[:1] for _, log in records(sidecar.read())]
    emitter.close()

    assert kept == [b"5", b"6", b"7", b"8", b"9"]
    assert untraced(emitter) == {"queue_full": 5}


def test_a_record_too_large_is_counted(emitter: Emitter) -> None:
    """A record that no frame can hold is given up alone."""
    emitter.submit(ORIGIN, b"x" * (1 << 20))

    assert untraced(emitter) == {"record_too_large": 1}
    assert "0 waiting" in repr(emitter)


def test_totals_are_reported(sidecar: Sidecar, emitter: Emitter) -> None:
    """The sidecar gets the counters, even without a record."""
    emitter.counters.add(EVENTS_FAILED, "access", amount=3)
    emitter.pump()
    sidecar.accept()
    totals = [frame for frame in sidecar.read() if isinstance(frame, Totals)]

    assert totals == [Totals([(EVENTS_FAILED.name, ("access",), 3)])]


def test_totals_are_reported_again_when_they_change(sidecar: Sidecar, emitter: Emitter, clock: ManualClock) -> None:
    """At rest the sidecar is not woken up, and a sidecar that is new gets them once more."""

    def reported() -> list[int]:
        clock.now += 2
        emitter.pump()
        sidecar.connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return [frame.totals[0][2] for frame in sidecar.read() if isinstance(frame, Totals)]
        return []

    emitter.counters.add(EVENTS_FAILED, "access")
    emitter.pump()
    sidecar.accept()
    assert (reported(), reported()) == ([1], [])
    emitter.counters.add(EVENTS_FAILED, "access")
    assert (reported(), reported()) == ([2], [])
    emitter.close()
    sidecar.connection.close()
    clock.now += 2
    emitter.pump()
    sidecar.accept()
    assert reported() == [2]


def test_rates_reach_the_entry_that_they_are_for(sidecar: Sidecar, emitter: Emitter) -> None:
    """All instances of an entry in a process share one allowance; of others nothing is changed."""
    settings = Sampling(1.0, "follow", load=Load(0.8))
    other = Origin.of({"endpoint": "http://collector:4317", "__plugin_id": "another"})
    first, second = emitter.allowance(ORIGIN, settings), emitter.allowance(ORIGIN, settings)
    unlike = emitter.allowance(other, settings)
    emitter.pump()
    sidecar.accept()
    sidecar.connection.sendall(encode(Rates(ORIGIN.key, 0.5, [])) + encode(Rates(b"unknown entry!!!", 0.1, [])))
    emitter.pump()

    assert first is not None
    assert unlike is not None
    assert first is second
    assert first.take("", 1.0) == (0.5, "load")
    assert unlike.take("", 1.0) == (1.0, "")


def test_rates_last_while_the_sidecar_is_away(sidecar: Sidecar, emitter: Emitter, clock: ManualClock) -> None:
    """A lost connection changes nothing about the rates."""
    allowance = emitter.allowance(ORIGIN, Sampling(1.0, "follow", load=Load(0.8)))
    emitter.pump()
    sidecar.accept()
    sidecar.connection.sendall(encode(Rates(ORIGIN.key, 0.25, [])))
    emitter.pump()
    sidecar.close()
    for _ in range(100):
        clock.now += 1
        emitter.pump()

    assert allowance is not None
    assert allowance.take("", 1.0) == (0.25, "load")


def test_a_policy_lasts_until_the_next_good_one(sidecar: Sidecar, emitter: Emitter) -> None:
    """One that cannot work is logged, and neither the policy nor the connection is lost."""
    emitter.pump()
    sidecar.accept()
    for rules in (b'[{"name":"a","paths":["/a"],"rate":0}]', b'[{"name":"b","paths":["~("],"rate":0}]', b"{"):
        sidecar.connection.sendall(encode(Policy(rules)))
        emitter.pump()

        assert [rule.name for rule in emitter.policy.rules.rules] == ["a"]
    sidecar.connection.sendall(encode(Policy(b"[]")))
    emitter.pump()

    assert emitter.policy.rules.rules == ()


def test_a_policy_that_each_connection_brings_does_not_fill_the_log(
    sidecar: Sidecar, emitter: Emitter, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A sidecar that cannot serve may end every connection: the log has a line in ten seconds."""
    for _ in range(15):
        emitter.pump()
        sidecar.accept()
        sidecar.connection.sendall(encode(Policy(b"{")))
        emitter.pump()
        sidecar.connection.close()
        emitter.pump()
        clock.now += 1

    first, second = (line for line in caplog.messages if line.startswith("policy refused"))
    assert not first.endswith("more like it before)")
    assert second.endswith(" (and 9 more like it before)")


def test_rates_that_stand_still_need_no_allowance(emitter: Emitter) -> None:
    """Without a budget and a bound on the load nothing is asked on the path of a request."""
    assert emitter.allowance(ORIGIN, Sampling(0.5, "follow")) is None
    assert emitter.allowance(ORIGIN, Sampling(0.5, "follow", budget=Budget(5))) is not None


def test_garbage_from_the_sidecar_ends_the_connection(sidecar: Sidecar, emitter: Emitter, clock: ManualClock) -> None:
    """A peer that does not speak the protocol is left, and tried again."""
    emitter.pump()
    sidecar.accept()
    sidecar.connection.sendall(b"\xff" * 100)
    emitter.pump()
    assert "not connected" in repr(emitter)

    clock.now += 1
    emitter.pump()

    assert "not connected" not in repr(emitter)


def test_only_a_lasting_absence_is_said(emitter: Emitter, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """A sidecar that starts beside us is no news; one that stays away is said once."""
    emitter.pump()
    assert not caplog.records

    for _ in range(10):
        clock.now += 1
        emitter.pump()

    assert len(caplog.records) == 1


def test_draining_waits_for_the_acknowledgement(sidecar: Sidecar, path: Path) -> None:
    """At the end of a process, written is not delivered."""
    emitter = Emitter(path)
    emitter.submit(ORIGIN, b"one")

    assert not emitter.drain(0.02)
    sidecar.accept()
    sidecar.acknowledge(1)
    assert emitter.drain(5)
    emitter.close()


def test_what_is_written_is_not_given_up(sidecar: Sidecar, path: Path, clock: ManualClock) -> None:
    """A full ring drops records that have not been written: a written one may still be read, and would arrive although
    it is counted as lost.
    """
    emitter = Emitter(path, clock, max_ring_bytes=300)
    emitter.submit(ORIGIN, b"written" + b"x" * 100)
    emitter.pump()
    sidecar.accept()
    for _ in range(4):
        emitter.submit(ORIGIN, b"waiting" + b"x" * 100)
    emitter.pump()
    numbers = [number for number, _ in records(sidecar.read())]
    emitter.close()

    assert numbers == [1, 5]
    assert untraced(emitter) == {"queue_full": 3}


def test_a_sidecar_that_starts_is_no_warning(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """On a busy machine it takes some seconds; after ten the log has one line, in plain words."""
    emitter = Emitter(tmp_path / "none.sock", clock)
    for _ in range(4):
        emitter.pump()
        clock.now += 3.0
    assert caplog.messages == []
    for _ in range(4):
        emitter.pump()
        clock.now += 3.0
    emitter.close()

    (line,) = caplog.messages
    assert line.endswith("none.sock: No such file or directory; records are kept and sent later")


def test_an_internal_error_does_not_end_the_hand_over(sidecar: Sidecar, path: Path) -> None:
    """In a server with another loop the thread logs it and connects a moment later."""
    script = """
import sys, time
from pathlib import Path
from otlp_tracing.plugin.emitter import Emitter, start_pump_thread
calls = []
def clock():
    calls.append(1)
    if len(calls) == 1:
        raise ValueError
    return time.monotonic()
start_pump_thread(Emitter(Path(sys.argv[1]), clock), 0.001)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        sidecar.accept()
        _, log = process.communicate()

    assert b"internal error, records not handed over" in log

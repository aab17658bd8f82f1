"""Processes that send invalid frames to the sidecar: each is closed, costs nothing, and affects no other."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from e2e.metrics import samples
from e2e.waiting import wait_for
from faults.delivery.scene import Scene
from faults.delivery.stalls import Stopwatch
from otlp_tracing.handoff.frames import VERSION, Config, Hello, Record, encode

pytestmark = pytest.mark.timeout(3600)

_CLOSED_SECONDS = 1.0
_LORIS_SECONDS = 5.0
_MAX_GROWTH_BYTES = 8 << 20
_MAX_CONFIGURED_BYTES = 40 << 20  # 4,096 plugin entries, the most that are remembered
_HELLO = encode(Hello(VERSION, b"hostile!"))

Seconds = Callable[[float, float], float]


def _frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def _message(*fields: object) -> bytes:
    return _frame(msgpack.packb(fields))


HOSTILE: dict[str, bytes] = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: sidecar\r\n\r\n",
    "a frame of 4 GiB": b"\xff\xff\xff\xff",
    "a frame of 4 GiB after a greeting": _HELLO + b"\xff\xff\xff\xff" + bytes(1 << 20),
    "a frame over the limit": _HELLO + struct.pack(">I", (1 << 20) + 1),
    "an empty frame": _HELLO + _frame(b""),
    "an array of 4 G": _HELLO + _frame(b"\xdd\xff\xff\xff\xff"),
    "a map of 4 G": _HELLO + _frame(b"\xdf\xff\xff\xff\xff"),
    "a string of 4 G": _HELLO + _frame(b"\xdb\xff\xff\xff\xff"),
    "a million empty maps": _HELLO + _frame(b"\xdd\x00\x0f\xff\x00" + b"\x80" * 0xFFF00),
    "deep nesting": _HELLO + _frame(b"\x91" * 100_000),
    "less deep nesting": _HELLO + _frame(b"\x91" * 600),
    "an extension": _HELLO + _frame(b"\xc7\x04\x05abcd"),
    "a timestamp": _HELLO + _frame(msgpack.packb([2, msgpack.Timestamp(1, 2), b"k" * 16, b"{}"])),
    "a pickle": _HELLO
    + _frame(b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93."),
    "a reserved byte": _HELLO + _frame(b"\xc1"),
    "no array": _HELLO + _frame(msgpack.packb({"a": 1})),
    "an unknown kind": _HELLO + _message(77, b""),
    "too few fields": _HELLO + _message(2, 1),
    "fields of wrong types": _HELLO + _message(2, "1", b"k" * 16, b"{}"),
    "a negative number": _HELLO + _message(2, -1, b"k" * 16, b"{}"),
    "a key too short": _HELLO + _message(1, b"k", b"{}"),
    "a record before the greeting": encode(Record(1, b"k" * 16, b"{}")),
    "an acknowledgement and nothing": _message(4, 2**63) + _message(4),
    "a version that never was": _message(0, 0, b"hostile!"),
    "two messages in a frame": _HELLO + _frame(msgpack.packb([4, 1]) * 2),
    "text that is no UTF-8": _HELLO + _frame(b"\x92\x03\x91\x93\xa2\xff\xfe\x90\x01"),
}


@contextlib.contextmanager
def _connection(scene: Scene) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(scene.sidecar.socket))  # without a time limit it waits for its turn
        connection.settimeout(60)
        yield connection


def _seconds_until_closed(scene: Scene, connection: socket.socket) -> float:
    stopwatch = Stopwatch(scene.sidecar.pid)
    with contextlib.suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass
    return stopwatch.read()


@contextlib.contextmanager
def _undisturbed(scene: Scene, max_growth_bytes: int = _MAX_GROWTH_BYTES) -> Iterator[None]:
    """Hold that another process's requests arrive meanwhile, and that memory and descriptors do not grow."""
    for _ in range(3):
        scene.send(1000)  # records that a pause of this process lets it send at once are not growth later
        scene.wait_until_delivered()
    before = scene.sidecar.figures()
    with scene.producer.sending(100):
        yield
        number = scene.run.issued
        wait_for(lambda: scene.ledger.has(scene.run, number), 60, "others are served")
    wait_for(lambda: scene.sidecar.figures().descriptors <= before.descriptors + 2, 60, "no connection is left over")
    after = scene.sidecar.figures()

    scene.assert_conserved(max_repeated=0)
    assert scene.producer.slowest_call_s < 0.25
    assert after.resident_bytes - before.resident_bytes <= max_growth_bytes


def test_hostile_frames_close_their_connection(scene: Scene, pause_s: float) -> None:
    """Fault 29: a connection that breaks the protocol is closed within a second, and the sidecar does not grow by it.

    The bound holds on a shared machine too, because it is less than the three seconds after which silence is closed.
    """
    open_after = {}
    with _undisturbed(scene):
        for name, data in HOSTILE.items():
            with _connection(scene) as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(data)
                took = _seconds_until_closed(scene, connection)
                if took > _CLOSED_SECONDS + pause_s:
                    open_after[name] = took

    assert open_after == {}
    assert samples(scene.sidecar.url, "otlp_tracing_records_refused_total", reason="bad_frame") == len(HOSTILE)


def test_random_bytes(scene: Scene, rounds: int) -> None:
    """Fault 29: random bytes, with and without a greeting, disturb no other process."""
    source = random.Random(29)
    with _undisturbed(scene):
        for number in range(50 * rounds):
            with _connection(scene) as connection, contextlib.suppress(OSError):
                body = source.randbytes(source.randrange(1, 3000))
                connection.sendall((_HELLO if number % 2 else b"") + (_frame(body) if number % 3 else body))


def test_unfinished_frames_are_not_waited_for(scene: Scene, pause_s: float) -> None:
    """Fault 29: a sender of a byte a second, or one that begins and falls silent, is closed after at most five
    seconds.
    """
    with _undisturbed(scene), contextlib.ExitStack() as stack:
        stopwatch = Stopwatch(scene.sidecar.pid)
        waiting = {stack.enter_context(_connection(scene)): name for name in ("slow", "silent", "mute")}
        slow, silent, _mute = waiting
        silent.sendall(_HELLO + b"\x00\x00\x10\x00abc")
        took: dict[str, float] = {}
        rest = iter(_HELLO[:4] + b"\x00\x00\x10\x00" + bytes(100))
        while waiting:
            with contextlib.suppress(ConnectionError):
                if slow in waiting:
                    slow.sendall(bytes((next(rest),)))
            closed, _, _ = select.select(list(waiting), [], [], 1.0)  # the fault's pace: a byte a second
            for connection in closed:
                took[waiting.pop(connection)] = stopwatch.read()

    assert max(took.values()) <= _LORIS_SECONDS + pause_s, took


def test_many_claims_take_no_memory(scene: Scene, seconds: Seconds) -> None:
    """Fault 29: a length is a claim: a hundred announced mebibytes take no memory."""
    with _undisturbed(scene), contextlib.ExitStack() as stack:
        for _ in range(int(seconds(1000, 100))):
            stack.enter_context(_connection(scene)).sendall(_HELLO + struct.pack(">I", 1 << 20) + b"x" * 1000)
        stack.close()


def test_unknown_and_endless_configurations(scene: Scene) -> None:
    """Fault 29: configurations without end take bounded memory and push out none in use; a record of none is closed."""
    with _undisturbed(scene, _MAX_CONFIGURED_BYTES), _connection(scene) as connection:
        connection.sendall(_HELLO)
        for number in range(4_200):
            connection.sendall(encode(Config(number.to_bytes(16, "big"), b'{"endpoint": "http://127.0.0.1:1"}')))
        connection.sendall(encode(Record(1, b"\xff" * 16, b"{}")))
        _seconds_until_closed(scene, connection)

    scene.send(1)
    scene.assert_conserved(max_repeated=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_not_listened_to(scene: Scene, folder: Path) -> None:
    """Fault 29: with every permission on the way, a process of another user is closed before it is read."""
    run = scene.sidecar.socket.parent
    for parent in (run, folder, *folder.parents[:-1]):
        if parent.stat().st_uid == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    scene.sidecar.socket.chmod(0o777)
    code = (
        "import os, socket, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        "s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]); print('connected', s.recv(1))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(scene.sidecar.socket)], check=True, capture_output=True, text=True
    )

    assert done.stdout == "connected b''\n"
    assert samples(scene.sidecar.url, "otlp_tracing_records_refused_total", reason="foreign_user") == 1

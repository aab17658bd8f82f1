"""Clients that do not speak the protocol: each is closed or left alone, and no other notices."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable

import msgpack
import pytest

from faults.plugin_server import Group
from faults.under_load import load_on, serves
from load.process_figures import figures

pytestmark = pytest.mark.timeout(300)

_CLOSED_SECONDS = 10.0
_MAX_GROWTH_BYTES = 32 << 20


def _pack(method: str, *arguments: object) -> bytes:
    packed: bytes = msgpack.packb([0, 1, method, list(arguments)])
    return packed


def _frame(message: bytes) -> bytes:
    return struct.pack("<I", len(message)) + message


GARBAGE: dict[str, dict[str, bytes]] = {
    "msgpack": {
        "HTTP": b"GET / HTTP/1.1\r\nHost: kong\r\n\r\n",
        "reserved byte": b"\x94\x00\xc1\xc1",
        "a string of 4 GB, as far as it is taken": b"\x94\x00\x01\xdb\xff\xff\xff\xff" + bytes(17 << 20),
        "an array of 4 G": b"\x94\x00\x01\xa1x\xdd\xff\xff\xff\xff",
        "a map of 4 G": b"\x94\x00\x01\xa1x\xdf\xff\xff\xff\xff",
        "deep nesting": b"\x94\x00\x01\xa1x" + b"\x91" * 5000,
        "a response": msgpack.packb([1, 1, None, {}]),
        "no array": msgpack.packb({"a": 1}),
        "an extension": b"\x94\x00\x01\xd4\x01\x00",
    },
    "protobuf": {
        "HTTP": b"GET / HTTP/1.1\r\nHost: kong\r\n\r\n",
        "a frame of 4 GB": b"\xff\xff\xff\xff",
        "a frame of 17 MB": struct.pack("<I", 17 << 20),
        "no message": _frame(b"\xff" * 20),
        "an empty frame": _frame(b""),
        "a field cut short": _frame(b"\x08\x01\xa2\x02\x7f"),
        "an unknown instance": _frame(b"\x08\x01\xa2\x02\x0a\x08\xff\xff\xff\x07\x12\x03log"),
        "an unknown plugin": _frame(b"\x08\x01\x8a\x02\x06\x0a\x04nope"),
    },
}
REFUSED = {
    "a private method": _pack("plugin.__init__", {}),
    "another object": _pack("os.system", "true"),
    "no arguments": _pack("plugin.HandleEvent"),
    "arguments of a wrong kind": _pack("plugin.HandleEvent", [1, 2]),
    "too many arguments": _pack("plugin.StartInstance", 1, 2, 3),
    "a private phase": _pack("plugin.HandleEvent", {"InstanceId": 1, "EventName": "__init__"}),
    "an event nobody started": _pack("plugin.Step", {"EventId": 7}),
    "a number too large": _pack("plugin.Step", {"EventId": 2**63}),
    "a configuration that is no JSON": _pack("plugin.StartInstance", {"Name": "otlp-tracing", "Config": "{"}),
    "a configuration of a wrong kind": _pack("plugin.StartInstance", {"Name": "otlp-tracing", "Config": "[]"}),
}


def _connect(group: Group) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_CLOSED_SECONDS)
    connection.connect(str(group.socket))
    return connection


def _is_closed(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        return connection.recv(1 << 16) == b""
    return True


def test_garbage_is_closed_and_touches_nobody(group: Group) -> None:
    """A connection that breaks the protocol closes alone, whatever else happens."""
    with load_on(group) as load:
        for name, garbage in GARBAGE[group.protocol].items():
            with _connect(group) as connection:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(garbage)
                assert _is_closed(connection), name

    load.assert_untouched()
    serves(group)


def test_a_request_that_cannot_be_served_is_answered(group: Group) -> None:
    """Private methods and nonsense get an error that is a string, which lets Kong's client have its answer."""
    if group.protocol != "msgpack":
        pytest.skip("ProtoBuf has no method names and no errors")
    for name, request in REFUSED.items():
        with _connect(group) as connection:
            connection.sendall(request)
            _, _, error, _ = msgpack.unpackb(connection.recv(1 << 16))
            assert isinstance(error, str), name
            assert error, name

    serves(group)


def test_half_frames_and_random_bytes_cost_nothing(group: Group, rounds: int) -> None:
    """Connections that never finish a frame, or send anything at all, leave no memory and disturb no other."""
    source = random.Random(1)
    halves: dict[str, Callable[[], bytes]] = {
        "msgpack": lambda: _pack("plugin.HandleEvent", {"InstanceId": 1})[: source.randrange(1, 30)],
        "protobuf": lambda: _frame(b"x" * 100)[: source.randrange(1, 100)],
    }
    with load_on(group) as load, contextlib.ExitStack() as stack:
        for _ in range(10 * rounds):
            half = stack.enter_context(_connect(group))
            half.sendall(halves[group.protocol]())
            with _connect(group) as noise, contextlib.suppress(OSError):
                noise.sendall(source.randbytes(source.randrange(1, 5000)))
        stack.close()

    load.assert_untouched()
    serves(group)


def test_many_large_claims_take_no_memory(group: Group) -> None:
    """A length is a claim: nothing is set aside for it until the bytes are there."""
    workers = group.wait_until_whole()["worker"]
    before = {pid: figures(pid).resident_bytes for pid in workers}
    claim = {"msgpack": b"\x94\x00\x01\xdb\x00\xff\xff\xff", "protobuf": struct.pack("<I", 15 << 20)}[group.protocol]
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(_connect(group)).sendall(claim + b"x" * 1000)
        serves(group)
        after = {pid: figures(pid).resident_bytes for pid in workers}

    assert all(after[pid] - before[pid] < _MAX_GROWTH_BYTES for pid in workers)


def test_a_client_that_reads_nothing_blocks_nobody(group: Group) -> None:
    """A peer that asks and never reads is not waited for."""
    request = {
        "msgpack": _pack("plugin.NoSuchMethod", {}),
        "protobuf": _frame(b"\x08\x01\x92\x02\x02\x08\x01"),  # cmd_get_instance_status
    }[group.protocol]
    with load_on(group) as load, _connect(group) as deaf:
        deaf.setblocking(False)
        end = time.monotonic() + 2.0  # the fault lasts as long
        while time.monotonic() < end:
            with contextlib.suppress(BlockingIOError):
                deaf.send(request * 100)

    load.assert_untouched()
    serves(group)

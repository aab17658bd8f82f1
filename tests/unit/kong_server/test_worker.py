"""Promises of kong_server/worker.py, held over a real socket."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from kong_pdk.module import Module

from otlp_tracing.kong_server.fd_passing import WorkerPeers, create_inboxes
from otlp_tracing.kong_server.heartbeat import HeartbeatTable
from otlp_tracing.kong_server.instances import Calls, Instances
from otlp_tracing.kong_server.lifecycle import Lifecycle
from otlp_tracing.kong_server.protocol.msgpack_session import MsgPackEvents, MsgPackSession
from otlp_tracing.kong_server.worker import Worker
from otlp_tracing.unix_sockets import identity


class Echo:
    """A plugin that asks for one header and sends back its value."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    access = None  # which phases there are

    def access_calls(self) -> Calls:
        value, _ = yield "kong.request.get_header", "x"
        yield "kong.service.request.set_header", "x-echo", value


class module:  # noqa: N801  # what kong_pdk takes for a module
    Plugin = Echo


LATE_SECONDS = 0.3
NEVER_SECONDS = 3600.0  # nothing is late on a machine that stops for a moment


class Pumped:
    """A side channel that counts its turns."""

    def __init__(self) -> None:
        self.turns = 0
        self.stall = threading.Event()
        self.stalled = threading.Event()
        self.asked = threading.Event()

    def pump(self) -> float:
        self.turns += 1
        if self.stall.is_set():
            self.stall.clear()
            self.stalled.set()
            self.asked.wait(10)  # the stall begins for whatever was sent until now
            time.sleep(2 * LATE_SECONDS)
        return 0.05

    def urgency(self) -> float | None:
        return None


class Client:
    """One connection of Kong's."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._unpacker = msgpack.Unpacker(unicode_errors="surrogateescape")

    def call(self, method: str, argument: Any) -> Any:
        self.ask(method, argument)
        return self.read()

    def ask(self, method: str, argument: Any) -> None:
        self.socket.sendall(msgpack.packb([0, 1, method, [argument]], unicode_errors="surrogateescape"))

    def read(self) -> Any:
        while True:
            for _, _, error, result in self._unpacker:
                return error or result
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._unpacker.feed(data)


class Group:
    """Workers that share a socket, each in a thread of its own."""

    def __init__(
        self,
        folder: Path,
        slots: int,
        late_seconds: float = NEVER_SECONDS,
        before: Callable[[Group], None] = lambda _: None,
    ) -> None:
        self._late_seconds = late_seconds
        self.path = folder / "worker.socket"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.bound = identity(self.path)
        assert self.bound is not None
        self.pumped = Pumped()
        self.table = HeartbeatTable.create(slots)
        self.inboxes = create_inboxes(slots)
        self.instances = [Instances(Module("echo", module=module), slot) for slot in range(slots)]
        self.threads = [threading.Thread(target=lambda slot=slot: self.worker(slot).run()) for slot in range(slots)]
        before(self)
        for thread in self.threads:
            thread.start()
        end = time.monotonic() + 10
        while not self.table.is_full():
            assert time.monotonic() < end
            time.sleep(0.001)

    def worker(self, slot: int) -> Worker:
        assert self.bound is not None
        events = MsgPackEvents(self.instances[slot], slots=len(self.inboxes))
        return Worker(
            self.listener,
            WorkerPeers(slot, self.table, *map(list, zip(*self.inboxes, strict=True))),
            open_session=lambda _first, preferred_worker: MsgPackSession(events, preferred_worker),
            sweep=events.free_abandoned,
            background_task=self.pumped,
            lifecycle=Lifecycle(self.path, self.bound, None, os.getppid()),
            late_seconds=self._late_seconds,
        )

    def replace(self) -> None:
        """Have the effect of a successor's rename on the identity."""
        self.path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(self.path))

    def end(self) -> None:
        self.replace()
        for thread in self.threads:
            thread.join(15)
        assert not any(thread.is_alive() for thread in self.threads)
        for one in (self.listener, *(end for inbox in self.inboxes for end in inbox)):
            one.close()


@pytest.fixture(params=[1, 3], ids=["one worker", "three workers"])
def group(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Group]:
    group = Group(tmp_path, request.param)
    yield group
    group.end()
    assert group.pumped.turns


@pytest.fixture
def path(group: Group) -> Path:
    return group.path


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    client = Client(path)
    yield client
    client.socket.close()


def start(client: Client) -> int:
    identifier: int = client.call("plugin.StartInstance", {"Name": "echo", "Config": json.dumps({})})["Id"]
    return identifier


def served(path: Path) -> tuple[Client, int]:
    """Connect until an instance is started: on a machine that stood still that may be late as well."""
    while True:
        client = Client(path)
        started = client.call("plugin.StartInstance", {"Name": "echo", "Config": json.dumps({})})
        if started is not None:
            return client, started["Id"]
        client.socket.close()


def test_a_connection_may_begin_in_pieces(client: Client) -> None:
    """The protocol is told by the first four bytes, however they arrive."""
    request = msgpack.packb([0, 1, "plugin.StartInstance", [{"Name": "echo", "Config": "{}"}]])
    for piece in (request[:1], request[1:3], request[3:]):
        client.socket.sendall(piece)
        time.sleep(0.01)

    assert client.read()["Id"]


def test_an_event_runs_over_the_socket(client: Client) -> None:
    """Start, event, step, step, end."""
    event = client.call("plugin.HandleEvent", {"InstanceId": start(client), "EventName": "access"})
    call = client.call("plugin.Step", {"EventId": event["EventId"], "Data": "caf\udce9"})

    assert call["Data"] == {"Method": "kong.service.request.set_header", "Args": ["x-echo", "caf\udce9"]}
    assert client.call("plugin.Step", {"EventId": event["EventId"]})["Data"] == "ret"


def test_the_steps_of_an_event_may_come_over_several_connections(client: Client, path: Path) -> None:
    """Kong takes any connection of its pool for any call."""
    other = Client(path)
    event = client.call("plugin.HandleEvent", {"InstanceId": start(client), "EventName": "access"})

    assert other.call("plugin.Step", {"EventId": event["EventId"], "Data": "a"})["Data"]["Args"] == ["x-echo", "a"]
    other.socket.close()


@pytest.mark.parametrize("garbage", [b"\xc1" * 10, b"GET / HTTP/1.1\r\n\r\n", b"\xdd\xff\xff\xff\xff", b"\x05" * 4])
def test_garbage_closes_its_connection_and_no_other(client: Client, path: Path, garbage: bytes) -> None:
    """A peer that does not speak the protocol is left; the others notice nothing."""
    instance = start(client)
    intruder = Client(path)
    intruder.socket.sendall(garbage)

    assert intruder.read() is None
    assert client.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})["Data"]["Args"] == ["x"]
    intruder.socket.close()


def test_a_large_answer_is_written_whole(client: Client) -> None:
    """An answer larger than the socket's buffer is sent in pieces."""
    event = client.call("plugin.HandleEvent", {"InstanceId": start(client), "EventName": "access"})
    value = "x" * (4 << 20)

    assert client.call("plugin.Step", {"EventId": event["EventId"], "Data": value})["Data"]["Args"] == ["x-echo", value]


def test_a_hundred_connections_are_served(client: Client, path: Path) -> None:
    """Connections that are open cost the others nothing, and closing them is no event."""
    instance = start(client)
    clients = [Client(path) for _ in range(100)]
    answers = [one.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"}) for one in clients]

    assert len({answer["EventId"] for answer in answers}) == 100
    for one in clients:
        one.socket.close()


def test_the_connections_of_one_kong_worker_meet_its_instance(group: Group, path: Path) -> None:
    """The worker that has the instance answers, whichever worker accepts the connection."""
    clients = [Client(path) for _ in range(20)]
    instance = start(clients[0])
    for one in clients:
        assert one.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})["Data"]["Args"] == ["x"]
        one.socket.close()

    assert sum(map(len, group.instances)) == 1


def test_an_instance_of_a_worker_that_is_gone_is_started_again(client: Client) -> None:
    """A number of a slot without a worker is unknown; Kong then starts the instance anew."""
    assert "no plugin instance" in client.call("plugin.HandleEvent", {"InstanceId": 64 * 5 + 2, "EventName": "access"})


def test_a_group_whose_socket_was_taken_over_makes_room(tmp_path: Path) -> None:
    """Events that are under way are ended, connections that are not used closed, and then the worker ends."""
    group = Group(tmp_path, 1)
    idle, busy = Client(group.path), Client(group.path)
    instance = start(busy)
    start(idle)
    event = busy.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
    group.replace()

    step = busy.call("plugin.Step", {"EventId": event["EventId"], "Data": "a"})
    assert step["Data"]["Args"] == ["x-echo", "a"]
    assert busy.call("plugin.Step", {"EventId": event["EventId"]})["Data"] == "ret"
    assert idle.read() is None
    assert busy.read() is None
    for one in (idle, busy):
        one.socket.close()
    group.end()


@pytest.mark.parametrize("connected", [True, False], ids=["a connection in use", "one that is not accepted yet"])
def test_what_waited_too_long_is_not_answered(tmp_path: Path, connected: bool) -> None:
    """After a stall the connection is closed: Kong has given up and would take the answer for another question's."""
    group = Group(tmp_path, 1, LATE_SECONDS)
    try:
        client, instance = served(group.path)
        if not connected:
            client.socket.close()
        group.pumped.stall.set()
        assert group.pumped.stalled.wait(10)
        if not connected:
            client = Client(group.path)

        client.ask("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})
        group.pumped.asked.set()

        assert client.read() is None
        client.socket.close()
        other, _ = served(group.path)
        other.socket.close()
    finally:
        group.end()


def test_what_waited_for_a_worker_too_long_is_not_answered(tmp_path: Path) -> None:
    """Connected after the last worker died, long before the next one came: Kong has given up here as well."""
    waiting: list[Client] = []

    def connect(group: Group) -> None:
        group.table.write(0, 0, time.monotonic() - 2 * LATE_SECONDS)
        waiting.append(Client(group.path))
        waiting[0].socket.sendall(msgpack.packb([0, 1, "plugin.StartInstance", [{"Name": "echo", "Config": "{}"}]]))

    group = Group(tmp_path, 1, LATE_SECONDS, connect)
    try:
        assert waiting[0].read() is None
        waiting[0].socket.close()
        other, _ = served(group.path)
        other.socket.close()
    finally:
        group.end()

"""Promises of server/worker.py, held over a real socket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from kong_pdk.module import Module

from otlp_tracing.server.plugin_host import PluginHost
from otlp_tracing.server.worker import Worker


class Echo:
    """A plugin that asks for one header and sends back what it got."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def access(self, kong: Any) -> None:
        kong.service.request.set_header("x-echo", kong.request.get_header("x"))


class module:  # noqa: N801  # what kong_pdk takes for a module
    Plugin = Echo


class Pumped:
    """A side channel that counts its turns."""

    def __init__(self) -> None:
        self.turns = 0

    def pump(self) -> float:
        self.turns += 1
        return 0.05


class Client:
    """One connection of Kong's."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._unpacker = msgpack.Unpacker(unicode_errors="surrogateescape")

    def call(self, method: str, argument: Any) -> Any:
        self.socket.sendall(msgpack.packb([0, 1, method, [argument]], unicode_errors="surrogateescape"))
        return self.read()

    def read(self) -> Any:
        while True:
            for _, _, error, result in self._unpacker:
                return error or result
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._unpacker.feed(data)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "worker.socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    stop = threading.Event()
    pumped = Pumped()
    worker = Worker(listener, PluginHost(Module("echo", module=module)), pumped, stop.is_set)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield path
    stop.set()
    thread.join(10)
    listener.close()
    assert not thread.is_alive()
    assert pumped.turns


@pytest.fixture
def client(path: Path) -> Iterator[Client]:
    client = Client(path)
    yield client
    client.socket.close()


def start(client: Client) -> int:
    identifier: int = client.call("plugin.StartInstance", {"Name": "echo", "Config": json.dumps({})})["Id"]
    return identifier


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


@pytest.mark.parametrize("garbage", [b"\xc1" * 10, b"GET / HTTP/1.1\r\n\r\n", b"\xdd\xff\xff\xff\xff", b"\x05"])
def test_garbage_closes_its_connection_and_no_other(client: Client, path: Path, garbage: bytes) -> None:
    """A peer that does not speak the protocol is left; the others notice nothing."""
    instance = start(client)
    intruder = Client(path)
    intruder.socket.sendall(garbage)

    assert intruder.read() is None
    assert client.call("plugin.HandleEvent", {"InstanceId": instance, "EventName": "access"})["Data"]["Args"] == ["x"]
    intruder.socket.close()


def test_a_large_answer_is_written_whole(client: Client) -> None:
    """More than a socket takes at once goes out in pieces."""
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

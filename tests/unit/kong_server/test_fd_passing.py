"""Promises of kong_server/fd_passing.py."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from otlp_tracing.kong_server.fd_passing import WorkerPeers, create_inboxes
from otlp_tracing.kong_server.heartbeat import STALE_SECONDS, HeartbeatTable

NOW = 1000.0


@pytest.fixture
def pair() -> Iterator[tuple[WorkerPeers, WorkerPeers]]:
    table, inboxes = HeartbeatTable.create(2), create_inboxes(2)
    reading, writing = [list(ends) for ends in zip(*inboxes, strict=True)]
    yield WorkerPeers(0, table, reading, writing), WorkerPeers(1, table, reading, writing)
    for inbox in inboxes:
        for end in inbox:
            end.close()


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def test_a_connection_is_handed_over_with_its_request(
    pair: tuple[WorkerPeers, WorkerPeers], connection: tuple[socket.socket, socket.socket]
) -> None:
    """The other worker gets the same connection, the bytes that were read from it, and the time."""
    pair[0].table.write(1, os.getpid(), NOW)
    assert pair[0].hand_over(1, connection[0], b"request", NOW)
    handed = pair[1].take_over(1)
    assert handed is not None
    peer, request, handed_at = handed
    peer.sendall(b"answer")

    assert request == b"request"
    assert handed_at == NOW
    assert connection[1].recv(10) == b"answer"
    assert pair[1].take_over(1) is None
    peer.close()


@pytest.mark.parametrize(
    ("slot", "age"), [(0, 0.0), (1, STALE_SECONDS), (5, 0.0)], ids=["itself", "one that does not move", "nobody"]
)
def test_a_connection_is_kept_if_nobody_takes_it(
    pair: tuple[WorkerPeers, WorkerPeers], connection: tuple[socket.socket, socket.socket], slot: int, age: float
) -> None:
    """A worker that is stuck must not be given more."""
    pair[0].table.write(1, os.getpid(), NOW - age)

    assert not pair[0].hand_over(slot, connection[0], b"", NOW)


def test_a_full_inbox_is_never_waited_for(
    pair: tuple[WorkerPeers, WorkerPeers], connection: tuple[socket.socket, socket.socket]
) -> None:
    """A worker that reads nothing any more gets as much as its inbox holds, and the rest is kept."""
    pair[0].table.write(1, os.getpid(), NOW)
    taken = [pair[0].hand_over(1, connection[0], b"x" * 1000, NOW) for _ in range(2000)]

    assert True in taken
    assert False in taken
    while (handed := pair[1].take_over(1)) is not None:
        handed[0].close()


def test_the_inbox_of_a_worker_that_is_gone_is_read_by_the_others(
    pair: tuple[WorkerPeers, WorkerPeers], connection: tuple[socket.socket, socket.socket]
) -> None:
    """A connection that was passed to a worker just before it died does not wait for its successor."""
    pair[0].table.write(1, os.getpid(), NOW)
    assert pair[0].hand_over(1, connection[0], b"request", NOW)
    assert pair[0].abandoned_inboxes() == []
    pair[0].table.write(1, 0, 0.0)
    assert pair[0].abandoned_inboxes() == [1]
    handed = pair[0].take_over(1)

    assert handed is not None
    assert handed[1] == b"request"
    handed[0].close()

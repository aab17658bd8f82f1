"""Workers of a group pass connections to each other.

Each worker has an inbox, a datagram socket that every process of the group holds open. A datagram for a worker that
dies waits there for the next worker of the slot. A datagram is a connection (SCM_RIGHTS), the time when it was sent,
and the request that was read from it, empty for a connection that was just accepted.
"""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence

from otlp_tracing.kong_server.heartbeat import HeartbeatTable

# A request that is handed on is an event's beginning or one of its steps; a unix socket takes 200 KiB.
_MAX_REQUEST_BYTES = 256 << 10
_HANDED_AT = struct.Struct("=d")  # seconds of CLOCK_MONOTONIC, the same for all processes

Inbox = tuple[socket.socket, socket.socket]
"""Where a worker reads, and where the others write."""


def create_inboxes(slots: int) -> list[Inbox]:
    """Make the inboxes of a group."""
    return [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(slots)]


class WorkerPeers:
    """The other workers, seen from one.

    Args:
        slot: this worker's.
        table: tells which workers are alive.
        inboxes: the reading ends, by slot; those of workers that are gone are read too.
        outboxes: the writing ends, by slot.
    """

    def __init__(
        self, slot: int, table: HeartbeatTable, inboxes: Sequence[socket.socket], outboxes: Sequence[socket.socket]
    ) -> None:
        self.slot = slot
        self.table = table
        self.inbox = inboxes[slot]
        self._inboxes = inboxes
        self._outboxes = outboxes
        for one in (*inboxes, *outboxes):
            one.setblocking(False)

    def hand_over(self, slot: int, connection: socket.socket, request: bytes, now: float) -> bool:
        """Give a connection to another worker; False if that one cannot take it, and we keep it."""
        if slot == self.slot or slot >= len(self._outboxes) or not self.table.is_alive(slot, now):
            return False
        descriptor = array.array("i", [connection.fileno()])
        try:
            self._outboxes[slot].sendmsg(
                [_HANDED_AT.pack(now) + request],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor)],
                socket.MSG_DONTWAIT,
            )
        except OSError:
            return False
        return True

    def abandoned_inboxes(self) -> list[int]:
        """Return the slots of others with an inbox that no worker reads now."""
        return [slot for slot in range(len(self._inboxes)) if slot != self.slot and self.table.read(slot)[0] == 0]

    def take_over(self, slot: int) -> tuple[socket.socket, bytes, float] | None:
        """Return a passed connection, the request that came with it, and when it was sent; None without one."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._inboxes[slot], _MAX_REQUEST_BYTES, 1)
        except BlockingIOError:
            return None
        if not descriptors:
            return None
        try:
            handed_at: float = _HANDED_AT.unpack_from(message)[0]
            return socket.socket(fileno=descriptors[0]), message[_HANDED_AT.size :], handed_at
        except OSError:
            os.close(descriptors[0])
            return None

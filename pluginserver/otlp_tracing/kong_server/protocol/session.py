"""A connection from Kong as the worker's loop sees it, in any protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

EVENT_SECONDS = 10.0
"""How long an event may wait: Kong answers a call at once or never; this is for a machine that swaps."""

PreferredWorker = Callable[[], int | None]
"""Returns the slot of the worker that should own a connection, if that worker serves; None if it is this one.

Each of Kong's workers starts its instances with the worker that its pid selects. While that worker was down another one
took its place. Its instances are closed once the preferred worker is back, so that load is even again.
"""


@dataclass(frozen=True, slots=True)
class Forward:
    """Another worker has to answer: it gets the connection, and the request as it came.

    Args:
        slot: of that worker.
        request: its bytes.
    """

    slot: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is to be closed. Kong repeats the event elsewhere.

    Args:
        reason: for tests and logs.
    """

    reason: str


Answer = bytes | Forward | Close
"""Bytes for Kong, none of them if it is not due yet, or the end of the connection here."""


class RpcSession(Protocol):
    """One connection: bytes in, bytes out, no socket."""

    @property
    def idle(self) -> bool:
        """No event is under way here: closing the connection now interrupts nothing."""

    @property
    def overdue(self) -> bool:
        """An event has waited here for longer than Kong ever takes; the connection is to be closed."""

    def receive(self, data: bytes, *, settle: bool = False) -> Answer:
        """Add bytes from Kong and return the answers that are complete.

        Args:
            data: in pieces of any size.
            settle: answer here, even a request of another worker that cannot answer; never returns a Forward.

        Raises:
            WireError: the peer broke the protocol.
        """

    def retire(self) -> None:
        """Serve no further event: close the connection at the next, which Kong then has elsewhere."""

    def close(self) -> None:
        """The connection has ended, on either side."""

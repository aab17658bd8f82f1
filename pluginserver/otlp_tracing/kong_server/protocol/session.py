"""A connection from Kong as the worker's loop sees it, in any protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from otlp_tracing.errors import TracingError

EVENT_SECONDS = 10.0
"""How long an event may wait: Kong answers a call at once or never; this is for a machine that swaps."""

Home = Callable[[], int | None]
"""Tells the slot of the worker that a connection belongs with and that serves; None if it is at home.

Each of Kong's workers starts its instances with the worker that its pid selects. While that one was away
another took its place: an instance there is given up when the first is back, so that the load spreads again.
"""


def at_home() -> None:
    """Say that a connection is where it belongs."""


class HangUpError(TracingError):
    """The answer is to close the connection."""


class ElsewhereError(TracingError):
    """Another worker has to answer: it gets the connection, and the request as it came.

    Args:
        slot: of that worker.
        request: its bytes.
    """

    def __init__(self, slot: int, request: bytes) -> None:
        super().__init__(f"worker {slot} answers this")
        self.slot = slot
        self.request = request


class Dialogue(Protocol):
    """One connection: bytes in, bytes out, no socket."""

    @property
    def idle(self) -> bool:
        """No event is under way here: closing the connection now interrupts nothing."""

    @property
    def overdue(self) -> bool:
        """An event has waited here for longer than Kong ever takes; the connection is to be closed."""

    def receive(self, data: bytes, *, settle: bool = False) -> bytes:
        """Add bytes from Kong and return the answers that are complete.

        Args:
            data: in pieces of any size.
            settle: answer here, even a request of another worker that cannot answer.

        Raises:
            WireError: the peer broke the protocol.
            HangUpError: the connection is to be closed.
            ElsewhereError: another worker has to answer; never with `settle`.
        """

    def retire(self) -> None:
        """Serve no further event: hang up on the next, which Kong then has elsewhere; all else is answered."""

    def close(self) -> None:
        """The connection has ended, on either side."""

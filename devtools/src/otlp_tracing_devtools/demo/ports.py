"""Which local ports the demo listens on: the well-known ones, or free ones if those are taken.

Asks the kernel by listening, and keeps each port until its user is about to listen on it. In the moment between the
two no process holds the port, so demos also tell each other which ports they chose. Knows nothing of the later
listeners.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Port:
    """A port to listen on, and the one that was wanted; ours until `hand_over`."""

    number: int
    wanted: int
    _holder: socket.socket = field(repr=False, compare=False)

    @property
    def address(self) -> str:
        """The address as `host:port`."""
        return f"{HOST}:{self.number}"

    @property
    def url(self) -> str:
        """The address as an http URL without a path."""
        return f"http://{self.address}"

    def hand_over(self) -> int:
        """Release the port and return it, for the next listener."""
        self._holder.close()
        return self.number


@contextlib.contextmanager
def reserve(wanted: Mapping[str, int]) -> Iterator[dict[str, Port]]:
    """Give each name the port it wants, or a free one; unused ports are released at the end."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for name, number in wanted.items():
            holder = _listening(number, 0, until=stack)
            ports[name] = Port(holder.getsockname()[1], number, holder)
        yield ports


def _listening(*numbers: int, until: contextlib.ExitStack) -> socket.socket:
    """Listen on the first of the numbers that is free.

    Raises:
        OSError: none is.
    """
    failure: OSError | None = None
    for number in numbers:
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(_claim(number))
                holder = stack.enter_context(socket.socket())
                # A port that a program gave up a moment ago is free; one that is listened on stays taken.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind((HOST, number))
                holder.listen(1)  # with SO_REUSEADDR, being bound keeps no one out
                until.enter_context(stack.pop_all())
                return holder
        except OSError as error:
            failure = error
    raise failure or OSError("no port was asked for")


def _claim(number: int) -> socket.socket:
    """Keep other demos off a port for as long as the socket lives: a name of Linux's abstract namespace."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        if number:
            claim.bind(f"\0otlp-tracing-demo:{number}")
    except OSError:
        claim.close()
        raise
    return claim

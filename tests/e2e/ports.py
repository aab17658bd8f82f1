"""Free ports on loopback, of a range from which the kernel gives none away by itself."""

from __future__ import annotations

import contextlib
import random
import socket

__all__ = ["HOST", "accepts", "free_port"]

HOST = "127.0.0.1"

# Below Linux's default net.ipv4.ip_local_port_range: no outgoing connection takes one before it is used.
_RANGE = range(18_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """Return a port that nothing listens on, and that was not given before."""
    for port in random.sample(_RANGE, len(_RANGE)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port not in _given:
                probe.bind((HOST, port))
                _given.add(port)
                return port
    raise OSError("no port is free on loopback")


def accepts(address: tuple[str, int] | str) -> bool:
    """Tell whether something accepts connections at a host and port, or at a unix socket's path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(1)
        return connection.connect_ex(address) == 0

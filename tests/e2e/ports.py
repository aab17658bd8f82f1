"""Free ports on loopback, of a range from which the kernel gives none away by itself."""

from __future__ import annotations

import atexit
import contextlib
import random
import socket

HOST = "127.0.0.1"

# Below Linux's default net.ipv4.ip_local_port_range: no outgoing connection takes one before it is used.
_RANGE = range(18_000, 32_000)
# For as long as this process lives: a given port is listened on only later, and other test runs look for ports as
# well.
_claims = contextlib.ExitStack()
atexit.register(_claims.close)


def free_port() -> int:
    """Return a port that nothing listens on, and that no test run on this machine was given."""
    for port in random.sample(_RANGE, len(_RANGE)):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0otlp-tracing-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
        except OSError:
            claim.close()
        else:
            _claims.enter_context(claim)
            return port
    raise OSError("no port is free on loopback")


def accepts(address: tuple[str, int] | str) -> bool:
    """Tell whether something accepts connections at a host and port, or at a unix socket's path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(1)
        return connection.connect_ex(address) == 0

"""Choose an address for each try: a host's own, or the next target of an upstream.

Targets take turns by weight, over all requests, so a retry uses the next one. Knows names and addresses; sends
nothing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otlp_tracing.errors import TracingError
from otlp_tracing_devtools.fake_kong.context import now_ms
from otlp_tracing_devtools.fake_kong.entities import Target, Upstream

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.balancer")


class NoPeerError(TracingError):
    """There is nowhere to send the request: Kong answers 503 with this message."""


@dataclass(frozen=True)
class Address:
    """The address of a try; `hostname` becomes the Host header."""

    ip: str
    port: int
    hostname: str


class Try:
    """One entry of the log record's `tries`, with the times Kong takes.

    Source: Kong.balancer in kong/init.lua of Kong 3.9.1. The nanoseconds are doubles and lose their last digits.
    """

    def __init__(self) -> None:
        self._start_ms = now_ms()
        self._start_ns = float(time.time_ns())
        self.record: dict[str, Any] = {"balancer_start": self._start_ms, "balancer_start_ns": self._start_ns}

    def ready(self, address: Address) -> int:
        """Note the address and give the time, in milliseconds: the balancer's work ends here."""
        end_ms = now_ms()
        self.record.update(
            ip=address.ip,
            port=address.port,
            balancer_latency=end_ms - self._start_ms,
            balancer_latency_ns=float(time.time_ns()) - self._start_ns,
        )
        return end_ms

    def failed(self, code: int) -> None:
        """Note that another try follows, or that the last one ended in an error."""
        self.record.update(state="failed", code=code)


class Balancer:
    """The upstreams of one worker, with the turns of their targets."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = upstreams
        self._credit: dict[str, dict[Target, int]] = {}

    async def pick(self, host: str, port: int) -> Address:
        """Give the address for the next try: of a host, or of a target of the upstream with that name.

        Raises:
            NoPeerError: the upstream has no target with a weight, or a name cannot be resolved.
        """
        upstream = self._upstreams.get(host)
        if upstream is None:
            return Address(await _resolve(host), port, host)
        target = self._next_target(upstream)
        return Address(await _resolve(target.host), target.port, upstream.host_header or target.host)

    def _next_target(self, upstream: Upstream) -> Target:
        """Smooth weighted round robin: the target that has waited for the most weight is next."""
        targets = [target for target in upstream.targets if target.weight]
        if not targets:
            raise NoPeerError("failure to get a peer from the ring-balancer")
        credit = self._credit.setdefault(upstream.name, dict.fromkeys(targets, 0))
        for target in targets:
            credit[target] += target.weight
        chosen = max(targets, key=lambda target: credit[target])
        credit[chosen] -= sum(target.weight for target in targets)
        return chosen


async def _resolve(host: str) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a label over 63 characters is the latter
        _log.error("DNS resolution failed: %s: %s", host, error)
        raise NoPeerError("name resolution failed") from None
    ipv4 = [entry for entry in found if entry[0] == socket.AF_INET]
    return str((ipv4 or found)[0][4][0])

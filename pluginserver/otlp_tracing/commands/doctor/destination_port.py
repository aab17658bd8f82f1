"""Questions about a destination's address: does its name resolve, and is its port open, or that of the proxy to it?"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import shlex
import socket
from urllib.parse import urlsplit

from otlp_tracing.commands.doctor.candidates import Candidate
from otlp_tracing.commands.doctor.findings import Finding
from otlp_tracing.config.otlp_ports import OTLP_PORTS

_SECONDS = 5.0  # for a name and for a connection each


async def ask_proxy(one: Candidate, url: str) -> Finding:
    """Tell whether the port of the proxy to a destination is open."""
    proxy = urlsplit(url)  # its user and password are not shown
    if reason := await _connection_fault(proxy.hostname or "", proxy.port or 80):
        text = f"proxy: {proxy.hostname} port {proxy.port}: {reason}"
        host, _ = one.destination.host_and_port
        return Finding("FAIL", one.label, text, f"export NO_PROXY={shlex.quote(host)}")
    return Finding("ok", one.label, f"proxy: {proxy.hostname} port {proxy.port} is open")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def ask_name(one: Candidate, host: str, port: int) -> Finding | None:
    """Tell whether a name resolves; None for an address."""
    if _is_address(host):
        return None
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), _SECONDS)
    except (OSError, UnicodeError, asyncio.TimeoutError) as error:
        reason = (getattr(error, "strerror", None) or "no answer").lower()
        text = f"DNS: the name {host} does not resolve here: {reason}"
        return Finding("FAIL", one.label, text, one.replace_in_endpoint(host, "HOST"))
    addresses = ", ".join(dict.fromkeys(str(address[4][0]) for address in found[:3]))
    return Finding("ok", one.label, f"DNS: {host} is {addresses}")


async def ask_port(one: Candidate, host: str, port: int) -> Finding:
    """Tell whether a port is open; if not, whether a collector listens at the other port of OTLP."""
    reason = await _connection_fault(host, port)
    if not reason:
        return Finding("ok", one.label, f"TCP: port {port} is open")
    text = f"TCP: {host} port {port}: {reason}"
    for protocol, other in OTLP_PORTS.items():
        if other != port and not await _connection_fault(host, other):
            text += f"; a collector listens at port {other}, OTLP over {protocol}"
            if protocol == one.destination.protocol:
                return Finding("FAIL", one.label, text, one.replace_in_endpoint(f":{port}", f":{other}"))
    return Finding("FAIL", one.label, f"{text}; start the collector, or correct the port", one.set_port())


async def _connection_fault(host: str, port: int) -> str:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _SECONDS)
    except asyncio.TimeoutError:
        return f"no answer within {_SECONDS:.0f} s, a firewall may drop it"
    except OSError as error:
        refused = "the connection is refused, no program listens there"
        return (
            refused
            if "refused" in str(error).lower() or error.errno == errno.ECONNREFUSED
            else str(error.strerror or error).lower()
        )
    writer.close()
    return ""

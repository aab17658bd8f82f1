"""Questions to the collectors, one after the other: name, port, TLS, and an export, for each signal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from otlp_tracing.commands.doctor.candidates import Candidate
from otlp_tracing.commands.doctor.destination_export import ask_export
from otlp_tracing.commands.doctor.destination_port import ask_name, ask_port, ask_proxy
from otlp_tracing.commands.doctor.destination_tls import ask_tls
from otlp_tracing.commands.doctor.findings import Finding, unasked

_MOST = 32  # destinations that are asked; the rest is counted


async def ask_destinations(some: Sequence[Candidate], *, send: bool) -> list[Finding]:
    """Ask every destination, all at once, and return their findings in order.

    Args:
        some: the destinations.
        send: a span to each.
    """
    findings = [one for group in await asyncio.gather(*(_ask(one, send) for one in some[:_MOST])) for one in group]
    if len(some) > _MOST:
        findings.append(unasked("destinations", f"{len(some) - _MOST} more, as {_MOST} are asked at most"))
    return findings


async def _ask(one: Candidate, send: bool) -> list[Finding]:
    if one.destination.proxy:
        proxy = await ask_proxy(one, one.destination.proxy)
        return [proxy] if proxy.level == "FAIL" else [proxy, await ask_export(one, send)]
    host, port = one.destination.host_and_port
    name = await ask_name(one, host, port)
    findings = [] if name is None else [name]
    if not findings or findings[-1].level != "FAIL":
        findings.append(await ask_port(one, host, port))
    if findings[-1].level != "FAIL" and one.destination.secure:
        findings.append(await asyncio.to_thread(ask_tls, one, host, port))
    if findings[-1].level != "FAIL":
        findings.append(await ask_export(one, send))
    return findings

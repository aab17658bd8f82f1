"""Promises of sidecar/ingest/receiver.py: acknowledgements, and rates for workers that understand them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from doubles import ManualClock
from otlp_tracing.config.settings import Load, Sampling
from otlp_tracing.handoff.frames import VERSION, Ack, Config, Decoder, Frame, Hello, Rates, Record, encode
from otlp_tracing.sidecar.export.exporters import ExporterRegistry
from otlp_tracing.sidecar.ingest.receiver import Receiver
from otlp_tracing.sidecar.pipeline import Pipeline
from otlp_tracing.sidecar.tail.controller import SamplingController
from otlp_tracing.sidecar.telemetry.registry import Metrics

KEY = b"k" * 16


async def exchange(version: int, clock: ManualClock) -> list[Frame]:
    """Speak to a receiver as a gateway of that version does; return the bytes that it sends until it has set rates."""
    metrics = Metrics()
    rates = SamplingController(metrics, clock)
    exporters = ExporterRegistry(metrics, {}, None)
    receiver = Receiver(Pipeline(metrics, {}, exporters, rates), rates, lambda _: None)
    rates.configure(KEY, "entry", Sampling(1.0, "follow", load=Load(0.8)))
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    await asyncio.get_running_loop().create_unix_connection(receiver.connection, sock=theirs)
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    # The configuration cannot work, so nothing is delivered for it; the record is refused, and acknowledged.
    for frame in (Hello(version, b"sender-1"), Config(KEY, b"{"), Record(1, KEY, b"{}")):
        writer.write(encode(frame))
    decoder = Decoder()
    received = list(decoder.feed(await reader.read(1 << 16)))
    clock.now += 10
    rates.tick(lambda: None)
    receiver.close()
    while data := await reader.read(1 << 16):
        received += decoder.feed(data)
    writer.close()
    await exporters.close(1)
    return received


def test_a_newer_gateway_is_served(caplog: pytest.LogCaptureFixture) -> None:
    """Its records are acknowledged, and the log says which process to restart."""
    assert asyncio.run(exchange(VERSION + 1, ManualClock())) == [Ack(1), Rates(KEY, 1.0, [])]
    assert "plugin server is newer" in caplog.text
    assert "restart the sidecar" in caplog.text


@pytest.mark.parametrize(("version", "told"), [(1, []), (VERSION, [Rates(KEY, 1.0, [])])])
def test_rates_go_to_gateways_that_understand_them(version: int, told: list[Frame]) -> None:
    """One of version 1 is served as ever, and sent nothing that would make it close the connection."""
    assert asyncio.run(exchange(version, ManualClock())) == [Ack(1), *told]

"""Promises of plugin/warning_sender.py."""

from __future__ import annotations

import socket
from pathlib import Path

from doubles import ManualClock
from otlp_tracing.handoff.frames import Decoder, Hello, Warnings
from otlp_tracing.logs.lines import LogLine, WarningBuffer
from otlp_tracing.plugin.warning_sender import WarningSender

LINE = LogLine(1.5, "serve", "WARNING", "otlp_tracing.kong_server.supervisor", "the sidecar ended with 1")


def test_warnings_wait_for_a_sidecar(tmp_path: Path) -> None:
    """Without a sidecar they are kept; once it listens they arrive, in a connection of their own."""
    path, clock, warnings = tmp_path / "s", ManualClock(), WarningBuffer()
    warnings.give_back([LINE])
    sender = WarningSender(path, warnings, clock)
    sender.pump()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(5)
        sender.pump()  # too early
        clock.now += 1
        sender.pump()
        connection, _ = listener.accept()
        with connection:
            hello, frame = Decoder().feed(connection.recv(4096))

            assert isinstance(hello, Hello)
            assert frame == Warnings([LINE])
            assert connection.recv(1) == b""
    assert warnings.take() == []

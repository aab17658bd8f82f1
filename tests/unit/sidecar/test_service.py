"""Promises of sidecar/service.py; tests/faults/ runs it as a process."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web

from otlp_tracing.errors import ConfigError
from otlp_tracing.log_limit import INTERVAL_SECONDS
from otlp_tracing.metrics import LISTEN_FAILED
from otlp_tracing.sidecar import service
from otlp_tracing.sidecar.ingest import receiver
from otlp_tracing.sidecar.ingest.receiver import Receiver
from otlp_tracing.sidecar.live.http import http_port
from otlp_tracing.sidecar.service import ServiceOptions
from otlp_tracing.sidecar.telemetry.registry import Metrics
from otlp_tracing.unix_sockets import identity, listen_owner_only, listener_pid


async def test_the_page_waits_for_its_port(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A port that another process has is tried again, without an end and without growth; it is logged and counted."""
    monkeypatch.setattr(http_port, "_PORT_SECONDS", 0.001)
    metrics = Metrics()
    runner = web.AppRunner(web.Application())
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        options = ServiceOptions(Path("/unused"), "127.0.0.1", port)
        serving = asyncio.create_task(service._serve_http(runner, options, metrics))
        while metrics.value(LISTEN_FAILED, option="--http") < 5:
            await asyncio.sleep(0.001)
        sites = len(runner.sites)
    await serving

    assert sites <= 1
    assert runner.addresses == [("127.0.0.1", port)]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith(f"cannot listen, trying again: --http = 127.0.0.1:{port}: is taken by another process")
    await runner.cleanup()


async def test_a_deleted_socket_is_bound_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """New workers reach the sidecar although its socket and folder were deleted, and connections from before stay."""

    class Echo(asyncio.Protocol):
        def connection(self) -> asyncio.Protocol:
            return Echo()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.Transport, transport)

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)
            self.transport.close()

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"hello")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    monkeypatch.setattr(service, "_SOCKET_SECONDS", 0.01)
    path = tmp_path / "folder" / "sidecar.sock"
    listening = service._Listening(cast(Receiver, Echo()), path)
    await listening.start()
    keeping = asyncio.create_task(listening.keep())
    first = await asyncio.open_unix_connection(path)
    shutil.rmtree(path.parent)
    while "socket deleted" not in caplog.text:
        await asyncio.sleep(0.001)
    second = await asyncio.open_unix_connection(path)

    assert await ask(*second) == await ask(*first) == b"hello"
    keeping.cancel()
    listening.close()


async def listening_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> service._Listening:
    """Return a sidecar's socket at a path, without its watch, which would look often."""
    monkeypatch.setattr(service, "_SOCKET_SECONDS", 0.01)
    listening = service._Listening(cast(Receiver, SimpleNamespace(connection=asyncio.Protocol)), path)
    await listening.start()
    return listening


async def logged(text: str, keeping: asyncio.Task[None], caplog: pytest.LogCaptureFixture) -> None:
    """Wait until the watch of a socket has logged a text."""
    while text not in caplog.text:
        assert not keeping.done(), "the watch has ended"
        await asyncio.sleep(0.001)


async def test_a_socket_that_another_sidecar_took_is_bound_again_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the other one listens, the socket is its own; the file that it leaves has no listener."""
    path = tmp_path / "sidecar.sock"
    listening = await listening_at(path, monkeypatch)
    other = listen_owner_only(path, 8)
    taken = identity(path)
    keeping = asyncio.create_task(listening.keep())
    for _ in range(3):
        connection, _ = await asyncio.get_running_loop().run_in_executor(None, other.accept)  # it is asked
        connection.close()
    assert identity(path) == taken
    other.close()
    await logged("it is bound again", keeping, caplog)

    assert listener_pid(path) == os.getpid()
    keeping.cancel()
    listening.close()


async def test_a_second_sidecar_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    """A person who starts it twice is told so; the sidecar of another `serve` takes over."""
    path = tmp_path / "sidecar.sock"
    with listen_owner_only(path, 8):
        taken = identity(path)
        with pytest.raises(
            ConfigError, match=rf"--listen = {path}: another process \(pid {os.getpid()}\) listens there"
        ):
            await service.run(ServiceOptions(path, "127.0.0.1", 0))
        assert identity(path) == taken


async def test_an_internal_error_does_not_end_the_watch_of_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A deleted socket is bound once the error is over."""
    path = tmp_path / "sidecar.sock"
    listening = await listening_at(path, monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(receiver, "bind", None)  # which cannot be called
        keeping = asyncio.create_task(listening.keep())
        path.unlink()
        await logged("internal error, socket not bound", keeping, caplog)
    await logged("it is bound again", keeping, caplog)
    assert path.exists()
    keeping.cancel()
    listening.close()


def test_a_stop_is_no_error(tmp_path: Path) -> None:
    """SIGTERM ends the process with 0, and the log has no traceback."""
    arguments = ["sidecar", "--listen", str(tmp_path / "sidecar.sock"), "--http", "127.0.0.1:0"]
    command = [sys.executable, "-m", "otlp_tracing", *arguments, "--spool", str(tmp_path / "spool")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while "health and metrics" not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.terminate()
        lines += process.stderr.read().splitlines()

    assert process.returncode == 0
    assert not [line for line in lines if "exception" in line or "Traceback" in line], lines


def test_clients_that_speak_no_http_do_not_fill_the_log(tmp_path: Path) -> None:
    """The log has a line in ten seconds, without the words of a client."""
    arguments = ["sidecar", "--listen", str(tmp_path / "sidecar.sock"), "--http", "127.0.0.1:0"]
    command = [sys.executable, "-m", "otlp_tracing", *arguments, "--spool", str(tmp_path / "spool")]
    began = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = ""
        while "health and metrics" not in line:
            line = process.stderr.readline()
            assert line
        port = int(line.rpartition(":")[2])
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(b"GET / HTTP/1.1\r\nX-Key \0: hunter2\r\n\r\n")
                assert client.recv(1000).split()[1] == b"400"
        process.terminate()
        log = process.stderr.read()

    assert 1 <= log.count("ERROR aiohttp.server") <= 1 + (time.monotonic() - began) / INTERVAL_SECONDS
    assert "hunter2" not in log


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_sidecar_ends_with_its_supervisor(*, has_pidfd: bool) -> None:
    """The kernel tells it; where it gives no pidfd, the sidecar looks."""
    script = """
import asyncio, os, sys
from otlp_tracing.sidecar import service
if not int(sys.argv[1]):
    del os.pidfd_open
    def pidfd_open(pid): raise OSError(38, "no such call")
    os.pidfd_open = pidfd_open
parent = os.getpid()
if os.fork():
    sys.stdin.read()
    os._exit(0)
async def wait():
    stop = asyncio.Event()
    service._stop_with(parent, stop, asyncio.get_running_loop())
    await asyncio.sleep(0)
    print(stop.is_set(), flush=True)
    await stop.wait()
    await asyncio.sleep(0.1)
    print("stopped", flush=True)
asyncio.run(wait())
"""
    command = [sys.executable, "-c", script, str(int(has_pidfd))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "False\n"
        assert parent.stdin is not None
        parent.stdin.close()
        assert parent.stdout.readline() == "stopped\n"


def test_a_sidecar_ends_if_its_supervisor_has_ended_first(tmp_path: Path) -> None:
    """`serve` may be killed while the sidecar still starts: without it, the sidecar would hold Kong's pipe for ever."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    arguments = ["--embedded", str(ended.pid), "--listen", str(tmp_path / "sidecar.sock"), "--http", "127.0.0.1:0"]
    command = [sys.executable, "-m", "otlp_tracing", "sidecar", *arguments, "--spool", str(tmp_path / "spool")]

    assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0

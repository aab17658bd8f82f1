"""A real Kong reloads under load; with `--kong` only."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.gateways import PluginServer, RealKong
from e2e.kong_process import NAME
from e2e.ports import HOST
from e2e.processes import alive
from e2e.waiting import wait_for
from faults.plugin_server import group_at

pytestmark = pytest.mark.timeout(900)

_CLIENTS = 4
_SETTLED_SECONDS = 60.0
_ORIGIN = {
    "_format_version": "3.0",
    "services": [
        {
            "name": "answering",
            "url": "http://127.0.0.1:9",  # never asked: the termination below answers
            "routes": [{"name": "all", "paths": ["/load"]}],
            "plugins": [{"name": "request-termination", "config": {"status_code": 200, "message": "ok"}}],
        }
    ],
    "plugins": [{"name": NAME, "config": {"endpoint": "http://127.0.0.1:9"}}],
}


@pytest.fixture(params=["msgpack", "protobuf"])
def kong(request: pytest.FixtureRequest, pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[RealKong]:
    """Give a Kong, with our plugin server over each protocol."""
    command = pytestconfig.getoption("--kong")
    if command is None:
        pytest.skip("needs --kong")
    RealKong.use(command.resolve())

    def server(prefix: Path) -> PluginServer:
        ours = PluginServer.ours(prefix)
        query, start = [*ours.query, "--protocol", request.param], [*ours.start, "--workers", "2"]
        return replace(ours, query=query, start=start)

    running = RealKong(tmp_path, _ORIGIN, server)
    try:
        yield running
    finally:
        running.stop()


class _Clients:
    """Requests from threads, over connections that are opened anew; every answer that is no 200 is kept."""

    def __init__(self, port: int) -> None:
        self.failures: list[str] = []
        self.sent = 0
        self.slowest = 0.0
        self._port = port
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(_CLIENTS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop sending."""
        self._end.set()
        for thread in self._threads:
            thread.join(20)

    def _send(self) -> None:
        while not self._end.wait(0.002):
            began = time.monotonic()
            outcome = self._ask()
            with self._lock:
                self.sent += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                if outcome:
                    self.failures.append(outcome)

    def _ask(self) -> str | None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=15)
        try:
            connection.request("GET", "/load", headers={"Connection": "close"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        return None if status == 200 else f"status {status}"


def test_a_reload_fails_no_request(kong: RealKong, rounds: int) -> None:
    """Reloads under load fail no request, and leave one server group; a stop leaves none."""
    clients = _Clients(kong._port)
    for _ in range(rounds):
        before = _one_group(kong)
        kong.process.run("reload", "-p", str(kong.prefix))
        # Each reload starts a group of its own; for a while the old one is still the only one.
        wait_for(lambda: _one_group(kong) not in {None, before}, _SETTLED_SECONDS, "one server group after a reload")  # noqa: B023
    clients.end()
    print(f"{clients.sent} requests, slowest {clients.slowest:.2f} s, failures {clients.failures[:20]}")

    assert clients.sent
    assert clients.failures == []
    kong.stop()
    wait_for(lambda: not group_at(kong.prefix), 15, "the plugin server's processes end")


def _one_group(kong: RealKong) -> int | None:
    """Return the pid of the supervisor if there is exactly one group, and that a whole one."""
    found = group_at(kong.prefix)
    whole = {role: len(pids) for role, pids in found.items()} == {"serve": 1, "worker": 2, "sidecar": 1}
    return found["serve"][0] if whole and alive(found["serve"][0]) else None

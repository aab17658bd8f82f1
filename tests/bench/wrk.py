"""The HTTP load on a Kong: wrk, with one thread."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from e2e.ports import HOST

CONNECTIONS = 32
ROUTE = "/orders/{}"
"""Path of a route by its number."""
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class WrkMissingError(Exception):
    """There is no wrk."""

    def __init__(self) -> None:
        super().__init__("wrk is not installed (Debian's package wrk); the rounds with Kong need it")


@dataclass(frozen=True)
class Said:
    """The report of wrk. `failed` are answers with a status other than 2xx or 3xx, and broken connections."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class Load:
    """How requests are sent.

    Args:
        connections: each has one request at a time.
        rest_ms: between an answer and the next request on its connection.
        routes: that are asked in turn.
        first: number of the route that is asked first.
    """

    connections: int = CONNECTIONS
    rest_ms: int = 0
    routes: int = 1
    first: int = 0


FULL = Load()
ALONE = Load(connections=1)


def half_load(requests_per_second: float, p50_ms: float) -> Load:
    """Return the load with half of the requests/s of a full one: a connection sends one while it rests and waits."""
    return Load(rest_ms=max(1, round(2e3 * CONNECTIONS / requests_per_second - p50_ms / 2)))


class Wrk:
    """A running wrk."""

    def __init__(self, port: int, seconds: float, load: Load) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise WrkMissingError
        self._script = tempfile.NamedTemporaryFile("w", suffix=".lua")  # noqa: SIM115 - closed by said()
        self._script.write("".join(_script(load)))
        self._script.flush()
        options = ["-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s", "--latency", "-s", self._script.name]
        url = f"http://{HOST}:{port}{ROUTE.format(0)}"
        self._process = subprocess.Popen([program, *options, url], stdout=subprocess.PIPE, text=True)
        self._patience = seconds + 60

    def said(self) -> Said:
        """Wait for its end."""
        text, _ = self._process.communicate(timeout=self._patience)
        self._script.close()
        assert self._process.returncode == 0, text
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        return Said(
            requests=int(_find(r"(\d+) requests in", text)),
            requests_per_second=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
            p50_ms=_latency("50%", text),
            p99_ms=_latency("99%", text),
            failed=(int(refused[1]) if refused else 0) + (sum(map(int, broken.groups())) if broken else 0),
        )


def start_wrk(port: int, seconds: float, load: Load = FULL) -> Wrk:
    """Start it.

    Args:
        port: of Kong's proxy.
        seconds: of load.
        load: its kind.

    Raises:
        WrkMissingError: there is no wrk.
    """
    return Wrk(port, seconds, load)


def run_wrk(port: int, seconds: float, load: Load = FULL) -> Said:
    """Run it to its end; see start_wrk."""
    return start_wrk(port, seconds, load).said()


def _script(load: Load) -> Iterator[str]:
    if load.rest_ms:
        yield f"function delay() return {load.rest_ms} end\n"
    if load.routes > 1:
        path = ROUTE.format('" .. n .. "')
        yield f"""
            local requests, number = {{}}, {load.first - 1}
            function init()
                for n = 0, {load.routes - 1} do requests[n] = wrk.format("GET", "{path}") end
            end
            function request()
                number = (number + 1) % {load.routes}
                return requests[number]
            end
        """


def _find(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def _latency(share: str, text: str) -> float:
    number, unit = re.search(rf"{share}\s+([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr]  # wrk prints it
    return float(number) * _MILLISECONDS[unit]

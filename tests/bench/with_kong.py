"""Kongs with one tracing plugin each, under wrk: at four sampling rates, with many routes, with few connections.

Every Kong runs all the time, and the rounds visit one after the other. Between two rates its kong.yml is replaced.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.measurement import CpuMeter, Loads, Measurement
from bench.subjects import (
    MSGPACK,
    NO_PLUGIN,
    PROTOBUF_QUEUE,
    SUBJECTS,
    TRIVIAL,
    Gateway,
    running_gateway,
    surroundings,
)
from bench.wrk import ALONE, FULL, Load, Said, half_load, run_wrk
from e2e.kong_process import NAME

LOGGED = "0 %, with a log record of each request"
RATES = {"100 %": 1.0, LOGGED: 0.0, "10 %": 0.1, "1 %": 0.01, "0 %": 0.0}
_GROWN = (NO_PLUGIN, MSGPACK, PROTOBUF_QUEUE)  # they have both protocols and both hand-overs
_GROWTH: Mapping[int, Mapping[str, Load]] = {
    100: {
        "1 connection": Load(connections=1, routes=100),
        "16 connections": Load(connections=16, routes=100),
        "100 routes": Load(routes=100),
    },
    10_000: {"10,000 routes": Load(routes=10_000)},
}
"""Number of routes to the loads on them."""
_GROWTH_ROUNDS = 2
_WARM_UP_SECONDS = 1.0
# Twice what the slowest subject needs to answer a request on each of 10,000 routes (docs/benchmarks.md).
_MAX_WARM_UP_SECONDS = 60.0
_REST_SECONDS = 5.0


@dataclass(frozen=True)
class Resident:
    """Resident memory by kind of process, bytes, and CPU time without a request.

    Args:
        at_rest: before the first load.
        under_load: the most at the end of a round.
        idle_ms: CPU time of all processes in a second, milliseconds.
    """

    at_rest: Mapping[str, int]
    under_load: dict[str, int]
    idle_ms: float


@dataclass
class WithKong:
    """The measurements.

    Args:
        rates: of each subject, round by round, by rate.
        resident: of each subject.
        growth: of some subjects, round by round, by number of routes or connections.
        grown: their resident bytes in all after that.
    """

    rates: dict[str, dict[str, list[Loads]]] = field(default_factory=dict)
    resident: dict[str, Resident] = field(default_factory=dict)
    growth: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)
    grown: dict[str, dict[str, int]] = field(default_factory=dict)


def measure(command: Path, before: Path | None, rounds: int, seconds: float, say: Callable[[str], None]) -> WithKong:
    """Measure every subject, round by round.

    Args:
        command: the `kong` command.
        before: the `otlp-tracing` command of another build, which is measured too.
        rounds: how many.
        seconds: of full load on each subject in each round.
        say: called with lines about the progress.

    Raises:
        WrkMissingError: there is no wrk.
    """
    names = [name for name, subject in SUBJECTS.items() if before or not subject.before]
    with surroundings(command, before) as around, contextlib.ExitStack() as stack:
        gateways = {}
        for name in names:
            say(f"starting Kong: {name}")
            gateways[name] = stack.enter_context(running_gateway(name, around))
        run = _Run(gateways, rounds, seconds, say)
        run.at_rest()
        for rate in RATES:
            run.at_rate(rate)
        for routes, loads in _GROWTH.items():
            run.with_routes(routes, loads)
    return run.found


class _Run:
    def __init__(
        self, gateways: Mapping[str, Gateway], rounds: int, seconds: float, say: Callable[[str], None]
    ) -> None:
        self._gateways, self._rounds, self._seconds, self._say = gateways, rounds, seconds, say
        self.found = WithKong()

    def at_rest(self) -> None:
        meters = {
            name: CpuMeter([pid for kind in ("nginx", "server", "sidecar") for pid in gateway.kong.pids(kind)])
            for name, gateway in self._gateways.items()
        }
        self._say("at rest")
        time.sleep(_REST_SECONDS)
        for name, gateway in self._gateways.items():
            idle_ms = (meters[name].microseconds(1) or 0.0) / 1e3 / _REST_SECONDS
            self.found.resident[name] = Resident(gateway.kong.resident(), {}, idle_ms)

    def at_rate(self, rate: str) -> None:
        names = [name for name in self._gateways if _can_run(name, rate)]
        for name in names:
            self._gateways[name].trace(RATES[rate], logs=rate == LOGGED)
            warm_up(self._gateways[name].kong.port)
        found: dict[str, list[Loads]] = {name: [] for name in names}
        for number in range(self._rounds):
            for name in names:
                self._say(f"{rate}, round {number + 1} of {self._rounds}: {name}")
                found[name].append(_loads(self._gateways[name], self._seconds))
                most = self.found.resident[name].under_load
                for kind, size in self._gateways[name].kong.resident().items():
                    most[kind] = max(size, most.get(kind, 0))
        self.found.rates[rate] = found

    def with_routes(self, routes: int, loads: Mapping[str, Load]) -> None:
        for name in _GROWN:
            self._say(f"{routes:,} routes: {name}")
            self._gateways[name].trace(1.0, routes)
            warm_up(self._gateways[name].kong.port, routes)
        for kind in loads:
            self.found.growth[kind] = {name: [] for name in _GROWN}
            self.found.grown[kind] = {}
        for number in range(_GROWTH_ROUNDS):
            for kind, load in loads.items():
                self._say(f"{kind}, round {number + 1} of {_GROWTH_ROUNDS}")
                # A slow subject asks 2,000 routes in a round. Kong's router remembers the last 5,000 paths, so it would
                # know those of a second round that asked the same ones.
                turn = replace(load, first=number * load.routes // _GROWTH_ROUNDS)
                for name, rounds in self.found.growth[kind].items():
                    rounds.append(_measure(self._gateways[name], self._seconds, turn))
                    self.found.grown[kind][name] = sum(self._gateways[name].kong.resident().values())


def _can_run(name: str, rate: str) -> bool:
    """Tell whether a subject can run at a rate: the trivial plugin samples nothing, and only this build writes logs."""
    if name == TRIVIAL:
        return RATES[rate] == 1
    return rate != LOGGED or (SUBJECTS[name].plugin == NAME and not SUBJECTS[name].before)


def warm_up(port: int, routes: int = 1) -> None:
    """Ask each route of a Kong once, since its first request is slow; for a second at least and a minute at most."""
    asked, seconds = 0, 0.0
    while asked < routes and seconds < _MAX_WARM_UP_SECONDS:
        # wrk asks the routes in order, so the next run continues where this one has ended.
        asked += run_wrk(port, _WARM_UP_SECONDS, Load(routes=routes, first=asked)).requests
        seconds += _WARM_UP_SECONDS


def _loads(gateway: Gateway, seconds: float) -> Loads:
    full = _measure(gateway, seconds, FULL)
    alone = _measure(gateway, seconds / 2, ALONE)
    half = run_wrk(gateway.kong.port, seconds / 2, half_load(full.requests_per_second, full.p50_ms))
    return Loads(full, _without_cpu(half), alone)


def _measure(gateway: Gateway, seconds: float, load: Load) -> Measurement:
    kong = gateway.kong
    nginx, server, sidecar = (CpuMeter(kong.pids(kind)) for kind in ("nginx", "server", "sidecar"))
    said = run_wrk(kong.port, seconds, load)
    time.sleep(gateway.settle_seconds)
    return replace(
        _without_cpu(said),
        nginx_us=nginx.microseconds(said.requests),
        server_us=server.microseconds(said.requests),
        sidecar_us=sidecar.microseconds(said.requests),
    )


def _without_cpu(said: Said) -> Measurement:
    return Measurement(said.requests_per_second, said.p50_ms, said.p99_ms, failed=said.failed)

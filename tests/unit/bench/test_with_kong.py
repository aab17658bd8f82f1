"""Promises of tests/bench/with_kong.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from bench import with_kong
from bench.measurement import Measurement
from bench.subjects import Gateway
from bench.wrk import Load, Said


class Answers:
    """A double of wrk: it gets so many answers in each run, and notes the routes that it has asked."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.seconds = 0.0
        self.routes: set[int] = set()

    def run(self, _port: int, seconds: float, load: Load) -> Said:
        """Run once."""
        self.seconds += seconds
        self.routes |= {(load.first + number) % load.routes for number in range(self.requests)}
        return Said(self.requests, self.requests / seconds, 1.0, 1.0, 0)


@pytest.mark.parametrize(("routes", "seconds"), [(1, 1), (100, 1), (456, 1), (457, 2), (10_000, 22)])
def test_each_route_is_asked_before_the_measurement(
    monkeypatch: pytest.MonkeyPatch, routes: int, seconds: float
) -> None:
    """For as long as that takes, and a second at least."""
    wrk = Answers(456)
    monkeypatch.setattr(with_kong, "run_wrk", wrk.run)
    with_kong.warm_up(8000, routes)

    assert wrk.routes == set(range(routes))
    assert wrk.seconds == seconds


def test_the_warm_up_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kong that answers nothing is left to the measurement, which shows it."""
    wrk = Answers(0)
    monkeypatch.setattr(with_kong, "run_wrk", wrk.run)
    with_kong.warm_up(8000, 10_000)

    assert wrk.seconds == 60


def test_a_round_asks_other_routes_than_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kong's router, which remembers a part of them, is as slow in each."""
    first: list[int] = []

    def measure(_gateway: object, _seconds: float, load: Load) -> Measurement:
        first.append(load.first)
        return Measurement(1.0, 1.0, 1.0)

    monkeypatch.setattr(with_kong, "run_wrk", Answers(10_000).run)
    monkeypatch.setattr(with_kong, "_measure", measure)
    kong = SimpleNamespace(port=8000, resident=dict)
    gateway = SimpleNamespace(kong=kong, trace=lambda _rate, _routes: None)
    run = with_kong._Run(dict.fromkeys(with_kong._GROWN, cast(Gateway, gateway)), 1, 1.0, lambda _: None)
    run.with_routes(10_000, {"10,000 routes": Load(routes=10_000)})

    assert first == [0, 0, 0, 5000, 5000, 5000]

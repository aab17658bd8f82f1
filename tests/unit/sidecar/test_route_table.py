"""Promises of sidecar/route_table.py."""

from __future__ import annotations

from doubles import ManualClock
from otlp_tracing.sidecar.route_table import OTHER, RouteKey, RouteTable


def test_routes_past_the_bound_are_counted_together() -> None:
    """A known route keeps its key, a new one is OTHER, and each such request is counted."""
    refused: list[None] = []
    routes = RouteTable(lambda: refused.append(None), ManualClock(), max_routes=2)
    keys = [routes.key("s", name) for name in ("a", "b", "c", "a", "d")]

    assert keys == [("s", "a"), ("s", "b"), OTHER, ("s", "a"), OTHER]
    assert len(refused) == 2


def test_an_idle_route_makes_room() -> None:
    """After ten minutes without a request it is evicted for a new one, and every user of the table is told."""
    clock = ManualClock()
    evicted: list[RouteKey] = []
    routes = RouteTable(clock=clock, max_routes=2)
    routes.on_evicted(evicted.append)
    for name in ("idle", "busy"):
        routes.key("s", name)
    clock.now += 599
    routes.key("s", "busy")
    assert routes.key("s", "new") == OTHER
    clock.now += 1

    assert routes.key("s", "new") == ("s", "new")
    assert evicted == [("s", "idle")]

"""Promises of sidecar/tail/route_minimum.py."""

from __future__ import annotations

from otlp_tracing.sidecar.tail.route_minimum import RareRoutes

ENTRY = b"e" * 16


def test_a_route_is_rare_after_a_minute_without_a_trace() -> None:
    """And until its first one; of each entry by itself."""
    routes = RareRoutes()
    first = routes.is_rare(ENTRY, "r", 0.0)
    routes.kept(ENTRY, "r", 0.0)

    assert first
    assert not routes.is_rare(ENTRY, "r", 59.9)
    assert routes.is_rare(ENTRY, "r", 60.0)
    assert routes.is_rare(b"other", "r", 1.0)


def test_every_trace_begins_the_minute_anew() -> None:
    """A route with traces is not rare, whatever they were kept for."""
    routes = RareRoutes()
    for at in (0.0, 40.0):
        routes.kept(ENTRY, "r", at)

    assert not routes.is_rare(ENTRY, "r", 99.0)


def test_the_routes_are_bounded() -> None:
    """Past the bound nothing more is rare, until a minute has passed."""
    routes = RareRoutes(max_routes=2)
    for number in range(3):
        routes.kept(ENTRY, str(number), 0.0)

    assert not routes.is_rare(ENTRY, "2", 1.0)
    assert routes.is_rare(ENTRY, "2", 60.0)

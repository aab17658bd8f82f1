"""Promises of commands/kong_files/scope.py."""

from __future__ import annotations

from otlp_tracing.commands.kong_files.scope import Scope


def test_a_route_decides_and_its_service_is_around_it() -> None:
    """A route covers itself alone; a service covers its routes, as far as the file shows them; no entity covers all."""
    everything, service, route = Scope(), Scope(service="s"), Scope(service="s", route="r")

    assert [one.covers(route) for one in (everything, service, route)] == [True, True, True]
    assert [route.covers(one) for one in (everything, service, Scope(route="q"))] == [False, False, False]
    assert route.identity == Scope(route="r").identity != service.identity


def test_routes_without_a_name_are_different_ones() -> None:
    """Each has its place in the file."""
    first, second = Scope(service="a", route=(3, 7)), Scope(service="b", route=(9, 7))

    assert not first.covers(second)
    assert first.identity != second.identity


def test_a_group_is_consumers_too() -> None:
    """An entry of a group runs for the requests of its consumers alone."""
    assert [one.has_consumer for one in (Scope(service="s"), Scope(consumer="c"), Scope(consumer_group="g"))] == [
        False, True, True,
    ]  # fmt: skip

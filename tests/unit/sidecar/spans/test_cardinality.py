"""Promises of sidecar/spans/cardinality.py."""

from __future__ import annotations

from otlp_tracing.sidecar.spans.cardinality import CardinalityLimit


def test_names_past_the_bound_are_refused_and_told() -> None:
    """Each owner has its bound; names in use stay in use."""
    refused: list[str] = []
    names = CardinalityLimit(refused.append, max_names_per_owner=2)

    assert [names.admit("route", "a", name) for name in ("x", "y", "z", "x")] == [True, True, False, True]
    assert names.admit("route", "b", "z")
    assert refused == ["route"]


def test_all_owners_together_have_a_bound() -> None:
    """Endless owners are endless names."""
    names = CardinalityLimit(max_names=3)

    assert [names.admit("route", str(owner), "x") for owner in range(5)] == [True, True, True, False, False]


def test_asking_admits_nothing() -> None:
    """A name becomes known by being used."""
    names = CardinalityLimit()

    assert not names.knows("route", "a", "x")
    assert not names.knows("route", "a", "x")
    names.admit("route", "a", "x")
    assert names.knows("route", "a", "x")

"""Promises of sidecar/ingest/scopes.py."""

from __future__ import annotations

from otlp_tracing.sidecar.ingest.log_record import LogRecord, Route, Service
from otlp_tracing.sidecar.ingest.scopes import EntryScopes

REQUEST = LogRecord(route=Route(id="r"), service=Service(id="s"))


def test_the_narrowest_scope_counts() -> None:
    """In Kong's order: route and service, route, service, all; a request without a route has the global entry."""
    scopes = EntryScopes(10)
    found = [scopes.find(REQUEST)]
    for number, scope in enumerate([("", ""), ("", "s"), ("r", ""), ("r", "s")]):
        scopes.set(scope, bytes([number]))
        found.append(scopes.find(REQUEST))

    assert found == [None, b"\0", b"\1", b"\2", b"\3"]
    assert scopes.find(LogRecord()) == b"\0"
    assert scopes.find(LogRecord(route=Route(id="other"), service=Service(id="s"))) == b"\1"


def test_scopes_are_bounded() -> None:
    """The scope that was announced the longest ago is forgotten."""
    scopes = EntryScopes(2)
    for number, scope in enumerate([("", "s"), ("r", ""), ("", "s"), ("", "")]):
        scopes.set(scope, bytes([number]))

    assert scopes.find(REQUEST) == b"\2"

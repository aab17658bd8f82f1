"""Promises of sidecar/spans/http_methods.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.spans.http_methods import HttpMethods


def test_the_environment_replaces_the_known_methods() -> None:
    """A full override, as the conventions have it; an empty one is ignored."""
    named = HttpMethods({"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET, PURGE"})

    assert [named.name(method) for method in ("PURGE", "GET", "POST")] == ["PURGE", "GET", "HTTP"]
    assert HttpMethods({"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": ""}).name("POST") == "POST"
    assert HttpMethods({}).attributes("QUERY") == {"http.request.method": "QUERY"}


@pytest.mark.parametrize("method", ["", "\x16\x03\x01\x02", "caf\xe9", "GET /a", "X" * 65, "\ud800"])
def test_bytes_that_are_no_method_do_not_leave(method: str) -> None:
    """A request that nginx could not read begins with anything, a TLS handshake for one."""
    methods = HttpMethods({})

    assert methods.name(method) == "HTTP"
    assert methods.attributes(method) == {"http.request.method": "_OTHER"}
    assert methods.attributes("PURGE")["http.request.method_original"] == "PURGE"

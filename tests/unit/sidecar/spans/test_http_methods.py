"""Promises of sidecar/spans/http_methods.py."""

from __future__ import annotations

from otlp_tracing.sidecar.spans.http_methods import HttpMethods


def test_the_environment_replaces_the_known_methods() -> None:
    """A full override, as the conventions have it; an empty one is ignored."""
    named = HttpMethods({"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET, PURGE"})

    assert [named.name(method) for method in ("PURGE", "GET", "POST")] == ["PURGE", "GET", "HTTP"]
    assert HttpMethods({"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": ""}).name("POST") == "POST"
    assert HttpMethods({}).attributes("QUERY") == {"http.request.method": "QUERY"}

"""Promises of sidecar/spans/server_address.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.sidecar.spans.server_address import own_scheme, server_address
from spans_of import record_of

BALANCER = {
    "host": "internal",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "api.example.com",
    "x-forwarded-port": "8443",
}


@pytest.mark.parametrize(
    ("forwarded", "headers", "expected"),
    [
        ("host", BALANCER, ("https", "api.example.com", 8443)),
        ("proto", {"x-forwarded-proto": "https"}, ("https", "internal", 443)),
        (
            "proto",
            {"x-forwarded-proto": ["HTTPS, http", "http"], "x-forwarded-port": "443"},
            ("https", "internal", 443),
        ),
        ("proto", {"x-forwarded-proto": "http", "x-forwarded-port": "9"}, ("http", "internal", 80)),
        ("port", {"x-forwarded-port": "8443"}, ("http", "internal", 8443)),
        ("host", {"x-forwarded-host": "a.example:444", "x-forwarded-proto": "https"}, ("https", "a.example", 444)),
        ("host", {"x-forwarded-host": "[2001:db8::1], b", "x-forwarded-port": "99999"}, ("http", "2001:db8::1", 80)),
        ("proto", {"x-forwarded-proto": "gopher"}, ("http", "internal", 80)),
        ("", BALANCER, ("http", "internal", 80)),
        ("nonsense", BALANCER, ("http", "internal", 80)),
    ],
)
def test_a_trusted_balancers_headers_count(
    forwarded: str, headers: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    """The first value is the client's; a scheme that is Kong's own does not show that Kong trusts the peer."""
    record = record_of(
        request={"url": "http://internal:8000/a", "headers": {"host": "internal", **headers}},
        otlp_tracing={"forwarded": forwarded},
    )

    assert server_address(record) == expected


def test_a_request_that_access_has_not_seen_has_kongs_own() -> None:
    """Then it is not known whether Kong trusts the peer."""
    record = record_of(request={"url": "https://internal:8443/a", "headers": BALANCER})

    assert server_address(record) == ("https", "internal", 443)


@pytest.mark.parametrize("url", ["", "/a?token=secret", "ftp://gw/a", "HTTP-1://gw", "http:/gw", "://"])
def test_a_scheme_is_one_of_https_two(url: str) -> None:
    """Another plugin can write the URL of the record; a scheme is an attribute of metrics."""
    record = record_of(request={"url": url, "headers": {}})

    assert server_address(record)[0] == own_scheme(record) == "http"

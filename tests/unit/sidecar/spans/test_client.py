"""Promises of sidecar/spans/client.py."""

from __future__ import annotations

from typing import Any

import pytest

from spans_of import record_of, rules_of, spans_of

FAILED_502 = {"state": "failed", "code": 502}
FAILED_504 = {"state": "failed", "code": 504}
OUTCOME = {"http.response.status_code", "error.type"}


def outcomes(**fields: Any) -> list[dict[str, Any]]:
    _, *clients = spans_of(**fields)
    return [{name: value for name, value in span.attributes.items() if name in OUTCOME} for span in clients]


@pytest.mark.parametrize(
    ("attempt", "status", "source", "outcome"),
    [
        ({}, "200", "upstream", {"http.response.status_code": 200}),
        ({}, "404", "upstream", {"http.response.status_code": 404, "error.type": "404"}),
        ({}, "503", "upstream", {"http.response.status_code": 503, "error.type": "503"}),
        ({}, "-", "upstream", {}),
        ({}, "", "kong", {}),
        (FAILED_504, "", "kong", {"error.type": "timeout"}),
        (FAILED_502, "502", "kong", {"error.type": "connection_error"}),
        (FAILED_504, "504", "kong", {"error.type": "timeout"}),
        # The upstream's own 502: Kong calls a last try failed on any status above 499.
        (FAILED_502, "502", "upstream", {"http.response.status_code": 502, "error.type": "502"}),
        ({"state": "failed", "code": 503}, "503", "upstream", {"http.response.status_code": 503, "error.type": "503"}),
        # Retries were left, but the request could not be repeated: Kong says nothing of a failure.
        ({}, "504", "kong", {"error.type": "timeout"}),
    ],
)
def test_the_last_try_says_what_became_of_it(
    attempt: dict[str, Any], status: str, source: str, outcome: dict[str, Any]
) -> None:
    """A status where the upstream gave one, a cause where it did not."""
    assert outcomes(tries=[attempt], upstream_status=status, source=source) == [outcome]


def test_an_earlier_try_says_why_there_was_another() -> None:
    """No answer, or one that calls for another try, whatever the source of the final answer."""
    tries = [FAILED_504, FAILED_502, {"state": "failed", "code": 503}, {"state": "next", "code": 404}, {}]

    assert outcomes(tries=tries, upstream_status="504, 502, 503, 404, 200", source="upstream") == [
        {"error.type": "timeout"},
        {"error.type": "connection_error"},
        {"http.response.status_code": 503, "error.type": "503"},
        {"http.response.status_code": 404, "error.type": "404"},
        {"http.response.status_code": 200},
    ]


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"source": "kong", "tries": [{}], "upstream_status": "200"}, "kong"),
        ({"tries": []}, "kong"),
        ({"tries": [{}], "upstream_status": "200"}, "upstream"),
        ({"tries": [{}], "upstream_status": "-"}, "upstream"),
        ({"tries": [{"state": "failed", "code": 503}], "upstream_status": "503"}, "upstream"),
        ({"tries": [FAILED_502], "upstream_status": "502"}, "kong"),
        (
            {"tries": [FAILED_502], "upstream_status": "502", "response": {"headers": {"server": "gunicorn"}}},
            "upstream",
        ),
    ],
)
def test_who_answered_is_told_without_kongs_word(fields: dict[str, Any], source: str) -> None:
    """Kong before 3.6 does not say; a 502 or 504 is the upstream's only if its Server header is there."""
    assert record_of(**fields).source == source


@pytest.mark.parametrize(
    ("service", "uri", "url"),
    [
        ({"protocol": "http", "host": "users", "port": 8080}, "/a?b=1", "http://users:8080/a?b=1"),
        ({"protocol": "https", "host": "users", "port": 443}, "/a", "https://users/a"),
        ({"protocol": "grpcs", "host": "users", "port": 9090}, "/p.S/M", "https://users:9090/p.S/M"),
        ({"protocol": "http", "host": "2001:db8::1", "port": 80}, "/", "http://[2001:db8::1]/"),
    ],
)
def test_the_upstream_url_is_absolute(service: dict[str, Any], uri: str, url: str) -> None:
    """Scheme, service, port unless it is the scheme's, and the path that Kong asked for."""
    _, client = spans_of(service=service, upstream_uri=uri, tries=[{}])

    assert client.attributes["url.full"] == url


def test_the_peer_is_named() -> None:
    """By a tag of Kong's service, otherwise by its name; not at all without a service's name."""

    def peers(**service: Any) -> list[object]:
        *_, client = spans_of(rules=rules_of(span={"semconv": "dup"}), tries=[{}], service={**service, "port": 80})
        return [client.attributes.get(name) for name in ("service.peer.name", "peer.service")]

    assert peers(name="orders") == ["orders", "orders"]
    assert peers(name="orders", tags=["eu", "service.peer.name:shop/orders"]) == ["shop/orders"] * 2
    assert peers(id="s") == [None, None]

"""Promises of sidecar/redaction/string_kinds.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from redacting import redacted, redacted_with, span_of, values_of


def test_configured_names_have_no_assignments() -> None:
    """A route, the span's name and a vendor's key come from configurations."""
    span = dataclasses.replace(
        span_of("GET /keys/key:rotate", http__route="/key:rotate"), trace_state="auth=1,token=t:2"
    )

    assert redacted(span)[0] is span


def test_values_are_redacted_by_name() -> None:
    """Parameters, headers and baggage are, and credential headers in any configuration."""
    span = span_of(
        url__query="q=shoes&api_key=hunter2",
        url__full="http://users/a?token=hunter2&page=2#f",
        http__target="/a?password=x",
        http__request__header__cookie=["a=1"],
        baggage__api_key="k",
        baggage__tenant="blue",
        **{"http.request.header.x-api-key": ["1", "2"], "http.response.header.location": ["/n?token=h&page=2"]},
    )

    assert values_of(span, sensitive_keys=["key", "token"], extra_sensitive_keys=["password"]) == {
        "url.query": "q=shoes&api_key=REDACTED",
        "url.full": "http://users/a?token=REDACTED&page=2#f",
        "http.target": "/a?password=REDACTED",
        "http.request.header.cookie": ["[REDACTED]"],
        "baggage.api_key": "[REDACTED]",
        "baggage.tenant": "blue",
        "http.request.header.x-api-key": ["[REDACTED]", "[REDACTED]"],
        "http.response.header.location": ["/n?token=REDACTED&page=2"],
    }


@pytest.mark.parametrize(("attribute", "mask"), [("url.full", "REDACTED"), ("http.route", "[REDACTED]")])
def test_an_ignored_name_does_not_cover_a_finding_by_content(attribute: str, mask: str) -> None:
    """This is so in kept queries and in configured names."""
    result, noted = redacted(span_of(**{attribute: "/a?key=user:alice@example.com"}), query="none")

    assert result.attributes == {attribute: f"/a?key=user:{mask}"}
    assert [rule for _, rule, _, _ in noted] == ["email"]


OWN = [
    {"name": "app.a", "source": "request_header", "key": "X-Api-Key"},
    {"name": "app.b", "source": "request_header", "key": "Cookie"},
    {"name": "app.c", "source": "request_header", "key": "referer"},
    {"name": "app.d", "source": "query_parameter", "key": "access_token"},
    {"name": "app.e", "source": "query_parameter", "key": "code"},
    {"name": "app.f", "source": "query_parameter", "key": "page"},
    {"name": "app.g", "source": "path_capture", "key": "token"},
    {"name": "app.session_id", "source": "consumer_custom_id"},
    {"name": "app.key", "source": "literal", "value": "blue"},
    {"name": "app.h", "source": "route_tag"},
]


def test_own_attributes_are_redacted_by_the_name_in_the_request() -> None:
    """Whatever they are called; one with a sensitive name is redacted too, unless the configuration has its value."""
    values: dict[str, Any] = {one["name"]: "blue" for one in OWN} | {"app.c": "https://a/?token=hunter2&page=2"}
    values["app.h"] = ["team:payments", "password=hunter2"]
    result, _ = redacted_with(OWN, span_of(**values))

    secret = dict.fromkeys(("app.a", "app.b", "app.d", "app.e", "app.g", "app.session_id"), "[REDACTED]")
    assert result.attributes == values | secret | {
        "app.c": "https://a/?token=REDACTED&page=2",
        "app.h": ["team:payments", "password=[REDACTED]"],
    }


def test_own_attributes_of_parameters_follow_the_settings_of_queries() -> None:
    """A safe parameter and query: none keep a value, and query: all redacts every parameter."""
    span = span_of(**{"app.d": "blue", "app.f": "blue"})

    def kept(**redaction: Any) -> dict[str, object]:
        return dict(redacted_with(OWN, span, **redaction)[0].attributes)

    assert kept(safe_query=["access_token"]) == kept(query="none") == {"app.d": "blue", "app.f": "blue"}
    assert kept(query="all") == {"app.d": "[REDACTED]", "app.f": "[REDACTED]"}

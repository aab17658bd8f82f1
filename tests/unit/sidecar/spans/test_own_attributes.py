"""Promises of sidecar/spans/own_attributes.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.sidecar.spans.own_attributes import TAKEN
from semconv import REGISTRY
from spans_of import record_of, rules_of, spans_of

RECORD: dict[str, Any] = {
    "request": {
        "uri": "/users/42/orders/a%20b?page=3&page=4&to=caf%C3%A9+1&empty=",
        "headers": {"host": "gw", "x-tenant": ["acme", "other"], "x-number": 7},
    },
    "response": {"status": 200, "headers": {"x-cache": "HIT"}},
    "route": {
        "id": "r",
        "paths": [r"~/users/(?<id>\d+)/orders/([^/]+)(/(?<tail>.*))?$"],
        "tags": ["team:payments", "eu"],
    },
    "service": {"id": "s", "name": "orders", "tags": ["tier:1"]},
    "consumer": {"id": "c1", "username": "jane", "custom_id": "4711", "tags": ["plan:gold"]},
}  # fmt: skip


def own(*wanted: dict[str, Any], **record: Any) -> dict[str, Any]:
    """Return the attributes of one's own on the SERVER span of a request."""
    rules = rules_of(span={"attributes": [{"name": f"app.{number}x", **one} for number, one in enumerate(wanted)]})
    server, *_ = spans_of(rules=rules, **{**RECORD, **record})
    return {name: value for name, value in server.attributes.items() if name.startswith("app.")}


def faults(*wanted: dict[str, Any]) -> list[str]:
    """Return the faults of attributes."""
    return [str(fault) for fault in rules_of(span={"attributes": list(wanted)}).faults]


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ({"source": "literal", "value": "blue"}, "blue"),
        ({"source": "request_header", "key": "X-Tenant"}, "acme"),
        ({"source": "response_header", "key": "x-cache"}, "HIT"),
        ({"source": "query_parameter", "key": "page"}, "3"),
        ({"source": "query_parameter", "key": "to"}, "café 1"),
        ({"source": "path_capture", "key": "id"}, "42"),
        ({"source": "path_capture", "key": "2"}, "a b"),
        ({"source": "consumer_id"}, "c1"),
        ({"source": "consumer_username"}, "jane"),
        ({"source": "consumer_custom_id"}, "4711"),
        ({"source": "consumer_tag"}, ["plan:gold"]),
        ({"source": "consumer_tag", "key": "plan"}, "gold"),
        ({"source": "route_tag"}, ["team:payments", "eu"]),
        ({"source": "route_tag", "key": "team"}, "payments"),
        ({"source": "service_tag", "key": "tier"}, "1"),
    ],
)
def test_each_source_gives_its_value(wanted: dict[str, Any], value: object) -> None:
    """The first line of a header and the first parameter count; parameters and captures are decoded."""
    assert own(wanted) == {"app.0x": value}


@pytest.mark.parametrize(
    "wanted",
    [
        {"source": "request_header", "key": "x-other"},
        {"source": "request_header", "key": "x-number"},
        {"source": "query_parameter", "key": "empty"},
        {"source": "query_parameter", "key": "pag"},
        {"source": "path_capture", "key": "tail"},
        {"source": "path_capture", "key": "9"},
        {"source": "consumer_tag", "key": "team"},
        {"source": "service_tag", "key": "team"},
    ],
)
def test_without_a_value_the_configured_one_counts(wanted: dict[str, Any]) -> None:
    """Without that one there is no attribute."""
    assert own(wanted, {**wanted, "value": "none"}) == {"app.1x": "none"}


def test_a_request_without_route_and_consumer_has_what_is_its_own() -> None:
    """A 404 has its headers and literals, and no attribute of an entity."""
    wanted = [{"source": "literal", "value": "blue"}, {"source": "path_capture", "key": "id"}, {"source": "route_tag"}]
    wanted += [{"source": "consumer_custom_id"}, {"source": "service_tag"}]

    assert own(*wanted, route=None, service=None, consumer=None) == {"app.0x": "blue"}


def test_only_server_spans_have_them() -> None:
    """So that no backend counts a value twice."""
    rules = rules_of(span={"attributes": [{"name": "app.a", "source": "literal", "value": "b"}]})
    server, client = spans_of(rules=rules, tries=[{}])

    assert ("app.a" in server.attributes, "app.a" in client.attributes) == (True, False)


def test_of_several_expressions_the_one_that_matched_counts() -> None:
    """As for http.route; without a match, and for a plain path, there is no capture."""
    paths = [r"~/a/(?<x>\d+)$", r"~/b/(?<x>\d+)$", "/c"]

    def captured(uri: str, paths: list[str]) -> dict[str, Any]:
        return own({"source": "path_capture", "key": "x"}, request={"uri": uri}, route={"id": "r", "paths": paths})

    assert captured("/b/2?x=9", paths) == {"app.0x": "2"}
    assert captured("/c/3", paths) == captured("/c/3", ["/c"]) == {}


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        (
            {"name": "http.route", "source": "literal", "value": "a"},
            'span.attributes[1].name = "http.route": must not begin with http., which the spans fill themselves; '
            "app.http.route can be used",
        ),
        ({"name": "kong", "source": "literal", "value": "a"}, 'span.attributes[1].name = "kong": must not begin with'),
        ({"name": "a", "source": "literal"}, "span.attributes[1].value: is required with the source literal"),
        ({"name": "a", "source": "path_capture"}, "span.attributes[1].key: is required with the source path_capture"),
        (
            {"name": "a", "source": "consumer_id", "key": "b"},
            'span.attributes[1].key = "b": must be unset with the source consumer_id',
        ),
        (
            {"name": "a", "source": "request_header", "key": "a: b"},
            'span.attributes[1].key = "a: b": must be the name of a header',
        ),
    ],
)
def test_a_fault_is_one_sentence(wanted: dict[str, Any], fault: str) -> None:
    """With the field, its value and the rule."""
    (found,) = faults(wanted)

    assert found.startswith(fault)


def test_a_faulty_attribute_costs_that_one_alone() -> None:
    """A second one of the same name is left out too."""
    good = {"name": "app.a", "source": "literal", "value": "1"}
    rules = rules_of(span={"attributes": [good, {**good, "value": "2"}, {**good, "name": "url.path"}]})
    server, *_ = spans_of(rules=rules)

    assert str(rules.faults[0]) == 'span.attributes[2].name = "app.a": is the name of span.attributes[1] too'
    assert (len(rules.faults), server.attributes["app.a"], server.attributes["url.path"]) == (2, "1", "/a/b")


def test_no_name_that_a_span_has_can_be_taken() -> None:
    """Each attribute that the product sets is in a namespace that is refused."""
    of_the_resource = ("container.", "deployment.", "host.", "k8s.", "os.", "process.")
    names = [*REGISTRY["attributes"], *(f"{prefix}x" for prefix in REGISTRY["own_prefixes"] if prefix != "app.")]

    assert [name for name in names if not name.startswith((*TAKEN, *of_the_resource))] == []


def test_a_route_with_facts_of_a_wrong_type_costs_nothing() -> None:
    """Another log plugin can change the record."""
    record = record_of(route={"id": "r", "paths": {}, "tags": "eu"}, service={"tags": 7})
    rules = rules_of(
        span={"attributes": [{"name": "a", "source": "route_tag"}, {"name": "b", "source": "path_capture", "key": "x"}]}
    )

    assert rules.own_attributes is not None
    assert rules.own_attributes.attributes(record) == {}

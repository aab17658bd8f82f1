"""Promises of sidecar/spans/shared_attributes.py, and of the spans that have such attributes."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.sidecar.spans.assemble import assemble
from otlp_tracing.sidecar.spans.shared_attributes import SharedTable
from spans_of import CONTEXT, GRPC, record_of, rules_of

_TRIES = [{"ip": "10.0.0.1", "port": 80, "state": "failed", "code": 502}, {"ip": "10.0.0.2", "port": 80}]
_ROUTE = {"id": "r", "name": "all", "paths": ["/a"]}


def test_a_set_is_remembered_by_its_key() -> None:
    """A set of attributes is returned for its key, and for no other."""
    table = SharedTable()

    added = table.add(("GET", 80), {"a": "b"})

    assert table.get(("GET", 80)) is added
    assert table.get(("GET", 81)) is None


def test_the_oldest_set_is_forgotten() -> None:
    """Past 2,048 sets, the oldest is forgotten."""
    table = SharedTable()

    for number in range(2_049):
        table.add((number,), {"a": "b"})

    assert [table.get((number,)) is None for number in (0, 1, 2_048)] == [True, False, False]


def test_a_long_set_is_not_remembered() -> None:
    """A set with more text than Kong's entities have is not remembered: a client may have made it up."""
    table = SharedTable()

    shared = table.add(("long",), {"server.address": "a" * 1025})

    assert shared.attributes == {"server.address": "a" * 1025}
    assert table.get(("long",)) is None


@pytest.mark.parametrize(
    ("config", "fields"),
    [
        ({}, {}),
        ({"span": {"semconv": "dup"}}, {"route": _ROUTE, "tries": _TRIES, "upstream_status": "502, 200"}),
        ({"span": {"attributes": [{"name": "app.a", "source": "literal", "value": "b"}]}}, {"tries": [{}]}),
        ({"capture": {"request_headers": ["host"]}}, {"consumer": {"id": "c", "username": "alice"}}),
        ({}, GRPC),
        ({}, {"request": {"method": "BREW"}, "response": {"status": 0}, "tries": [{}]}),
    ],
)
def test_shared_attributes_are_the_first(config: dict[str, Any], fields: dict[str, Any]) -> None:
    """The attributes of a span begin with the shared ones, in their order and with their values."""
    rules = rules_of(**config)

    for _ in range(2):  # the second request finds them in the table
        spans = [span for span in assemble(record_of(**fields), CONTEXT, rules) if span.kind != "internal"]

        for span in spans:
            assert span.shared is not None
            assert span.shared.attributes
            assert list(span.attributes.items())[: len(span.shared.attributes)] == list(span.shared.attributes.items())


def test_requests_of_a_route_share_attributes() -> None:
    """Two requests of a route share the attributes that do not depend on the path; one with another status does not."""
    rules = rules_of()

    def shared(path: str, status: int) -> Any:
        record = record_of(request={"uri": path}, response={"status": status}, route=_ROUTE)
        return assemble(record, CONTEXT, rules)[0].shared

    assert shared("/a/1", 200) is shared("/a/2?b=c", 200)
    assert shared("/a/1", 200) is not shared("/a/1", 404)


@pytest.mark.parametrize(
    "fields",
    [
        {"route": {**_ROUTE, "name": "others"}},
        {"route": {**_ROUTE, "id": "r2"}},
        {"route": {**_ROUTE, "paths": ["/b"]}},
        {"service": {"id": "s2"}},
        {"service": {"name": "s2"}},
        {"workspace": "w2"},
        {"workspace_name": "w2"},
        {"source": "kong"},
        {"request": {"method": "POST"}},
        {"request": {"headers": {"host": "other:8000"}}},
        {"request": {"headers": {"host": "gw:8001"}}},
        {"request": {"url": "https://gw:8000/a"}},
    ],
)
def test_no_value_of_another_request_is_shared(fields: dict[str, Any]) -> None:
    """A request that differs in any shared attribute has its own value of it."""
    rules = rules_of()
    usual = {"route": _ROUTE, "source": "upstream", "tries": [{}], "upstream_status": "200"}
    assemble(record_of(**usual), CONTEXT, rules)

    found = [span.attributes for span in assemble(record_of(**usual | fields), CONTEXT, rules)]

    assert found == [span.attributes for span in assemble(record_of(**usual | fields), CONTEXT, rules_of())]

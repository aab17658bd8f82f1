"""Promises of sidecar/spans/span_name.py."""

from __future__ import annotations

from typing import Any

import pytest

from spans_of import GRPC, rules_of, spans_of

TEAM = {"name": "app.team", "source": "route_tag", "key": "team"}
ROUTE = {"id": "r", "name": "orders", "paths": ["/a"], "tags": ["team:payments"]}


def name(template: str, *, wanted: list[dict[str, Any]] | None = None, **record: Any) -> str:
    """Return the name of the SERVER span of a request."""
    rules = rules_of(span={"name": template, "attributes": wanted or []})
    assert rules.faults == ()
    return spans_of(rules=rules, **record)[0].name


def test_the_name_is_the_templates() -> None:
    """With values of attributes, own ones included, and literal text."""
    assert name("{http.request.method} {kong.route.name}", route=ROUTE) == "GET orders"
    assert name("edge {app.team} {http.route}", wanted=[TEAM], route=ROUTE) == "edge payments /a"
    assert name("{rpc.method}", **GRPC) == "shop.Cart/Add"


def test_a_method_that_a_client_made_up_is_no_name() -> None:
    """It is shown as HTTP, as in other names."""
    assert name("{http.request.method}", request={"method": "BREW"}) == "HTTP"


def test_missing_attributes_are_left_out() -> None:
    """A request without any of them has the name of the conventions."""
    assert name("{http.request.method} {kong.route.name} {http.route}") == "GET"
    assert name("{kong.route.name}") == "GET"


def test_only_server_spans_are_renamed() -> None:
    """CLIENT spans keep the method."""
    assert [one.name for one in spans_of(rules=rules_of(span={"name": "edge"}), tries=[{}])] == ["edge", "GET"]


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("{http.rout}", "cannot be part of a name; did you mean http.route?"),
        ("{app.tema}", "cannot be part of a name; did you mean app.team?"),
        ("{url.path}", "cannot be part of a name; there are http.request.method, http.route"),
        ("{app.tenant}", "cannot be part of a name"),
        ("{}", "cannot be part of a name; there are"),
        ("{kong.route.name", "has no closing brace"),
    ],
)
def test_an_attribute_with_many_values_is_refused(template: str, rule: str) -> None:
    """The span then has the name of the conventions."""
    tenant = {"name": "app.tenant", "source": "request_header", "key": "x-tenant"}
    rules = rules_of(span={"name": template, "attributes": [TEAM, tenant]})
    (fault,) = rules.faults

    assert str(fault).startswith(f'span.name = "{template}": {template} {rule}')
    assert spans_of(rules=rules)[0].name == "GET"

"""Promises of sidecar/tail/rules.py."""

from __future__ import annotations

from typing import Any

import pytest

from otlp_tracing.config.settings import Settings
from otlp_tracing.errors import ConfigError
from otlp_tracing.sidecar.ingest.request_record import decode
from otlp_tracing.sidecar.tail.rules import FinishedRequest, TailRules
from spans_of import GRPC, record_of

GOLD = {
    "consumer": {"id": "c-1", "username": "gold-shop", "custom_id": "4711", "tags": ["paying"]},
    "route": {"id": "r-1", "name": "list", "tags": ["public", 5]},
    "service": {"id": "s-1", "name": "users", "tags": ["core"]},
    "request": {"method": "POST", "size": 5000, "headers": {"host": "Shop.test:8000", "x-plan": ["free", "trial"]}},
    "response": {"status": 404, "size": 100, "headers": {"x-cache-status": "Hit"}},
    "latencies": {"request": 250},
}
ATTRIBUTES = {"http.route": "/a", "kong.flag": True, "http.request.header.x": ["one", "two"], "n": 5}


def rules(*conditions: dict[str, Any]) -> TailRules:
    named = [{"name": f"rule {number}", "rate": 1, **one} for number, one in enumerate(conditions, 1)]
    return TailRules(Settings.from_config({"sampling": {"tail_rules": named}}).sampling.tail_rules)


def matches(condition: dict[str, Any], **fields: Any) -> bool:
    request = FinishedRequest(record_of(**{**GOLD, **fields}), lambda: ATTRIBUTES)
    return rules(condition).match(request) is not None


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"consumers": ["gold-*"]}, {"consumers": ["4711"]}, {"consumers": ["c-1"]}, {"consumers": ["a", "gold-shop"]},
        {"services": ["users"]}, {"services": ["s-*"]}, {"routes": ["list"]}, {"routes": ["r-1"]},
        {"tags": ["paying"]}, {"tags": ["pub*"]}, {"tags": ["core"]},
        {"statuses": [404]}, {"statuses": [4]}, {"statuses": [200, 4]},
        {"slower_than_ms": 249}, {"faster_than_ms": 251}, {"larger_than_bytes": 4999},
        {"methods": ["POST"]}, {"paths": ["/a/*"]}, {"paths": ["~/a/[b]"]}, {"hosts": ["*.test"]},
        {"headers": ["X-Plan: trial"]}, {"response_headers": ["X-Cache-Status: H*"]},
        {"attributes": ["http.route: /a"]}, {"attributes": ["kong.flag: true"]}, {"attributes": ["n: 5"]},
        {"attributes": ["http.request.header.x: two", "n: *"]},
        {"consumers": ["gold-*"], "statuses": [4], "slower_than_ms": 100, "attributes": ["n: 5"]},
    ],
)  # fmt: skip
def test_a_request_that_meets_all_conditions_matches(condition: dict[str, Any]) -> None:
    """By consumer, service, route, tag, status, duration, size, request, headers and attributes."""
    assert matches(condition)


@pytest.mark.parametrize(
    "condition",
    [
        {"consumers": ["gold"]}, {"consumers": ["GOLD-*"]}, {"services": ["list"]}, {"routes": ["users"]},
        {"tags": ["5"]},
        {"statuses": [400]}, {"statuses": [2, 5]}, {"slower_than_ms": 250}, {"faster_than_ms": 250},
        {"larger_than_bytes": 5000}, {"methods": ["GET"]}, {"paths": ["/b"]}, {"hosts": ["test"]},
        {"headers": ["x-plan: paid"]}, {"headers": ["x-other: *"]}, {"response_headers": ["x-cache-status: Miss"]},
        {"grpc_statuses": ["OK"]}, {"attributes": ["missing: *"]}, {"attributes": ["n: 5", "n: 6"]},
        {"consumers": ["gold-*"], "statuses": [5]},
    ],
)  # fmt: skip
def test_a_request_that_breaks_one_condition_does_not_match(condition: dict[str, Any]) -> None:
    """A value of another kind matches nothing either."""
    assert not matches(condition)


@pytest.mark.parametrize("name", ["consumers", "tags", "services", "routes"])
def test_a_request_without_the_entity_does_not_match(name: str) -> None:
    """Not even `*`: an anonymous request has no consumer."""
    fields: dict[str, Any] = {"consumer": None, "service": None, "route": {"tags": {}}}

    assert not matches({name: ["*"]}, **fields)


def test_a_grpc_status_is_matched_by_its_name() -> None:
    """As the record has it, in the response's headers."""
    fields = {**GRPC, "response": {"status": 200, "headers": {"grpc-status": "8"}}}

    assert matches({"grpc_statuses": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]}, **fields)
    assert not matches({"grpc_statuses": ["OK"]}, **fields)


def test_a_record_without_figures_meets_no_bound() -> None:
    """Any log plugin can remove the duration and the sizes."""
    fields = {"latencies": {"request": None}, "request": {"size": None}, "response": {"size": None}}

    for condition in ({"slower_than_ms": 1}, {"faster_than_ms": 1000}, {"larger_than_bytes": 1}):
        assert not matches(condition, **fields)


def test_the_first_rule_that_matches_is_taken() -> None:
    """In the order of the configuration."""
    request = FinishedRequest(record_of(**GOLD), dict)
    found = rules({"consumers": ["silver"]}, {"tags": ["core"]}, {}).match(request)

    assert found is not None
    assert found.name == "rule 2"


def test_attributes_are_made_once_and_only_if_a_rule_asks() -> None:
    """They cost more than all other facts."""
    made: list[int] = []

    def read() -> dict[str, Any]:
        made.append(1)
        return ATTRIBUTES

    request = FinishedRequest(record_of(**GOLD), read)
    rules({"statuses": [500], "attributes": ["n: 5"]}).match(request)
    assert made == []

    rules({"attributes": ["n: 6"]}, {"attributes": ["n: 7"]}).match(request)
    assert made == [1]


def test_a_pattern_that_re2_refuses_is_a_fault_with_its_field() -> None:
    """As for the rules of the head."""
    with pytest.raises(ConfigError, match=r"sampling\.tail_rules\[1\]\.paths"):
        rules({"paths": ["~("]})


def test_the_number_of_rules_is_bounded() -> None:
    """Each request that no rule matches is compared with all of them."""
    with pytest.raises(ConfigError, match="at most 64"):
        rules(*[{}] * 65)


def test_a_rule_reads_no_more_of_a_record_than_it_asks_for() -> None:
    """Of a request that is not sampled, the outline is enough for status, duration, service and route."""
    ignored: list[str] = []
    log = (
        b'{"request":{"uri":"/a"},"response":{"status":404},"service":{"name":"s"},"route":{"name":"r"},'
        b'"latencies":{"request":9},"client_ip":7,"otlp_tracing":{"sampled":false}}'
    )
    request = FinishedRequest(decode(log, ignored.append), dict)
    cheap = {"statuses": [404], "slower_than_ms": 8, "services": ["s"], "routes": ["r"]}

    assert rules(cheap).match(request) is not None
    assert ignored == []
    assert rules({**cheap, "consumers": ["c"]}).match(request) is None
    assert ignored == ["client_ip"]

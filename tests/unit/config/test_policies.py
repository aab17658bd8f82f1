"""Promises of config/policies.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otlp_tracing.config.policies import MAX_BYTES, is_policy_file, parse_policies, rules_json
from otlp_tracing.config.settings import SamplingRule, TailRule
from otlp_tracing.errors import ConfigError

POLICIES = b"""
sender: platform-team
policies:
- id: gold
  name: Every request of gold customers
  trace: {match: {consumers: ["gold-*"]}, keep: all}
- id: health
  name: No health checks
  description: They are many.
  trace: {match: {paths: ["/health*"], methods: [GET]}, keep: none}
- id: unused
  name: Not used
  enabled: false
  trace: {match: {statuses: [4]}, keep: 12.5%}
"""


def one(**fields: Any) -> bytes:
    policy = {"id": "a", "name": "A", "trace": {"match": {"paths": ["*"]}, "keep": "10%"}, **fields}
    return json.dumps({"policies": [policy]}).encode()


def faults(content: bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_policies(content)
    return [str(fault) for fault in caught.value.faults]


def test_policies_become_rules_of_the_head_and_of_the_tail() -> None:
    """By their conditions; a policy that is not enabled is as if it were not there."""
    policies = parse_policies(POLICIES)

    assert policies.sender == "platform-team"
    assert policies.head == (SamplingRule("health", ("GET",), ("/health*",), (), (), 0.0),)
    assert policies.tail == (TailRule("gold", (), (), (), (), 1.0, consumers=("gold-*",)),)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_a_file_can_be_json(indent: Any) -> None:
    """In every form, also with tabs, which YAML does not take, and with a byte order mark."""
    text = json.dumps(json.loads(one()), indent=indent)

    assert parse_policies(text.encode("utf-8-sig")) == parse_policies(one())


@pytest.mark.parametrize(("keep", "rate"), [("all", 1), ("none", 0), ("10%", 0.1), ("0.5%", 0.005), ("100%", 1)])
def test_the_share_is_all_none_or_a_percentage(keep: str, rate: float) -> None:
    """In the words of the OTEP."""
    (rule,) = parse_policies(one(trace={"match": {"hosts": ["a"]}, "keep": keep})).head

    assert rule.rate == pytest.approx(rate)


def test_the_rules_of_the_head_are_written_for_workers() -> None:
    """As `sampling.rules` has them."""
    assert json.loads(rules_json(parse_policies(POLICIES).head)) == [
        {"name": "health", "methods": ["GET"], "paths": ["/health*"], "hosts": [], "headers": [], "rate": 0.0}
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "must be a record with policies"),
        (b"- id: a", "must be a record with policies"),
        (b"policies:\n- {id: a, name", "cannot be read as YAML: line 2"),
        (b"policies: [\xff]", "cannot be read as YAML"),
        (b"a: &a [1]\npolicies: *a", "aliases (*) are not allowed"),
        (b"[" * 5000, "cannot be read as YAML"),
        (b"#" * (MAX_BYTES + 1), "must be 65536 bytes or less"),
        (b"sender: a", "policies: is required"),
        (b"policies: 5", "policies = 5: must be an array"),
        (b"policies: []\npolicies: []", "policies is written twice"),
        (b'{"policies": [], "policies": []}', "policies is written twice"),
        (b"policies: [{id: a, name: b, id: c}]", "line 1, column 12: id is written twice"),
        (b'sender: "a\\nERROR forged"\npolicies: []', 'sender = "a\\nERROR forged": must be one line'),
        (b"sender: 0x" + b"f" * 6000, "sender: must be a string"),
        (b"policies: {2020-01-01: 1}", "policies: must be an array"),
        (b"2020-01-01: 1\npolicies: []", "2020-01-01: no such field"),
        (b"p" * 1000 + b": 1\npolicies: []", f"{'p' * 77}…: no such field; "),
        (b"policies: !!set {a}", "policies"),
        (b"\xff\xfea\x00:\x00 \x001\x00", "cannot be read as YAML"),
        (b"policies: []\n---\npolicies: []", "cannot be read as YAML"),
        (one(keep="all"), "policies[1].keep: no such field"),
        (one(trace=None), "policies[1].trace"),
        (one(trace={"match": {"paths": ["*"]}}), "policies[1].trace.keep: is required"),
        (one(trace={"match": {"paths": ["*"]}, "keep": "half"}), "must be all, none, or a percentage such as 10%"),
        (one(trace={"match": {"paths": ["*"]}, "keep": "101%"}), "must be all, none, or a percentage such as 10%"),
        (one(trace={"match": {}, "keep": "all"}), "policies[1].trace.match: must have a condition"),
        (
            one(trace={"match": {"statuses": [404, 6]}, "keep": "all"}),
            "match.statuses[2] = 6: must be a status such as 404",
        ),
        (one(trace={"match": {"statuses": [99]}, "keep": "all"}), "match.statuses[1] = 99: must be a status"),
        (
            one(trace={"match": {"slower_than_ms": 20, "faster_than_ms": 20}, "keep": "all"}),
            "match.faster_than_ms = 20: must be more than slower_than_ms, 20",
        ),
        (one(trace={"match": {"paths": ["/a", "orders"]}, "keep": "all"}), 'paths[2] = "orders": must begin with /'),
        (one(trace={"match": {"paths": ["~^orders/[0-9]+"]}, "keep": "all"}), "must begin with / or *"),
        (one(trace={"match": {"hosts": ["https://a.example"]}, "keep": "all"}), "hosts[1]"),
        (one(trace={"match": {"hosts": ["a.example:8443"]}, "keep": "all"}), "without a scheme, a port and a path"),
        (one(trace={"match": {"consumer": ["x"]}, "keep": "all"}), "did you mean consumers?"),
        (one(id="a b"), "policies[1].id"),
        (one(name=None), "policies[1].name: is required"),
        (b"policies:\n" + b"- {id: a, name: a, trace: {match: {paths: [a]}, keep: all}}\n" * 65, "at most 64"),
        (b"policies:\n" + b"- {id: a, name: a, trace: {match: {paths: [a]}, keep: all}}\n" * 2, "also that of another"),
    ],
)
def test_a_wrong_file_has_faults_with_field_and_rule(content: bytes, fault: str) -> None:
    """Whatever its bytes: one kind of error."""
    assert any(fault in one for one in faults(content)), faults(content)


@pytest.mark.parametrize(
    "match",
    [
        {"paths": ["*", "/a*", "*.php", "~/a", "~^/a", "~.*x", "~(?i)/a", "~a?/b", "~a|/b", "~[/]a"]},
        {"hosts": ["*", "*.a.example", "a", "[::1]", "10.0.0.1"]},
        {"statuses": [1, 5, 100, 599], "slower_than_ms": 1, "faster_than_ms": 2},
    ],
)
def test_conditions_that_a_request_can_meet_are_taken(match: dict[str, Any]) -> None:
    """A pattern that may match is no fault."""
    assert parse_policies(one(trace={"match": match, "keep": "all"})).places


def test_only_documents_with_policies_are_policy_files() -> None:
    """No configuration of Kong's has that field."""
    assert is_policy_file({"policies": []})
    assert not is_policy_file({"_format_version": "3.0", "policies": []})
    assert not is_policy_file([{"policies": []}])

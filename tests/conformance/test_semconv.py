"""Every attribute that our spans carry is one of the published registry's, of its type, and none is missing.

The unit tests' spans are held against the same figures where they are made (spans_of.py).
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from checkout import TESTDATA
from otlp_tracing.sidecar.otlp import encoder as otlp
from otlp_tracing.sidecar.spans.model import SpanRecord
from semconv import REGISTRY, attribute_faults, faults, missing
from spans_of import GRPC, rules_of, spans_of

EXPECTED = sorted((TESTDATA / "expected_spans").rglob("*.yaml"))
RICH: dict[str, Any] = {
    "request": {
        "uri": "/a?b=1",
        "size": 96,
        "id": "f" * 32,
        "headers": {"host": "gw", "user-agent": "curl", "x-a": "1"},
        "tls": {"version": "TLSv1.2", "cipher": "ECDHE-RSA-AES128-GCM-SHA256"},
    },
    "response": {"status": 503, "size": 971, "headers": {"x-b": ["1", "2"]}},
    "route": {"id": "r", "name": "r", "paths": [r"~/(?<x>\w+)$"]},
    "service": {"id": "s", "name": "s"},
    "consumer": {"id": "c", "username": "c"},
    "latencies": {"request": 500, "kong": 1, "proxy": 2, "receive": 3},
    "client_ip": "10.0.0.1",
    "upstream_uri": "/a",
    "upstream_status": "504, 503",
    "workspace": "w",
    "workspace_name": "w",
    "tries": [{"ip": "10.0.0.2", "port": 80, "state": "failed", "code": 504}, {"balancer_start_ns": 1_200_000_000}],
}
RULES = rules_of(
    span={"semconv": "dup"},
    capture={"request_headers": ["x-a"], "response_headers": ["x-b"], "gen_ai_messages": ["input", "output"]},
)
REQUESTS: list[dict[str, Any]] = [
    RICH,
    {**RICH, "tries": [{"ip": "10.0.0.2", "port": 80, "balancer_start_ns": 1_200_000_000}], "upstream_status": "503"},
    {**GRPC, "response": {"headers": {"grpc-status": "5"}}},
    {**GRPC, "response": {"headers": {"grpc-status": "12"}}},
    {"request": {"method": "BREW"}, "tries": []},
    {
        **RICH,
        "ai": {
            "proxy": {
                "meta": {"provider_name": "openai", "request_model": "gpt-4", "response_model": "gpt-4"},
                "usage": {"prompt_tokens": 11, "completion_tokens": 2, "cost": 0.1, "time_per_token": 2.5},
                "payload": {"request": '{"prompt": "hi"}', "response": "hi"},
            }
        },
    },
]


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: str(path.relative_to(TESTDATA / "expected_spans")))
def test_the_expected_spans_keep_to_the_registry(path: Path) -> None:
    """The spans that a person wrote for a recorded request follow the conventions too."""
    for span in yaml.safe_load(path.read_text())["spans"]:
        shown = SpanRecord(b"", b"", None, span["name"], span["kind"], 0, 0, span["attributes"], 0, "",
                           span["status"] == "error")  # fmt: skip
        assert faults(shown) == []
        assert missing(shown) == []


@pytest.mark.parametrize("fields", REQUESTS)
def test_all_that_spans_can_carry_keeps_to_the_registry(fields: dict[str, Any]) -> None:
    """With every option on, former names included, nothing is unknown, wrong or missing."""
    for span in spans_of(rules=RULES, **fields):
        assert missing(span) == []


def test_former_names_are_for_dup_only() -> None:
    """Without it no span has a deprecated attribute."""
    deprecated = {name for name, facts in REGISTRY["attributes"].items() if facts["stability"] == "deprecated"}

    def carried(**options: Any) -> set[str]:
        return {name for fields in REQUESTS for span in spans_of(**options, **fields) for name in span.attributes}

    assert not deprecated & carried()
    assert deprecated <= carried(rules=RULES)


def test_the_registrys_figures_are_those_of_the_schema() -> None:
    """Spans name a version of the conventions; the figures are of that version."""
    assert otlp.SCHEMA_URL.endswith(f"/{REGISTRY['version']}")


def test_the_names_are_those_that_opentelemetry_publishes() -> None:
    """A slip of the pen in the data would let the same slip in the code pass."""
    published: set[str] = set()
    for area in {name.partition(".")[0] for name in REGISTRY["attributes"]}:
        module = importlib.import_module(f"opentelemetry.semconv._incubating.attributes.{area}_attributes")
        published |= {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}

    # In the migration guide, and in the registry until 1.21.
    assert REGISTRY["attributes"].keys() - published <= {"http.resend_count"}


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("http.status", 200),
        ("http.response.status_code", "200"),
        ("http.response.status_code", True),
        ("http.request.header.x-a", "1"),
        ("http.request.header", ["1"]),
        ("http.request.method", "BREW"),
    ],
)
def test_the_check_finds_what_is_wrong(attribute: str, value: object) -> None:
    """Unknown names, wrong types and values that are not allowed."""
    assert list(attribute_faults({attribute: value}))


def test_the_check_finds_what_is_missing() -> None:
    """An attribute that is required, and one that another one calls for."""
    span = SpanRecord(b"", b"", None, "GET", "client", 0, 0, {"network.peer.port": 80}, 0, "", False)

    assert {"url.full", "network.peer.address"} <= set(missing(span))

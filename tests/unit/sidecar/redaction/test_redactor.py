"""Promises of sidecar/redaction/redactor.py."""

from __future__ import annotations

import dataclasses
import logging
import random

import pytest

from otlp_tracing.config.settings import Settings
from otlp_tracing.context import SpanContext
from otlp_tracing.sidecar.otlp.encoder import encode_span
from otlp_tracing.sidecar.redaction.detectors import CONTENT_DETECTORS
from otlp_tracing.sidecar.redaction.redactor import shared_redactor
from otlp_tracing.sidecar.spans.model import SharedAttributes
from redacting import redacted, shared_span, span_of, values_of


def test_a_span_without_secrets_is_the_same_span() -> None:
    """It is not copied."""
    span = span_of(url__path="/users/42", url__query="page=1", kong__request__id="5f3b2c6a9d8e4f1b", size=3)

    assert redacted(span) == (span, [])
    assert redacted(span)[0] is span


def test_every_string_is_redacted() -> None:
    """These are the span's name, its attributes, and items of lists."""
    span = span_of("GET /alice@example.com", a="x alice@example.com", b=["y", "alice@example.com"], c=True, d=4.0)
    result, noted = redacted(span)

    assert result.name == "GET /[REDACTED]"
    assert result.attributes == {"a": "x [REDACTED]", "b": ["y", "[REDACTED]"], "c": True, "d": 4.0}
    assert {(attribute, rule, action) for attribute, rule, action, _ in noted} == {
        (name, "email", "redacted") for name in ("", "a", "b")
    }


def test_a_tracestate_is_redacted() -> None:
    """Those of the span and its links are, and stay valid."""
    link = SpanContext(b"\x05" * 16, b"\x06" * 8, 1, "v=alice@example.com")
    span = dataclasses.replace(span_of(), trace_state="ot=th:8,v=alice@example.com", links=(link,))
    result, _ = redacted(span, mode="drop")

    assert result.trace_state == "ot=th:8,v=REDACTED"
    assert [one.trace_state for one in result.links] == ["v=REDACTED"]


def test_queries_can_be_kept_and_names_be_safe() -> None:
    """A safe name is not found by content either."""
    span = span_of(url__query="sort_key=a&token=b")

    assert values_of(span, query="none")["url.query"] == "sort_key=a&token=b"
    assert values_of(span, safe_query=["sort_key"])["url.query"] == "sort_key=a&token=REDACTED"
    assert values_of(span, query="all", safe_query=["token"])["url.query"] == "sort_key=REDACTED&token=b"
    assert values_of(span_of(url__query="secretvalue"), query="all")["url.query"] == "REDACTED"


def test_dry_run_reports_findings_by_content(caplog: pytest.LogCaptureFixture) -> None:
    """Findings by name are redacted, and the log has a warning."""
    span = span_of(url__query="token=x&m=alice@example.com", a="ORD-1 password=y")
    patterns = [{"name": "order", "pattern": "ORD-[0-9]"}]
    result, noted = redacted(span, dry_run=True, patterns=patterns)

    assert result.attributes == {
        "url.query": "token=REDACTED&m=alice@example.com",
        "a": "ORD-1 password=[REDACTED]",
    }
    assert ("url.query", "email", "reported", "alice@example.com") in noted
    assert ("a", "order", "reported", "ORD-1") in noted
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_long_value_is_cut() -> None:
    """A secret that the cut would divide is removed."""
    secret = "alice" + "a" * 49 + "@example.com"
    text = "x " * 1700 + secret + " y" * 1000
    value = values_of(span_of(a=text))["a"]
    _, noted = redacted(span_of(a=text))

    assert isinstance(value, str)
    assert len(value) < 3600
    assert value.endswith("[REDACTED]" + " y" * ((3584 - 3400 - len(secret)) // 2) + "…")
    assert [rule for _, rule, _, _ in noted] == ["length", "email"]
    assert "@" not in str(values_of(span_of(a="x " * 1790 + secret + "y" * 2000))["a"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"https://alice:{'p' * 5000}@host/", "https://REDACTED:REDACTED…"),
        (f"https://al@ice:{'p' * 5000}@host/", "https://REDACTED:REDACTED…"),
        (f"/a?u=https%3A%2F%2Falice%3A{'p' * 5000}%40host", "/a?u=https%3A%2F%2FREDACTED:REDACTED…"),
        (f"https://{'t' * 5000}@host/", "https://REDACTED…"),
    ],
)
def test_userinfo_without_its_end_is_redacted(text: str, left: str) -> None:
    """No host is that long, so the text before the cut is a user or a password."""
    assert values_of(span_of(**{"http.request.header.referer": [text]})) == {"http.request.header.referer": [left]}


def test_a_long_url_without_userinfo_keeps_its_host() -> None:
    """A path, a query or a space comes before the cut."""
    for url in (f"https://host/{'p' * 5000}", f"https://host?{'p' * 5000}", f"//host {'p ' * 2500}"):
        assert str(values_of(span_of(a=url))["a"]) == url[:3584] + "…"


def test_entries_with_equal_settings_share_a_redactor() -> None:
    """Other settings have another one."""
    one, same, other = (
        Settings.from_config({"endpoint": f"http://{host}:4317", "redaction": {"mode": mode}}).redaction
        for host, mode in (("a", "mask"), ("b", "mask"), ("a", "drop"))
    )

    assert shared_redactor(one) is shared_redactor(same)
    assert shared_redactor(one) is not shared_redactor(other)


@pytest.mark.parametrize("digits", ["0123456789abcdef", "0123456789", "abcdef"])
def test_no_detector_finds_anything_in_a_request_id(digits: str) -> None:
    """Kong's random ids are left out of the first search; beside a finding they are scanned, and have none."""
    source = random.Random(1)
    ids = ["".join(source.choice(digits) for _ in range(32)) for _ in range(300)]

    _, noted = redacted(span_of(ids=[*ids, "alice@example.com"]), detectors=list(CONTENT_DETECTORS))

    assert [rule for _, rule, _, _ in noted] == ["email"]


def test_a_pattern_of_the_user_sees_request_ids() -> None:
    """A user's own pattern may match any string, Kong's ids too."""
    span = span_of(kong__request__id="0123456789abcdef" * 2)

    found = values_of(span, patterns=[{"name": "id", "pattern": "[0-9a-f]{32}"}])

    assert found == {"kong.request.id": "[REDACTED]"}


def test_a_secret_in_shared_attributes_is_found_each_time() -> None:
    """A secret in attributes that spans share is replaced and reported in every span, also in its encoded form."""
    shared = SharedAttributes({"kong.route.name": "of alice@example.com"})

    for number in range(3):
        result, noted = redacted(shared_span(shared, url__path=f"/{number}"))

        assert result.attributes["kong.route.name"] == "of [REDACTED]"
        assert [attribute for attribute, *_ in noted] == ["kong.route.name"]
        assert b"alice" not in encode_span(result)


def test_a_secret_beside_shared_attributes_is_found() -> None:
    """A secret in the other attributes of a span is replaced, whatever is known of those that it shares."""
    shared = SharedAttributes({"kong.route.name": "users", "server.port": 80, "kong.service.name": "users"})

    for number in range(3):
        clean = shared_span(shared, url__path=f"/{number}")
        assert redacted(clean) == (clean, [])
        result, noted = redacted(shared_span(shared, url__path="/alice@example.com", a="b", c="x bob@example.com"))

        assert result.attributes == {
            **shared.attributes, "url.path": "/REDACTED", "a": "b", "c": "x [REDACTED]"
        }  # fmt: skip
        assert [attribute for attribute, *_ in noted] == ["url.path", "c"]
        encoded = encode_span(result)
        assert b"example.com" not in encoded
        assert encoded == encode_span(dataclasses.replace(result, shared=None))


def test_shared_attributes_are_scanned_by_every_redactor() -> None:
    """Attributes without a finding of one entry are scanned with another entry's patterns."""
    shared = SharedAttributes({"kong.route.name": "project-x"})
    span = shared_span(shared, url__path="/")
    pattern = {"name": "project", "pattern": "project-[a-z]"}

    for _ in range(2):
        assert redacted(span)[0] is span
        result, _ = redacted(span, patterns=[pattern])
        assert result.attributes["kong.route.name"] == "[REDACTED]"
        assert b"project-x" not in encode_span(result)


def test_a_shared_attribute_is_redacted_by_its_name() -> None:
    """A shared attribute with a sensitive name is replaced in the encoded form too."""
    shared = SharedAttributes({"http.request.header.cookie": "secret"})

    for _ in range(2):
        result, _ = redacted(shared_span(shared, url__path="/"))

        assert result.attributes["http.request.header.cookie"] == "[REDACTED]"
        assert b"secret" not in encode_span(result)


def test_lone_surrogates_in_shared_attributes_are_replaced() -> None:
    """A span whose shared attributes cannot be encoded as they are is encoded."""
    shared = SharedAttributes({"kong.route.name": "a\ud800"})

    for _ in range(2):
        result, _ = redacted(shared_span(shared, url__path="/"))

        assert result.attributes["kong.route.name"] == "a?"
        assert b"a?" in encode_span(result)

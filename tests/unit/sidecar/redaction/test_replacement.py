"""Promises of sidecar/redaction/replacement.py."""

from __future__ import annotations

import pytest

from otlp_tracing.sidecar.redaction.pseudonyms import Pseudonyms
from redacting import KEY, redacted, span_of, values_of


def test_a_url_stays_a_url() -> None:
    """Its mask has no brackets."""
    assert values_of(span_of(url__path="/u/a%40example.com/x"))["url.path"] == "/u/REDACTED/x"


def test_a_value_has_one_pseudonym() -> None:
    """Encoding, case and detector do not matter."""
    pseudonym = Pseudonyms(KEY).pseudonym("alice@example.com")
    span = span_of(url__path="/u/Alice%40example.com", url__query="m=alice@example.com&token=alice%40example.com")

    assert values_of(span, mode="hash", hash_key=KEY) == {
        "url.path": f"/u/{pseudonym}",
        "url.query": f"m={pseudonym}&token={pseudonym}",
    }


def test_hash_without_a_key_masks(caplog: pytest.LogCaptureFixture) -> None:
    """The log has one warning."""
    assert values_of(span_of(a="alice@example.com"), mode="hash") == {"a": "[REDACTED]"}
    assert [record.message for record in caplog.records] == ["redaction.hash_key: is unset: the mode hash masks values"]


def test_drop_removes_the_parameter_or_the_attribute() -> None:
    """It removes an item of a list, or an empty list; a span's name is masked."""
    span = span_of(
        "GET alice@example.com",
        url__query="a=1&token=b&c=2",
        a="alice@example.com",
        b=["alice@example.com", "bob"],
        c=["alice@example.com"],
        **{"http.request.header.cookie": ["x"]},
    )
    result, _ = redacted(span, mode="drop")

    assert result.name == "GET [REDACTED]"
    assert result.attributes == {"url.query": "a=1&c=2", "b": ["bob"]}


def test_detectors_and_patterns_have_modes_of_their_own() -> None:
    """Others have the mode of the entry."""
    span = span_of(url__query="token=x", a="alice@example.com ORD-12345678 4111111111111111")
    redaction = {
        "hash_key": KEY,
        "modes": [{"detector": "email", "mode": "hash"}, {"detector": "sensitive_key", "mode": "drop"}],
        "patterns": [{"name": "order", "pattern": "ORD-[0-9]{8}", "mode": "hash"}],
    }
    alice, order = (Pseudonyms(KEY).pseudonym(value) for value in ("alice@example.com", "ORD-12345678"))

    assert values_of(span, **redaction) == {"url.query": "", "a": f"{alice} {order} [REDACTED]"}


def test_userinfo_is_always_redacted() -> None:
    """The semantic conventions require it."""
    span = span_of(url__full="https://alice:open@users/", **{"http.request.header.referer": ["https://t@h/"]})

    assert values_of(span, detectors=[], sensitive_keys=[], query="none", mode="drop", dry_run=True) == {
        "url.full": "https://REDACTED:REDACTED@users/",
        "http.request.header.referer": ["https://REDACTED@h/"],
    }
